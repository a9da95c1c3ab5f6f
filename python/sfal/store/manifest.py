"""The manifest of one run: what was counted, with which settings, and in which files."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from sfal.errors import ArtifactError, CorruptError, MissingError
from sfal.io.atomic import read_json, write_json
from sfal.store.layout import MANIFEST, OCCURRENCES, PartName
from sfal.store.records import HistogramRecord, SourceRecord

FORMAT = 1
"""Version of the manifest's layout."""

_DAMAGED = "it is damaged or was edited"


@dataclass(frozen=True)
class Counts:
    """Totals over a range of documents."""

    documents: int = 0
    """Documents read, including empty ones."""
    empty: int = 0
    """Documents without a token."""
    too_short: int = 0
    """Documents with tokens but without a window."""
    tokens: int = 0
    """Tokens after truncation to the maximum length, without special tokens."""
    tokens_in_windows: int = 0
    """Tokens inside a window."""
    windows: int = 0
    """Windows."""
    occurrences: int = 0
    """Pairs of a window and a feature that fires in it."""

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Counts)))


@dataclass(frozen=True)
class Part:
    """A file of windows, and the documents that they come from."""

    file: str
    """Name inside the folder of occurrences; see :class:`sfal.store.layout.PartName`."""
    sha256: str
    """Hash of the file's bytes."""
    first: int
    """Ordinal of the first document."""
    stop: int
    """Ordinal after the last document."""
    counts: Counts
    """Totals over these documents."""
    documents_sha256: str
    """Hash of the text of all documents from the run's first one to `stop`; empty if merged."""

    @property
    def is_checkpoint(self) -> bool:
        """Whether the part is unfinished, to be extended when the run continues."""
        name = PartName.parse(self.file)
        return name is not None and name.checkpoint_stop is not None


