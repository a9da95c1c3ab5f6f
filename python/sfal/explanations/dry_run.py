"""An estimate of what :func:`sfal.download_explanations` would download."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from sfal.errors import SfalError
from sfal.explanations.each_source import Sources, requested_sources
from sfal.explanations.neuronpedia import export_bytes
from sfal.explanations.settings import DownloadSettings
from sfal.explanations.source_explanations import holds_own_explanations
from sfal.io.download_size import Download
from sfal.store.source_folder import SourceFolder


def estimate(sources: Sources, settings: DownloadSettings, data_dir: Path) -> Iterator[str]:
    """Yield lines that say how much would be downloaded; nothing is stored.

    Parameters
    ----------
    sources : str, Source, or sequence of these
        Sources.
    settings : DownloadSettings
        Where explanations would come from.
    data_dir : Path
        Root of the data tree.
    """
    # One attempt: an estimate is not worth waiting for a server that does not answer.
    settings = replace(settings, patience=replace(settings.patience, attempts=1))
    for source in requested_sources(sources, data_dir):
        yield f"explanations of {source.name}"
        yield f"  to download  {_export(source, settings)}"


def _export(source: SourceFolder, settings: DownloadSettings) -> Download:
    if settings.keep_own and holds_own_explanations(source):
        return Download(0, "its own explanations on disk are kept")
    if source.neuronpedia_id is None:
        return Download(None, f"{source.name} has no explanations on Neuronpedia")
    try:
        n_bytes = export_bytes(source.neuronpedia_id, source.path, settings.patience)
    except SfalError as e:
        return Download(None, e.message)
    return Download(n_bytes, "they were fetched before")
