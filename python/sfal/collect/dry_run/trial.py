"""A few seconds of a run, to know what all of it would take."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from sfal.collect.batching import BufferWindows, plan_buffer
from sfal.collect.inputs import load_model, load_one, point
from sfal.collect.run import Job
from sfal.collect.settings import CollectSettings
from sfal.collect.throughput import Speed, standing_start
from sfal.store.manifest import Counts, occurrences_dir
from sfal.store.parts import Windows, write_part

if TYPE_CHECKING:
    from sfal.collect.model.language_model import LanguageModel
    from sfal.collect.sae.sae import Sae

SECONDS = 5.0
"""What the passes may take, loading left aside; the first goes on for as long as it needs."""


@dataclass(frozen=True)
class Measured:
    """What a model and its SAEs showed on a few documents."""

    counts: Counts
    """What the documents held."""
    n_features: dict[str, int]
    """Width of each source's SAE."""
    speed: Speed | None
    """None if no document had a window."""
    bytes_per_window: dict[str, float]
    """Size on disk of a window of each source, likewise."""


def measure(jobs: Sequence[Job], settings: CollectSettings, texts: Sequence[str]) -> Measured:
    """Pass some documents through a model and its SAEs as a run does; nothing is kept.

    Parameters
    ----------
    jobs : sequence of Job
        Sources on one model, with nothing open.
    settings : CollectSettings
        How they would be counted.
    texts : sequence of str
        Documents; no more of them are passed than the time allows.

    Raises
    ------
    SfalError
        If the model or an SAE cannot be loaded.
    """
    model = load_model(jobs, settings)
    for job in jobs:
        if job.error is not None:
            raise job.error
    saes = {job.source.name: load_one(job.source, model, settings) for job in jobs}
    whole = plan_buffer(texts, model, settings, jobs[0].source.prepend_bos)
    widths = {name: sae.n_features for name, sae in saes.items()}
    useful = [place for place, ids in enumerate(whole.ids) if ids]
    if not useful:
        return Measured(whole.counts, widths, None, {})
    trial = _Trial(jobs, saes, model, settings)
    # The first pass takes longer than any later one, so the shortest document makes it.
    useful.sort(key=lambda place: len(whole.ids[place]))
    last = trial.run([texts[useful.pop(0)]])
    useful.sort()
    spent, size = last[1], 1
    while useful and spent + 2 * last[1] < SECONDS:
        some, useful = useful[:size], useful[size:]
        # Only the last pass is taken for the speed: it is the longest, and the likest to a run's.
        last = trial.run([texts[place] for place in some])
        spent, size = spent + last[1], 2 * size
    speed = standing_start(model, len(jobs), settings).plus(*last)
    return Measured(whole.counts, widths, speed, trial.sizes())


class _Trial:
    """Passes without a folder."""

    def __init__(
        self,
        jobs: Sequence[Job],
        saes: "dict[str, Sae]",
        model: "LanguageModel",
        settings: CollectSettings,
    ) -> None:
        self._jobs = jobs
        self._saes = saes
        self._model = model
        self._settings = settings
        self._windows: dict[str, list[Windows]] = {job.source.name: [] for job in jobs}

    def run(self, texts: Sequence[str]) -> tuple[int, float]:
        """Count some documents; their tokens, and the seconds that it took."""
        from sfal.collect.firing import fired_windows
        from sfal.collect.model.oom import max_elements

        started = time.perf_counter()
        bos = self._jobs[0].source.prepend_bos
        plan = plan_buffer(texts, self._model, self._settings, bos)
        found = {name: BufferWindows(0, plan) for name in self._windows}
        for batch in plan.batches:
            activations = self._model.activations([plan.ids[place] for place in batch])
            for job in self._jobs:
                here, sae = point(job.source), self._saes[job.source.name]
                windows = [plan.windows[place] for place in batch]
                fired = fired_windows(activations[here], windows, sae, max_elements(sae.device))
                found[job.source.name].add(batch, *fired)
        for name, kept in self._windows.items():
            kept.append(found[name].windows())
        return plan.counts.tokens, time.perf_counter() - started

    def sizes(self) -> dict[str, float]:
        """Bytes a window of each source takes on disk, as a part holds it."""
        with TemporaryDirectory() as folder:
            nothing = _size(Path(folder), Windows.join([]))
            return {
                name: (_size(Path(folder), joined) - nothing) / joined.n_windows
                for name, joined in ((n, Windows.join(kept)) for n, kept in self._windows.items())
            }


def _size(folder: Path, windows: Windows) -> int:
    name = "part-000000.parquet"
    write_part(folder, name, windows)
    return (occurrences_dir(folder) / name).stat().st_size
