"""Explanations of one source: downloaded, chosen, written to disk and read back."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sfal.errors import ArtifactError, InvalidInputError, Note
from sfal.explanations.chooser import Chooser, Preferences
from sfal.explanations.chosen_summary import ChosenSummary, summary_of
from sfal.explanations.neuronpedia import Export, cached_export, download_export
from sfal.explanations.records import (
    BEYOND_WIDTH,
    OTHER_SOURCE,
    DamagedBatchError,
    Record,
    RecordReader,
)
from sfal.explanations.settings import DownloadSettings
from sfal.explanations.user_files.columns import LabelColumns
from sfal.explanations.user_files.reader import LabelPlace, file_origin, read_explanations_file
from sfal.io.atomic import remove_temporaries
from sfal.io.lock import folder_lock
from sfal.store.explanations import (
    explanations_metadata,
    kinds,
    write_explanations,
)
from sfal.store.layout import EXPORT
from sfal.store.source_folder import SourceFolder

if TYPE_CHECKING:
    import pyarrow as pa

_log = logging.getLogger(__name__)

_FORMAT = 1
_TOO_MANY_KINDS = "too many kinds of explanation"
_MAX_BEYOND = 0.01
"""Share of records beyond the SAE's width above which all of them belong to another SAE."""


def choose_explanations(
    source: SourceFolder, settings: DownloadSettings | None = None
) -> ChosenSummary:
    """Fetch a source's explanations, choose one per feature, and write them.

    Parameters
    ----------
    source : SourceFolder
        The source.
    settings : DownloadSettings, optional
        Where explanations come from, and which are chosen.

    Raises
    ------
    DownloadError
        If Neuronpedia cannot be reached or does not have the source.
    InvalidInputError
        If the source is not on Neuronpedia and no file is given, or if no
        explanation has a requested explainer and type.
    ArtifactError
        If the records belong to another source.
    LockedError
        If another process is choosing the source's explanations.
    """
    settings = settings or DownloadSettings()
    with folder_lock(source.path / EXPORT, source.root):
        remove_temporaries(source.path)
        remove_temporaries(source.path / EXPORT)
        path = settings.explanations_file
        if path is None:
            return _from_export(source, settings)
        columns = LabelColumns(settings.feature_column, settings.label_column)
        notes: list[Note] = []
        return _choose(
            source,
            settings.preferences,
            str(path),
            {**file_origin(path), **columns.named},
            lambda left_out: read_explanations_file(path, left_out, _place(source), columns, notes),
            notes=notes,
        )


def keep_notes(source: SourceFolder, notes: Sequence[Note]) -> None:
    """Write what was said about a source's explanations into their metadata."""
    with folder_lock(source.path / EXPORT, source.root):
        table = source.explanations()
        metadata = explanations_metadata(table)
        texts = list(map(str, notes))
        if metadata.get("notes", []) != texts:
            write_explanations(source.path, table, {**metadata, "notes": texts})


def explanations_of(source: SourceFolder, preferences: Preferences | None = None) -> "pa.Table":
    """Return a source's explanations on disk, choosing again if other ones are requested.

    Parameters
    ----------
    source : SourceFolder
        The source.
    preferences : Preferences, optional
        Default: those with which the explanations were chosen.

    Returns
    -------
    table : Table
        As :func:`sfal.store.explanations.read_explanations` returns it.

    Raises
    ------
    ArtifactError
        If there are none yet, or the file is damaged.
    InvalidInputError
        If none has a requested explainer and type.
    """
    preferences = preferences or Preferences()
    table = source.explanations()
    metadata = explanations_metadata(table)
    if preferences in (Preferences(), _stored_preferences(metadata)):
        return table
    export = cached_export(source.path) if "etags_sha256" in metadata.get("origin", {}) else None
    if export is not None:
        settings = DownloadSettings(preferences.explainers, preferences.types)
        with folder_lock(source.path / EXPORT, source.root):
            _choose_from(export, source, settings)
        return source.explanations()
    found = kinds(table)
    if all(preferences.rank(*kind) is not None for kind in found):
        return table
    names = ", ".join(f"{t} by {e}" for t, e in found)
    raise InvalidInputError(
        f"{source.name}: the explanations on disk are {names}",
        hint="give the file again as $explanations_file, or fetch others with "
        f"$do_download({source.name})",
    )


