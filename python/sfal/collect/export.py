"""The histogram of a run, in a file as it is published."""

import logging
from dataclasses import replace
from pathlib import Path

from sfal.collect.settings import CollectSettings
from sfal.errors import MemoryLimitError
from sfal.io.atomic import sha256_file
from sfal.sources.source import Source
from sfal.store.layout import histogram_name
from sfal.store.occurrences import read_occurrences
from sfal.store.records import HistogramRecord
from sfal.store.run_writer import RunWriter

logger = logging.getLogger(__name__)


def export_histogram(
    writer: RunWriter, source: Source, settings: CollectSettings
) -> tuple[Path | None, str | None]:
    """Write the histogram of a complete run, unless it is there already.

    Parameters
    ----------
    writer : RunWriter
        The run.
    source : Source
        What was counted.
    settings : CollectSettings
        Says whether to write it, and where.

    Returns
    -------
    path : Path or None
        The file, None where none was written.
    note : str or None
        Why not.

    Raises
    ------
    MemoryLimitError
        If it does not fit the memory but was asked for.
    ArtifactError
        If a count is beyond int32, a part is damaged, or the disk is full.
    """
    if settings.histogram == "none" or settings.shard is not None:
        return None, None
    manifest = writer.manifest
    folder = settings.save_dir or writer.folder
    path = folder / histogram_name(
        settings.corpus,
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
        return None, (
            f"no histogram: {side:,} × {side:,} counts ({4 * side * side / 2**30:.1f} GiB) do not "
            "fit the memory; scoring reads the occurrences and needs none"
        )
    facts = HistogramRecord(
        file=path.name,
        n_windows=manifest.n_windows,
        bytes=path.stat().st_size,
        sha256=sha256_file(path),
    )
    volatile = {**manifest.volatile, "histogram_folder": str(path.resolve().parent)}
    writer.save(replace(manifest, histogram=facts, volatile=volatile))
    here = before is not None and before.parent.resolve() == path.resolve().parent
    if before is not None and here and before.name != path.name:
        # Two histograms of one run in one folder would be an ambiguity for every reader.
        before.unlink(missing_ok=True)
    return path, None


def _is_current(
    path: Path, written: HistogramRecord, n_windows: int, settings: CollectSettings
) -> bool:
    known = (written.n_windows, written.bytes)
    if not path.is_file() or known != (n_windows, path.stat().st_size):
        return False
    return not settings.redo_damaged or sha256_file(path) == written.sha256


def _write(writer: RunWriter, path: Path) -> None:
    from sfal.store.published.histogram import write_histogram

    occurrences = read_occurrences(writer.folder, writer.manifest)
    write_histogram(path, occurrences.histogram(), occurrences.n_windows)
