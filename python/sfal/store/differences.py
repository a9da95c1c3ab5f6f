"""Comparison of a run on disk with the one requested."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sfal.errors import SettingsMismatchError


def require_same(
    folder: Path, kind: str, old: Mapping[str, Any], new: Mapping[str, Any], hint: str
) -> None:
    """Refuse to continue a run whose settings differ from those requested.

    Parameters
    ----------
    folder : Path
        The run's folder, for the message.
    kind : str
        What is compared, such as ``settings``.
    old, new : mapping
        Values on disk and values requested. Mappings inside them are compared
        key by key; a key that is absent equals one that is None.
    hint : str
        What the user can do instead; see :func:`sfal.errors.worded`.

    Raises
    ------
    SettingsMismatchError
        If they differ; the message names each difference.
    """
    before, after = _flat(old), _flat(new)
    differences = [
        f"{name} was {_show(before.get(name))}, now {_show(after.get(name))}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    if differences:
        raise SettingsMismatchError(
            f"{folder} holds a run with other {kind}: {'; '.join(differences)}", hint=hint
        )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, its keys joined by dots."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            result.update(_flat(value, f"{prefix}{name}."))
        else:
            # As JSON returns it, so that a tuple equals the list it was stored as.
            result[prefix + name] = list(value) if isinstance(value, tuple) else value
    return result


def _show(value: object) -> str:
    text = "not set" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:28]}…{text[-28:]}"
