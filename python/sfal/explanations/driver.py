"""Stage 2 for one source: explanations fetched and chosen, then embedded."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfal.errors import ArtifactError, InvalidInputError
from sfal.explanations.chooser import Chooser, Preferences
from sfal.explanations.neuronpedia import Export, cached_export, download_export
from sfal.explanations.records import (
    BEYOND_WIDTH,
    OTHER_SOURCE,
    DamagedBatchError,
    Record,
    RecordReader,
)
from sfal.explanations.user_files import file_origin, read_explanations_file
from sfal.io.arrow import to_numpy
from sfal.io.atomic import remove_temporaries
from sfal.io.gzip_lines import ExpansionLimits
from sfal.io.http import Patience
from sfal.io.lock import folder_lock
from sfal.store.explanations import (
    explanations_metadata,
    kinds,
    read_explanations,
    write_explanations,
)
from sfal.store.layout import EXPLANATIONS, EXPORT, source_dir
from sfal.store.targets import ExplainedSource

if TYPE_CHECKING:
    import pyarrow as pa

_log = logging.getLogger(__name__)

_FORMAT = 1
_TOO_MANY_KINDS = "one kind of explanation too many"
_MOST_BEYOND = 0.01
"""Share of records beyond the SAE's width above which they are of another SAE."""


@dataclass(frozen=True)
class ChosenSummary:
    """What was chosen for a source."""

    source: str
    """Name of the source."""
    n_chosen: int
    """Features with an explanation."""
    n_features: int
    """Features of the SAE; where that is not known, the highest explained one plus 1."""
    kinds: tuple[tuple[str, str, int], ...]
    """(type, explainer, number), the most frequent first."""
    n_duplicates: int
    """Records left out because they repeat another."""
    left_out: Mapping[str, int]
    """Records that could not be used, by reason."""
    n_fetched: int
    """Batches fetched."""
    unchanged: bool
    """Whether the file on disk was already this."""

    @property
    def n_missing(self) -> int:
        """Features without an explanation."""
        return self.n_features - self.n_chosen


@dataclass(frozen=True)
class DownloadSettings:
    """How explanations are fetched and chosen."""

    preferences: Preferences = field(default_factory=Preferences)
    """Which explanation of a feature is taken."""
    file: Path | None = None
    """Local file to take them from instead of Neuronpedia."""
    patience: Patience = field(default_factory=Patience)
    """Time limits of the network."""
    limits: ExpansionLimits = field(default_factory=ExpansionLimits)
    """What a batch may expand to."""


def choose_explanations(
    source: ExplainedSource, data_dir: Path, settings: DownloadSettings | None = None
) -> ChosenSummary:
    """Fetch a source's explanations, choose one a feature, write them.

    Parameters
    ----------
    source : ExplainedSource
        Which source.
    data_dir : Path
        Root of the data tree.
    settings : DownloadSettings, optional
        Where from and which.

    Raises
    ------
    DownloadError
        If Neuronpedia cannot be reached or does not have the source.
    InvalidInputError
        If the source is not on Neuronpedia and no file is given, or if nothing
        fits the explainers and types asked for.
    ArtifactError
        If the records are of another source.
    """
    settings = settings or DownloadSettings()
    folder = source_dir(data_dir, source.name)
    with folder_lock(folder / EXPORT, data_dir):
        remove_temporaries(folder)
        remove_temporaries(folder / EXPORT)
        if settings.file is None:
            return _from_export(source, folder, settings)
        path = settings.file
        origin = file_origin(path)
        return _choose(
            source,
            folder,
            settings.preferences,
            str(path),
            origin,
            lambda left_out: read_explanations_file(path, left_out, source.n_features),
        )


def explanations_of(
    source: ExplainedSource, data_dir: Path, preferences: Preferences | None = None
) -> "pa.Table":
    """Explanations of a source that lie on disk, chosen anew if others are asked for.

    Parameters
    ----------
    source : ExplainedSource
        Which source.
    data_dir : Path
        Root of the data tree.
    preferences : Preferences, optional
        Default: as they were chosen.

    Raises
    ------
    ArtifactError
        If there are none yet.
    InvalidInputError
        If none fits what is asked for.
    """
    preferences = preferences or Preferences()
    folder = source_dir(data_dir, source.name)
    table = read_explanations(folder)
    metadata = explanations_metadata(table)
    if preferences in (Preferences(), _preferences(metadata)):
        return table
    export = cached_export(folder) if "etags_sha256" in metadata.get("origin", {}) else None
    if export is not None:
        with folder_lock(folder / EXPORT, data_dir):
            _choose_from(export, source, folder, DownloadSettings(preferences))
        return read_explanations(folder)
    if all(preferences.rank(*kind) is not None for kind in kinds(table)):
        return table
    there = ", ".join(f"{t} by {e}" for t, e in kinds(table))
    raise InvalidInputError(
        f"{source.name}: the explanations on disk are {there}; give the file again with "
        "--explanations, or fetch others with `sfal embeddings download`"
    )