def holds_own_explanations(source: SourceFolder) -> bool:
    """Return whether the explanations on disk come from the user's file or from examples."""
    table = _readable(source)
    if table is None:
        return False
    origin = explanations_metadata(table).get("origin", {})
    return "file" in origin or "examples" in origin


def record_reader(
    source: SourceFolder, export: Export, settings: DownloadSettings | None = None
) -> RecordReader:
    """Return a reader of an export's records for a source."""
    limits = (settings or DownloadSettings()).limits
    return RecordReader(export.source, source.n_features, limits)


def _place(source: SourceFolder) -> LabelPlace:
    site = source.record.site if source.record is not None else None
    source_id = source.neuronpedia_id.partition("/")[2] if source.neuronpedia_id else None
    return LabelPlace(source.n_features, source.layer, site, source_id)


def _from_export(source: SourceFolder, settings: DownloadSettings) -> ChosenSummary:
    if source.neuronpedia_id is None:
        with suppress(OSError):
            (source.path / EXPORT).rmdir()
        raise InvalidInputError(
            f"{source.name} is not on Neuronpedia",
            hint="give its explanations as $explanations_file, or make labels with "
            f"$do_explain({source.name})",
        )
    export = download_export(source.neuronpedia_id, source.path, settings.patience, settings.limits)
    try:
        return _choose_from(export, source, settings)
    except DamagedBatchError as e:
        # It was valid when it was fetched, so it was damaged on disk: fetch it once more.
        _log.warning("%s: damaged; fetching it again", e.path)
        e.path.unlink(missing_ok=True)
        export = download_export(
            source.neuronpedia_id, source.path, settings.patience, settings.limits
        )
        return _choose_from(export, source, settings)


def _choose_from(export: Export, source: SourceFolder, settings: DownloadSettings) -> ChosenSummary:
    reader = record_reader(source, export, settings)
    return _choose(
        source,
        settings.preferences,
        f"the export of {export.source}",
        {"neuronpedia": export.source, "etags_sha256": export.sha256},
        lambda left_out: reader.read(export.batches, left_out),
        export.n_fetched,
    )


def _choose(
    source: SourceFolder,
    preferences: Preferences,
    what: str,
    origin: Mapping[str, str],
    records: Callable[[Counter[str]], Iterable[Record]],
    n_fetched: int = 0,
    notes: Sequence[Note] = (),
) -> ChosenSummary:
    made_of = {
        "format": _FORMAT,
        "source": source.name,
        "origin": dict(origin),
        "preferences": preferences.describe(),
        "n_features": source.n_features,
    }
    stored = _readable(source)
    if stored is not None:
        metadata = explanations_metadata(stored)
        if all(metadata.get(key) == value for key, value in made_of.items()):
            return summary_of(source, stored, metadata, n_fetched, unchanged=True)
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
        "notes": list(map(str, notes)),
    }
    write_explanations(source.path, table, metadata)
    return replace(
        summary_of(source, table, metadata, n_fetched, unchanged=False), notes=tuple(notes)
    )


def _check_left_out(
    chooser: Chooser, left_out: Counter[str], source: SourceFolder, what: str
) -> None:
    n_usable = chooser.n_records
    n_beyond = left_out[BEYOND_WIDTH]
    if n_beyond > _MAX_BEYOND * (n_usable + n_beyond):
        raise ArtifactError(
            f"{what} explains features beyond the {source.n_features:,} of {source.name} "
            f"({n_beyond:,} records): these are explanations of another SAE"
        )
    if not n_usable:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in left_out.most_common())
        other = "these are explanations of another source" if left_out[OTHER_SOURCE] else ""
        raise ArtifactError(
            f"{what} holds no usable explanation"
            + (f"; left out: {reasons}" if reasons else "")
            + (f"; {other}" if other else "")
        )


def _readable(source: SourceFolder) -> "pa.Table | None":
    """Return the explanations on disk, or None if there are none that can be read."""
    if not source.has_explanations:
        return None
    try:
        return source.explanations()
    except ArtifactError:
        return None


def _stored_preferences(metadata: Mapping[str, Any]) -> Preferences | None:
    stored = metadata.get("preferences")
    if not isinstance(stored, dict):
        return None
    names = {k: None if v is None else tuple(v) for k, v in stored.items()}
    return Preferences(names.get("explainers"), names.get("types"))
