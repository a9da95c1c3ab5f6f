"""Write the page of some sources."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sfal.errors import CombinedError, Note, SfalError
from sfal.io.atomic import atomic_path
from sfal.report.html import render_page
from sfal.report.payload import Payload, build_payload
from sfal.report.source_data import SourceData, read_source_data
from sfal.scoring.selection import Selection, select_sources
from sfal.terminal.progress import progress

_PAGE_BYTES = 80_000
"""Room for markup, style and script."""


@dataclass(frozen=True)
class Written:
    """What a page shows, and what it does not."""

    n_sources: int
    """Sources shown."""
    payload: Payload
    """Its data."""
    n_bytes: int
    """Length of the file."""
    refused: Sequence[SfalError]
    """What was requested and is not shown."""
    notes: Sequence[Note]
    """What the user may want to know."""


def write_report(
    data_dir: Path, selection: Selection, path: Path, *, max_mb: float = 10
) -> Written:
    """Write one HTML file with the scores, labels and neighbours of some sources.

    Parameters
    ----------
    data_dir : Path
        Root of the data tree, ours or the published one.
    selection : Selection
        Sources, all scored before.
    path : Path
        File to write, atomically.
    max_mb : float
        Most megabytes (10⁶ bytes) of the file.

    Raises
    ------
    SfalError
        If no source can be shown (:class:`CombinedError` if there are several reasons), or
        the file cannot be written.
    """
    found = read_sources(data_dir, selection)
    payload = payload_of(found.sources, max_mb)
    html = render_page(payload).encode()
    with atomic_path(path) as temporary:
        temporary.write_bytes(html)
    return Written(len(found.sources), payload, len(html), found.refused, found.notes)


def payload_of(sources: Sequence[SourceData], max_mb: float) -> Payload:
    """Return the data of a page that is to have at most `max_mb` megabytes (10⁶ bytes)."""
    return build_payload(sources, int(max_mb * 1e6) - _PAGE_BYTES)


@dataclass(frozen=True)
class Found:
    """Sources to show, and those that cannot be shown."""

    sources: Sequence[SourceData]
    """The sources, with all neighbours."""
    refused: Sequence[SfalError]
    """What was requested and is not shown."""
    notes: Sequence[Note]
    """What the user may want to know."""


def read_sources(data_dir: Path, selection: Selection) -> Found:
    """Read the sources that a page is to show, and list all neighbours.

    Raises
    ------
    SfalError
        If no source can be shown (:class:`CombinedError` if there are several reasons).
    """
    selected = select_sources(data_dir, selection)
    refused: list[SfalError] = list(selected.refused)
    notes = [Note(f"left out: {error.message}", error.hint) for error in selected.skipped]
    sources: list[SourceData] = []
    with progress(len(selected.sources), "reading", "source") as bar:
        for source in selected.sources:
            bar.note(source=source.name)
            try:
                one = read_source_data(source)
            except SfalError as e:
                refused += e.errors if isinstance(e, CombinedError) else [e]
            else:
                sources.append(one)
                refused += one.refused
                notes += one.notes
                notes += [note for each in one.embeddings for note in each.notes]
            bar.update(1)
    if not sources:
        raise refused[0] if len(refused) == 1 else CombinedError(refused)
    return Found(sources, refused, notes)