def record_reader(
    source: ExplainedSource, export: Export, limits: ExpansionLimits | None = None
) -> RecordReader:
    """Reader of an export's records for a source."""
    return RecordReader(export.source, source.n_features, limits or ExpansionLimits())


def _from_export(
    source: ExplainedSource, folder: Path, settings: DownloadSettings
) -> ChosenSummary:
    if source.neuronpedia_id is None:
        with suppress(OSError):
            (folder / EXPORT).rmdir()
        raise InvalidInputError(
            f"{source.name} is not on Neuronpedia; give its explanations with --explanations FILE, "
            "or make some with `sfal explain`"
        )
    export = download_export(source.neuronpedia_id, folder, settings.patience, settings.limits)
    try:
        return _choose_from(export, source, folder, settings)
    except DamagedBatchError as e:
        # It was whole when it was fetched, so the disk has it wrong: once more.
        _log.warning("%s: damaged; fetching it again", e.path)
        e.path.unlink(missing_ok=True)
        export = download_export(source.neuronpedia_id, folder, settings.patience, settings.limits)
        return _choose_from(export, source, folder, settings)


def _choose_from(
    export: Export, source: ExplainedSource, folder: Path, settings: DownloadSettings
) -> ChosenSummary:
    reader = record_reader(source, export, settings.limits)
    return _choose(
        source,
        folder,
        settings.preferences,
        f"the export of {export.source}",
        {"neuronpedia": export.source, "etags_sha256": export.sha256},
        lambda left_out: reader.read(export.batches, left_out),
        export.n_fetched,
    )


def _choose(
    source: ExplainedSource,
    folder: Path,
    preferences: Preferences,
    what: str,
    origin: Mapping[str, str],
    records: Callable[[Counter[str]], Iterable[Record]],
    n_fetched: int = 0,
) -> ChosenSummary:
    made_of = {
        "format": _FORMAT,
        "source": source.name,
        "origin": dict(origin),
        "preferences": preferences.describe(),
        "n_features": source.n_features,
    }
    there = _there(folder)
    if there is not None:
        metadata = explanations_metadata(there)
        if all(metadata.get(key) == value for key, value in made_of.items()):
            return _summary(source, there, metadata, n_fetched, unchanged=True)
    left_out: Counter[str] = Counter()
    chooser = Chooser(preferences)
    for record in records(left_out):
        if not chooser.add(record):
            left_out[_TOO_MANY_KINDS] += 1
    _check_left_out(chooser, left_out, source, what)
    table = chooser.table(what)
    metadata = {
        **made_of,
        "n_records": chooser.n_records,
        "n_duplicates": chooser.n_duplicates,
        "left_out": dict(sorted(left_out.items())),
    }
    write_explanations(folder, table, metadata)
    return _summary(source, table, metadata, n_fetched, unchanged=False)


def _check_left_out(
    chooser: Chooser, left_out: Counter[str], source: ExplainedSource, what: str
) -> None:
    n_usable = chooser.n_records
    if left_out[BEYOND_WIDTH] > _MOST_BEYOND * (n_usable + left_out[BEYOND_WIDTH]):
        raise ArtifactError(
            f"{what} explains features beyond the {source.n_features:,} of {source.name} "
            f"({left_out[BEYOND_WIDTH]:,} records): these are explanations of another SAE"
        )
    if not n_usable:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in left_out.most_common())
        other = "these are explanations of another source" if left_out[OTHER_SOURCE] else ""
        raise ArtifactError(
            f"{what} holds no usable explanation"
            + (f"; left out: {reasons}" if reasons else "")
            + (f"; {other}" if other else "")
        )


def _there(folder: Path) -> "pa.Table | None":
    """Explanations on disk, or None if there are none that can be read."""
    if not (folder / EXPLANATIONS).exists():
        return None
    try:
        return read_explanations(folder)
    except ArtifactError:
        return None


def _preferences(metadata: Mapping[str, Any]) -> Preferences | None:
    stored = metadata.get("preferences")
    if not isinstance(stored, dict):
        return None
    names = {k: None if v is None else tuple(v) for k, v in stored.items()}
    return Preferences(names.get("explainers"), names.get("types"))


def _summary(
    source: ExplainedSource,
    table: "pa.Table",
    metadata: Mapping[str, Any],
    n_fetched: int,
    *,
    unchanged: bool,
) -> ChosenSummary:
    highest = int(to_numpy(table.column("feature"))[-1]) + 1
    return ChosenSummary(
        source=source.name,
        n_chosen=len(table),
        n_features=source.n_features or highest,
        kinds=tuple((t, e, n) for (t, e), n in kinds(table).most_common()),
        n_duplicates=int(metadata.get("n_duplicates", 0)),
        left_out=dict(metadata.get("left_out", {})),
        n_fetched=n_fetched,
        unchanged=unchanged,
    )


def holds_own_explanations(source: ExplainedSource, data_dir: Path) -> bool:
    """Whether the explanations on disk are the user's own: from a file, or `sfal explain`'s."""
    table = _there(source_dir(data_dir, source.name))
    if table is None:
        return False
    origin = explanations_metadata(table).get("origin", {})
    return "file" in origin or "examples" in origin
