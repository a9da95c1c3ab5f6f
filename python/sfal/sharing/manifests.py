"""Manifests as they are shared: without what concerns only one machine, and read with suspicion."""

import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any

from sfal.errors import ArtifactError, CorruptError
from sfal.store.differences import require_same
from sfal.store.layout import MANIFEST
from sfal.store.manifest import Manifest

MOST_BYTES = 64 << 20
"""Size of a manifest: a hundred thousand parts take half of it."""

_PATH = re.compile(r"""(?<![\w:/.~])(?:~?/|[A-Za-z]:[\\/])[^\s'"`:;,()]*""")
"""An absolute path in a text; the address of a page is none."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Characters with which a text could steer a terminal, or be shown in another order."""


def public(manifest: Manifest) -> Manifest:
    """Return a run's manifest without paths of this machine and without its histogram.

    Of a path in a note, the last component stays. Nothing that decides the
    result is changed.
    """
    volatile = _without_paths(dict(manifest.volatile))
    return replace(manifest, histogram=None, volatile=volatile)


def same_run(one: Manifest, other: Manifest) -> bool:
    """Return whether two manifests describe the same run, with the same bytes in every part."""
    return _core(one) == _core(other)


def require_same_run(where: str, there: Manifest, ours: Manifest, hint: str) -> None:
    """Refuse a run that is not the same as another.

    Parameters
    ----------
    where : str
        What holds the other run, for the message.
    there, ours : Manifest
        The other run, and the one that is shared.
    hint : str
        What the user can do.

    Raises
    ------
    ArtifactError
        :class:`SettingsMismatchError`, which names each difference, if settings
        or inputs differ.
    """
    if same_run(there, ours):
        return
    for kind, one, other in (
        ("inputs", there.source.as_json(), ours.source.as_json()),
        ("settings", there.settings, ours.settings),
        ("inputs", there.fingerprints, ours.fingerprints),
        ("documents", {"n_docs": there.n_docs}, {"n_docs": ours.n_docs}),
    ):
        require_same(Path(where), kind, one, other, hint)
    raise ArtifactError(f"{where} holds a different run, counted with the same settings", hint=hint)


def as_bytes(manifest: Manifest) -> bytes:
    """Return the bytes of a manifest's file."""
    with tempfile.TemporaryDirectory() as folder:
        manifest.save(Path(folder))
        return (Path(folder) / MANIFEST).read_bytes()


def parse(content: bytes, where: str) -> Manifest:
    """Read a manifest that somebody else wrote.

    Raises
    ------
    CorruptError
        If it is not a manifest.
    ArtifactError
        If it has another format.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MANIFEST
        path.write_bytes(content)
        try:
            manifest = Manifest.load(path.parent)
            if any(map(_CONTROL.search, _texts(vars(_core(manifest))))):
                raise CorruptError(f"{path} has control characters in its texts")
            return public(manifest)
        except ArtifactError as e:
            kind = CorruptError if isinstance(e, CorruptError) else ArtifactError
            raise kind(e.message.replace(str(path), where), hint=e.hint) from e


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in nested values, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield str(name)
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
    elif is_dataclass(value):
        yield from _texts(vars(value))


def _core(manifest: Manifest) -> Manifest:
    return replace(manifest, histogram=None, volatile={})


def _without_paths(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _without_paths(one) for name, one in value.items() if not _is_path(one)}
    if isinstance(value, list | tuple):
        return [_without_paths(one) for one in value if not _is_path(one)]
    if isinstance(value, str):
        return _PATH.sub(_last_component, _CONTROL.sub(" ", value))
    return value


def _is_path(value: object) -> bool:
    return isinstance(value, str) and _PATH.match(value) is not None and " " not in value.strip()


def _last_component(path: re.Match[str]) -> str:
    return re.split(r"[\\/]", path[0].rstrip("\\/"))[-1]
