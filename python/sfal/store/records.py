"""Records inside a run's manifest: the source, its SAE, its histogram."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self


@dataclass(frozen=True)
class SaeRecord:
    """The SAE of a source, as it was requested."""

    kind: str | None = None
    """Layout of its weights; see :class:`sfal.sources.SaeRef`."""
    repo_id: str | None = None
    """Repository on the hub."""
    path: str | None = None
    """Folder inside the repository; for a local SAE the last component of its path."""
    release: str | None = None
    """SAELens release."""
    sae_id: str | None = None
    """SAELens id inside the release."""

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Read the record from its JSON; see :meth:`SourceRecord.parse`."""
        record = cls(**value)
        for entry in fields(record):
            _require(getattr(record, entry.name), str, f"source.sae.{entry.name}")
        return record


@dataclass(frozen=True)
class SourceRecord:
    """Language model, site and SAE of a run, as they were requested."""

    name: str | None = None
    """Name of the source: its folder below the data folder."""
    model: str | None = None
    """Hub id of the language model; for a local one the last component of its path."""
    site: str | None = None
    """Where in the layer the SAE reads."""
    layer: int | None = None
    """Layer, from 0."""
    hook_module: str | None = None
    """Module path, for a site given by name."""
    neuronpedia_id: str | None = None
    """``model/source`` on Neuronpedia; None if the SAE is not there."""
    prepend_bos: bool | None = None
    """Whether the SAE was trained with BOS in front; None if that is unknown."""
    sae: SaeRecord = field(default_factory=SaeRecord)
    """The SAE."""

    def as_json(self) -> dict[str, Any]:
        """Return the record as the manifest stores it, its keys in this order."""
        return asdict(self)

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Read the record from its JSON; an absent key means None.

        Raises
        ------
        TypeError
            If a key is unknown or a value has the wrong type.
        """
        record = cls(**{**value, "sae": SaeRecord.parse(value.get("sae", {}))})
        for name in ("name", "model", "site", "hook_module", "neuronpedia_id"):
            _require(getattr(record, name), str, f"source.{name}")
        _require(record.layer, int, "source.layer")
        if record.prepend_bos is not None and not isinstance(record.prepend_bos, bool):
            raise TypeError("source.prepend_bos is not true, false or null")
        return record


@dataclass(frozen=True)
class HistogramRecord:
    """The histogram that a run wrote last."""

    file: str
    """File name."""
    n_windows: int
    """Windows counted in it."""
    bytes: int
    """Size of the file."""
    sha256: str
    """Hash of the file's bytes."""

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Self:
        """Read the record from its JSON.

        Raises
        ------
        TypeError
            If a key is absent or unknown, or a value has the wrong type.
        """
        record = cls(**value)
        for entry in fields(record):
            if getattr(record, entry.name) is None:
                raise TypeError(f"histogram.{entry.name} is null")
        for name in ("file", "sha256"):
            _require(getattr(record, name), str, f"histogram.{name}")
        for name in ("n_windows", "bytes"):
            _require(getattr(record, name), int, f"histogram.{name}")
        return record


def _require(value: object, kind: type, name: str) -> None:
    """Refuse a value that is neither None nor of a type; a boolean is not an integer."""
    if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
        raise TypeError(f"{name} has the wrong type")