@dataclass(frozen=True)
class Manifest:
    """One run of one source.

    Everything but `volatile` depends only on the command and its inputs.
    """

    source: SourceRecord
    """Language model, site and SAE, as they were requested."""
    n_features: int
    """Width of the SAE."""
    settings: Mapping[str, Any]
    """Settings that decide the result, as the stage that counts defines them.

    A run with other settings is another run. They are only stored and compared
    here, so they stay a mapping; so do `fingerprints` and `sae`.
    """
    n_docs: int
    """Documents requested, from the first one of the corpus."""
    start: int = 0
    """Ordinal of the run's first document; not 0 in a shard."""
    stop: int | None = None
    """Ordinal after the run's last document; None: `n_docs`."""
    parts: tuple[Part, ...] = ()
    """Files of windows, in the order of the corpus."""
    corpus_ended_at: int | None = None
    """Number of documents in the corpus, if it had fewer than requested."""
    fingerprints: Mapping[str, Any] = field(default_factory=dict)
    """Hashes or commits of the model, the SAE and the corpus."""
    sae: Mapping[str, Any] = field(default_factory=dict)
    """What the SAE's loader found: gate, input scale, thresholds."""
    histogram: HistogramRecord | None = None
    """The histogram that was written last."""
    volatile: Mapping[str, Any] = field(default_factory=dict)
    """Versions, times and machine, and the notes, if there are any."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user was told about the run, each note once, in Python's words."""
        return tuple(self.volatile.get("notes", ()))

    def with_notes(self, notes: Iterable[str]) -> "Manifest":
        """Return a copy with further notes; those that it has already are not repeated."""
        kept = list(dict.fromkeys((*self.notes, *notes)))
        return replace(self, volatile={**self.volatile, "notes": kept}) if kept else self

    @property
    def part_devices(self) -> dict[str, tuple[str, ...]]:
        """The models of devices that counted each part, by file, as far as they are known."""
        known = self.volatile.get("part_devices", {})
        return {part.file: tuple(known[part.file]) for part in self.parts if part.file in known}

    @property
    def devices(self) -> tuple[str, ...]:
        """The models of devices that counted any part, sorted."""
        return tuple(sorted({one for devices in self.part_devices.values() for one in devices}))

    def with_part_devices(self, devices: Mapping[str, Iterable[str]]) -> "Manifest":
        """Return a copy with the devices of further parts; parts that are gone are left out."""
        known = {**self.volatile.get("part_devices", {}), **devices}
        kept = {part.file: sorted(known[part.file]) for part in self.parts if known.get(part.file)}
        return replace(self, volatile={**self.volatile, "part_devices": kept}) if kept else self

    @property
    def counts(self) -> Counts:
        """Totals over all parts."""
        return sum((part.counts for part in self.parts), Counts())

    @property
    def n_windows(self) -> int:
        """Number of windows in all parts."""
        return sum(part.counts.windows for part in self.parts)

    @property
    def end(self) -> int:
        """Ordinal after the last document to count."""
        end = self.n_docs if self.stop is None else self.stop
        return end if self.corpus_ended_at is None else min(end, self.corpus_ended_at)

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """Ranges of documents, as (first, stop), that no part covers yet."""
        found, position = [], self.start
        for part in self.parts:
            if part.first > position:
                found.append((position, part.first))
            position = part.stop
        if position < self.end:
            found.append((position, self.end))
        return found

    @property
    def complete(self) -> bool:
        """Whether every document requested has been counted."""
        return not self.gaps

    @property
    def coverage(self) -> float:
        """Share of the tokens that are inside a window, from 0 to 1."""
        counts = self.counts
        return counts.tokens_in_windows / counts.tokens if counts.tokens else 0.0

    @property
    def window_size(self) -> int | None:
        """Tokens per window; None if the settings do not say."""
        size = self.settings.get("window_size")
        return size if isinstance(size, int) else None

    def histogram_file(self, folder: Path) -> Path | None:
        """Return the path to which the histogram was written last; None if there was none.

        Parameters
        ----------
        folder : Path
            The run's folder, where a histogram is written by default.
        """
        if self.histogram is None:
            return None
        return Path(self.volatile.get("histogram_folder", folder)) / self.histogram.file

    def with_part(self, part: Part) -> "Manifest":
        """Return a copy in which a part replaces those that it overlaps."""
        kept = [p for p in self.parts if p.stop <= part.first or p.first >= part.stop]
        return self.with_parts([*kept, part])

    def with_parts(self, parts: Iterable[Part]) -> "Manifest":
        """Return a copy with other parts, sorted into the order of the corpus."""
        return replace(self, parts=tuple(sorted(parts, key=lambda part: part.first)))

    def save(self, folder: Path) -> None:
        """Write to ``manifest.json`` in `folder`, atomically.

        Raises
        ------
        ArtifactError
            If the disk is full or the folder cannot be written.
        """
        totals = {
            "counts": asdict(self.counts),
            "token_coverage": self.coverage,
            "position": self.parts[-1].stop if self.parts else self.start,
            "complete": self.complete,
        }
        body = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "volatile"}
        body["source"] = self.source.as_json()
        body["parts"] = [asdict(part) for part in self.parts]
        body["histogram"] = None if self.histogram is None else asdict(self.histogram)
        volatile = {"volatile": dict(self.volatile)}
        write_json(folder / MANIFEST, {"format": FORMAT, **body, **totals, **volatile})

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Read ``manifest.json`` of `folder`.

        Raises
        ------
        MissingError
            If it does not exist.
        CorruptError
            If it is damaged.
        ArtifactError
            If it has another format or cannot be read.
        """
        path = folder / MANIFEST
        if not path.exists():
            raise MissingError(f"{path} does not exist: no run has been started in this folder")
        value = read_json(path)
        try:
            if value["format"] != FORMAT:
                raise ArtifactError(
                    f"{path} has format {value['format']}, this SFAL reads format {FORMAT}",
                    hint="use the version of SFAL that wrote it",
                )
            parts = tuple(
                Part(**{**part, "counts": Counts(**part["counts"])}) for part in value["parts"]
            )
            histogram = value["histogram"]
            parsed = {
                "source": SourceRecord.parse(value["source"]),
                "parts": parts,
                "histogram": None if histogram is None else HistogramRecord.parse(histogram),
            }
            manifest = cls(**{f.name: value[f.name] for f in fields(cls)} | parsed)
            manifest._check(path)
        except (KeyError, TypeError, AttributeError) as e:
            raise CorruptError(f"{path} is not a manifest of SFAL ({e!r}); {_DAMAGED}") from e
        return manifest

    def _types(self) -> Iterator[tuple[str, bool]]:
        """Yield the name of each value, and whether the value has its type."""
        yield "n_features", _is_count(self.n_features) and 0 < self.n_features <= 1 << 32
        for name in ("n_docs", "start", "stop", "corpus_ended_at"):
            value = getattr(self, name)
            missing = value is None and name in ("stop", "corpus_ended_at")
            yield name, missing or _is_count(value)
        for name in ("settings", "fingerprints", "sae", "volatile"):
            yield name, isinstance(getattr(self, name), dict)
        folder = self.volatile.get("histogram_folder", "")
        yield "histogram_folder", isinstance(folder, str)
        notes = self.volatile.get("notes", [])
        yield "notes", _is_texts(notes)
        devices = self.volatile.get("part_devices", {})
        yield "part_devices", isinstance(devices, dict) and all(map(_is_texts, devices.values()))
        texts = [(part.file, part.sha256, part.documents_sha256) for part in self.parts]
        yield "a name or hash", all(isinstance(text, str) for some in texts for text in some)
        numbers = [
            n for part in self.parts for n in (part.first, part.stop, *vars(part.counts).values())
        ]
        yield "a count", all(map(_is_count, numbers))

    def _check(self, path: Path) -> None:
        """Refuse values of the wrong type, parts that overlap, names that leave the folder."""
        for name, good in self._types():
            if not good:
                raise CorruptError(f"{path}: {name} has the wrong type; {_DAMAGED}")
        names = [part.file for part in self.parts]
        names += [] if self.histogram is None else [self.histogram.file]
        for name in names:
            if Path(name).name != name or not name.endswith((".parquet", ".npz")) or "\0" in name:
                raise CorruptError(f"{path}: {name!r} is not a plain file name; {_DAMAGED}")
        position = self.start
        for part in self.parts:
            if not position <= part.first < part.stop:
                raise CorruptError(
                    f"{path}: part {part.file} covers documents {part.first} to {part.stop}, "
                    f"but the one before it ends at {position}; {_DAMAGED}"
                )
            position = part.stop


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def has_manifest(folder: Path) -> bool:
    """Return whether a run has been started in a folder."""
    return (folder / MANIFEST).exists()


def occurrences_dir(folder: Path) -> Path:
    """Return the folder of a run's parts."""
    return folder / OCCURRENCES
