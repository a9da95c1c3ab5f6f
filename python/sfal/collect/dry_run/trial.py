"""A few seconds of a run, to estimate what all of it would take."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from sfal.collect.batching import Plan, plan_buffer
from sfal.collect.corpus.document import Document
from sfal.collect.inputs import load_model, load_source_sae
from sfal.collect.run import Run
from sfal.collect.settings import CollectSettings
from sfal.collect.throughput import Speed, initial_speed
from sfal.store.manifest import Counts, occurrences_dir
from sfal.store.parts import Windows, write_part

if TYPE_CHECKING:
    from sfal.collect.model.language_model import LanguageModel

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
        Sources on one model, not opened. They get their SAEs, or an error.
    settings : CollectSettings
        How they would be counted.
    texts : sequence of Document
        Documents; as many of them are passed as the time allows.

    Raises
    ------
    SfalError
        If the model or an SAE cannot be loaded, or a pass fails.
    """
    model = load_model(runs, settings)
    _raise_first(runs)
    for run in runs:
        run.sae = load_source_sae(run.source, model, settings)
    widths = {run.source.name: run.sae.n_features for run in runs if run.sae is not None}
    passes = _Passes(runs, model, settings)
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
    speed = initial_speed(model, len(runs)).plus(*last)
    return Trial(whole.counts, widths, speed, passes.bytes_per_window())


class _Passes:
    """Passes over documents that write to no run's folder."""

    def __init__(
        self, runs: Sequence[Run], model: "LanguageModel", settings: CollectSettings
    ) -> None:
        self._runs = runs
        self._model = model
        self._settings = settings
        self._windows: dict[str, list[Windows]] = {run.source.name: [] for run in runs}

    def plan(self, texts: Sequence[Document]) -> Plan:
        """Tokenise some documents, and plan their windows and batches."""
        prepend_bos = self._runs[0].source.prepend_bos
        settings = self._settings
        return plan_buffer(texts, self._model, settings, settings.batch_tokens, prepend_bos)

    def run(self, texts: Sequence[Document]) -> tuple[int, float]:
        """Count some documents; return their tokens and the seconds it took."""
        from sfal.collect.count import count_windows

        started = time.perf_counter()
        plan = self.plan(texts)
        found = count_windows(0, plan, self._runs, self._model)
        _raise_first(self._runs)
        for name, windows in found.items():
            self._windows[name].append(windows)
        return plan.counts.tokens, time.perf_counter() - started

    def bytes_per_window(self) -> dict[str, float]:
        """Write all windows of each source to a part, and return its bytes per window."""
        with TemporaryDirectory() as folder:
            empty = _part_size(Path(folder), Windows.join([]))
            return {
                name: (_part_size(Path(folder), joined) - empty) / joined.n_windows
                for name, joined in ((n, Windows.join(kept)) for n, kept in self._windows.items())
            }


def _raise_first(runs: Sequence[Run]) -> None:
    for run in runs:
        if run.error is not None:
            raise run.error


def _part_size(folder: Path, windows: Windows) -> int:
    name = "part-000000.parquet"
    write_part(folder, name, windows)
    return (occurrences_dir(folder) / name).stat().st_size
