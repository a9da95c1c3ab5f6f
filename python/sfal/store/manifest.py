"""The manifest of one run: what was counted, with which settings, and in which files."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from sfal.errors import ArtifactError, SettingsMismatchError
from sfal.io.atomic import read_json, write_json
from sfal.store.layout import MANIFEST, OCCURRENCES

FORMAT = 1
"""Version of the manifest's layout."""


@dataclass(frozen=True)
class Counts:
    """What a stretch of the corpus held."""

    documents: int = 0
    """Documents passed, empty ones included."""
    empty: int = 0
    """Documents without a single token."""
    too_short: int = 0
    """Documents with tokens but without a window."""
    tokens: int = 0
    """Tokens after cutting to the greatest length, special ones left out."""
    tokens_in_windows: int = 0
    """Tokens that lie in a window."""
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
    """Name inside the folder of occurrences."""
    sha256: str
    """Hash of the file's bytes."""
    first: int
    """Ordinal of the first document."""
    stop: int
    """Ordinal behind the last document."""
    counts: Counts
    """What these documents held."""
    documents_sha256: str
    """Hash of all documents' text from the run's first one up to `stop`."""


@dataclass(frozen=True)
class Manifest:
    """One run of one source.

    Everything but `volatile` depends only on the command and its inputs.
    """

    source: Mapping[str, Any]
    """Language model, SAE and site, as they were asked for."""
    n_features: int
    """Width of the SAE."""
    settings: Mapping[str, Any]
    """Settings that decide the result; another run with others is another run."""
    n_docs: int
    """Documents asked for, from the corpus's first one on."""
    start: int = 0
    """Ordinal of the run's first document; not 0 in a shard."""
    stop: int | None = None
    """Ordinal behind the run's last document; None: `n_docs`."""
    parts: tuple[Part, ...] = ()
    """Files of windows, in the corpus's order."""
    corpus_ended_at: int | None = None
    """Number of documents in the corpus, where it held fewer than asked for."""
    fingerprints: Mapping[str, Any] = field(default_factory=dict)
    """Hashes or commits of the model, the SAE and the corpus."""
    sae: Mapping[str, Any] = field(default_factory=dict)
    """What the SAE's loader found: gate, input scale, thresholds."""
    histogram: Mapping[str, Any] | None = None
    """Name, windows, size and hash of the histogram that was written last."""
    volatile: Mapping[str, Any] = field(default_factory=dict)
    """Versions, times and machine."""

    @property
    def counts(self) -> Counts:
        """Totals over the parts."""
        return sum((part.counts for part in self.parts), Counts())

    @property
    def n_windows(self) -> int:
        """Windows in all parts."""
        return sum(part.counts.windows for part in self.parts)

    @property
    def end(self) -> int:
        """Ordinal behind the last document that there is to count."""
        end = self.n_docs if self.stop is None else self.stop
        return end if self.corpus_ended_at is None else min(end, self.corpus_ended_at)

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """Stretches of documents, first and behind the last, that no part covers yet."""
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
        """Whether every document asked for has been counted."""
        return not self.gaps

    @property
    def coverage(self) -> float:
        """Share of the tokens that lie in a window, from 0 to 1."""
        counts = self.counts
        return counts.tokens_in_windows / counts.tokens if counts.tokens else 0.0

    def with_part(self, part: Part) -> "Manifest":
        """Copy in which a part stands in place of those that it overlaps."""
        kept = [p for p in self.parts if p.stop <= part.first or p.first >= part.stop]
        return self.with_parts([*kept, part])

    def with_parts(self, parts: Iterable[Part]) -> "Manifest":
        """Copy with other parts, put into the corpus's order."""
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
        body["parts"] = [asdict(part) for part in self.parts]
        volatile = {"volatile": dict(self.volatile)}
        write_json(folder / MANIFEST, {"format": FORMAT, **body, **totals, **volatile})

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Read ``manifest.json`` of `folder`.

        Raises
        ------
        ArtifactError
            If it is missing, damaged, or of another format.
        """
        path = folder / MANIFEST
        value = read_json(path)
        try:
            if value["format"] != FORMAT:
                raise ArtifactError(
                    f"{path} has format {value['format']}, this SFAL reads format {FORMAT}; "
                    "use the version that wrote it"
                )
            parts = tuple(
                Part(**{**part, "counts": Counts(**part["counts"])}) for part in value["parts"]
            )
            known = {f.name: value[f.name] for f in fields(cls) if f.name != "parts"}
            manifest = cls(**known, parts=parts)
            manifest._check(path)
        except (KeyError, TypeError, AttributeError) as e:
            raise ArtifactError(
                f"{path} is no manifest of SFAL ({e!r}); it is damaged or edited"
            ) from e
        return manifest

    def _types(self) -> Iterator[tuple[str, bool]]:
        """Each value by name, and whether it is of its type."""
        yield "n_features", _is_count(self.n_features) and 0 < self.n_features <= 1 << 32
        for name in ("n_docs", "start", "stop", "corpus_ended_at"):
            value = getattr(self, name)
            missing = value is None and name in ("stop", "corpus_ended_at")
            yield name, missing or _is_count(value)
        for name in ("source", "settings", "fingerprints", "sae", "volatile"):
            yield name, isinstance(getattr(self, name), dict)
        folder = self.volatile.get("histogram_folder", "")
        yield "histogram_folder", isinstance(folder, str)
        texts = [(part.file, part.sha256, part.documents_sha256) for part in self.parts]
        if self.histogram is not None:
            yield "histogram", isinstance(self.histogram, dict)
            texts.append((self.histogram["file"], self.histogram["sha256"], ""))
        yield "a name or hash", all(isinstance(text, str) for some in texts for text in some)
        numbers = [
            n for part in self.parts for n in (part.first, part.stop, *vars(part.counts).values())
        ]
        yield "a count", all(map(_is_count, numbers))

    def _check(self, path: Path) -> None:
        """Refuse values of another type, parts that overlap, names that leave the folder."""
        for name, good in self._types():
            if not good:
                raise ArtifactError(f"{path}: {name} is of another type; it is damaged or edited")
        names = [part.file for part in self.parts]
        names += [] if self.histogram is None else [self.histogram["file"]]
        for name in names:
            if Path(name).name != name or not name.endswith((".parquet", ".npz")) or "\0" in name:
                raise ArtifactError(f"{path}: {name!r} is no plain file name")
        position = self.start
        for part in self.parts:
            if not position <= part.first < part.stop:
                raise ArtifactError(
                    f"{path}: part {part.file} covers documents {part.first} to {part.stop}, "
                    f"but the one before it ends at {position}; it is damaged or edited"
                )
            position = part.stop


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def has_manifest(folder: Path) -> bool:
    """Whether a run has been started in a folder."""
    return (folder / MANIFEST).exists()


def occurrences_dir(folder: Path) -> Path:
    """Folder of a run's parts."""
    return folder / OCCURRENCES


def require_same(
    folder: Path, kind: str, old: Mapping[str, Any], new: Mapping[str, Any], hint: str
) -> None:
    """Refuse to go on with a run whose settings differ from those asked for.

    Parameters
    ----------
    folder : Path
        The run's folder, for the message.
    kind : str
        What is compared, such as ``settings``.
    old, new : mapping
        Values on disk and values asked for; mappings in them are compared key by key.
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
    result: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            result.update(_flat(value, f"{prefix}{name}."))
        else:
            # As JSON gives it back, so that a tuple equals the list that it became.
            result[prefix + name] = list(value) if isinstance(value, tuple) else value
    return result


def _show(value: object) -> str:
    text = "not set" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:28]}…{text[-28:]}"
