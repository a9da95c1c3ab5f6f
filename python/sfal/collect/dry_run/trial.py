"""A few seconds of a run, to estimate what all of it would take."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sfal.collect.batching import Buffer, Plan
from sfal.collect.corpus.document import Document
from sfal.collect.executors.placement import devices_in
from sfal.collect.run import Run
from sfal.collect.session.session import CollectSpec, Session
from sfal.collect.settings import CollectSettings
from sfal.collect.throughput import Speed
from sfal.errors import SfalError
from sfal.store.manifest import Counts, occurrences_dir
from sfal.store.parts import Windows, write_part

SECONDS = 5.0
"""Time the passes may take, without loading; the first one takes as long as it needs."""


@dataclass(frozen=True)
class Trial:
    """What a model and its SAEs did on a few documents."""

    counts: Counts
    """Totals over the documents."""
    n_features: dict[str, int]
    """Width of each source's SAE."""
    speed: Speed | None
    """None if no document had a window."""
    bytes_per_window: dict[str, float]
    """Size on disk of a window of each source; empty if no document had one."""


def measure(runs: Sequence[Run], settings: CollectSettings, texts: Sequence[Document]) -> Trial:
    """Pass some documents through a model and its SAEs as a run does, without storing anything.

    Parameters
    ----------
    runs : sequence of Run
        Sources on one model, not opened.
    settings : CollectSettings
        How they would be counted.
    texts : sequence of Document
        Documents; as many of them are passed as the time allows.

    Raises
    ------
    SfalError
        If the model or an SAE cannot be loaded, or a pass fails.
    """
    spec = CollectSpec(tuple(run.source for run in runs), settings)
    session = spec.load(devices_in(settings.devices)[0] if settings.devices else settings.device)
    widths = {}
    for name, found in session.facts.sources.items():
        if isinstance(found, SfalError):
            raise found
        widths[name] = found.n_features
    passes = _Passes(session)
    whole = passes.plan(texts)
    useful = [document for document, ids in enumerate(whole.ids) if ids]
    if not useful:
        return Trial(whole.counts, widths, None, {})
    # The first pass takes longer than any later one, so give it the shortest document.
    useful.sort(key=lambda document: len(whole.ids[document]))
    last = passes.run([texts[useful.pop(0)]])
    useful.sort()
    spent, size = last[1], 1
    while useful and spent + 2 * last[1] < SECONDS:
        some, useful = useful[:size], useful[size:]
        # Only the last pass gives the speed: it is the longest and most representative.
        last = passes.run([texts[document] for document in some])
        spent, size = spent + last[1], 2 * size
    speed = session.facts.speed.plus(*last)
    return Trial(whole.counts, widths, speed, passes.bytes_per_window())


class _Passes:
    """Passes over documents that write to no run's folder."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._windows: dict[str, list[Windows]] = {name: [] for name in session.readers}

    def plan(self, texts: Sequence[Document]) -> Plan:
        """Tokenise some documents, and plan their windows and batches."""
        name = next(iter(self._session.readers))
        [plan] = self._session.plan(Buffer(0, list(texts)), [name]).values()
        return plan

    def run(self, texts: Sequence[Document]) -> tuple[int, float]:
        """Count some documents; return their tokens and the seconds it took."""
        started = time.perf_counter()
        counted = self._session.count(Buffer(0, list(texts)))
        for name, found in counted.sources.items():
            if isinstance(found, SfalError):
                raise found
            self._windows[name].append(found[0])
        return counted.tokens, time.perf_counter() - started

    def bytes_per_window(self) -> dict[str, float]:
        """Write all windows of each source to a part, and return its bytes per window."""
        with TemporaryDirectory() as folder:
            empty = _part_size(Path(folder), Windows.join([]))
            return {
                name: (_part_size(Path(folder), joined) - empty) / joined.n_windows
                for name, joined in ((n, Windows.join(kept)) for n, kept in self._windows.items())
            }


def _part_size(folder: Path, windows: Windows) -> int:
    name = "part-000000.parquet"
    write_part(folder, name, windows)
    return (occurrences_dir(folder) / name).stat().st_size
