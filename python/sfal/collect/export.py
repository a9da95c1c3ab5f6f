"""The histogram of a run, in a file of the published layout."""

import logging
from dataclasses import replace
from pathlib import Path

from sfal.collect.corpus.files import is_local
from sfal.collect.settings import CollectSettings
from sfal.errors import MemoryLimitError, Note
from sfal.io.atomic import sha256_file
from sfal.sources.source import Source
from sfal.store.layout import histogram_name
from sfal.store.occurrences import read_occurrences
from sfal.store.records import HistogramRecord
from sfal.store.run_writer import RunWriter

logger = logging.getLogger(__name__)


def export_histogram(
    writer: RunWriter, source: Source, settings: CollectSettings
) -> tuple[Path | None, Note | None]:
    """Write the histogram of a complete run, unless it exists already.

    Parameters
    ----------
    writer : RunWriter
        The run.
    source : Source
        The source.
    settings : CollectSettings
        Whether to write it, and where.

    Returns
    -------
    path : Path or None
        The file; None if none was written.
    note : Note or None
        Why not.

    Raises
    ------
    MemoryLimitError
        If it does not fit into memory but was requested.
    ArtifactError
        If a count exceeds int32, a part is damaged, or the disk is full.
    """
    if settings.histogram == "none" or settings.shard is not None:
        return None, None
    manifest = writer.manifest
    folder = settings.save_dir or writer.folder
    path = folder / histogram_name(
        _portable(settings.corpus),
        manifest.source.model or source.model,
        source.sae.published_path,
        source.site,
        manifest.n_docs,
        settings.window_size,
    )
    written = manifest.histogram
    before = manifest.histogram_file(writer.folder)
    same = before is not None and before.resolve() == path.resolve()
    if written and same and _is_current(path, written, manifest.n_windows, settings):
        return path, None
    try:
        _write(writer, path)
    except MemoryLimitError as e:
        if settings.histogram == "npz":
            raise
        logger.info("%s", e)
        side = manifest.n_features
        return None, Note(
            f"no histogram: {side:,} × {side:,} counts ({4 * side * side / 2**30:.1f} GiB) do not "
            "fit into memory; scoring reads the occurrences and needs none"
        )
    facts = HistogramRecord(
        file=path.name,
        n_windows=manifest.n_windows,
        bytes=path.stat().st_size,
        sha256=sha256_file(path),
    )
    volatile = {**manifest.volatile, "histogram_folder": str(path.resolve().parent)}
    writer.save(replace(manifest, histogram=facts, volatile=volatile))
    same_folder = before is not None and before.parent.resolve() == path.resolve().parent
    if before is not None and same_folder and before.name != path.name:
        # Two histograms of one run in one folder would be ambiguous to every reader.
        before.unlink(missing_ok=True)
    return path, None


def _portable(corpus: str) -> str:
    """Return a corpus's name; that of a local one as an absolute path."""
    return str(Path(corpus).expanduser().resolve()) if is_local(corpus) else corpus


def _is_current(
    path: Path, written: HistogramRecord, n_windows: int, settings: CollectSettings
) -> bool:
    recorded = (written.n_windows, written.bytes)
    if not path.is_file() or recorded != (n_windows, path.stat().st_size):
        return False
    return not settings.redo_damaged or sha256_file(path) == written.sha256


def _write(writer: RunWriter, path: Path) -> None:
    from sfal.store.published.histogram import write_histogram

    occurrences = read_occurrences(writer.folder, writer.manifest)
    write_histogram(path, occurrences.histogram(), occurrences.n_windows)
