"""What earlier runs of a model, on the same data folder, tell about a new one."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sfal.collect.run import Job
from sfal.collect.settings import CollectSettings
from sfal.collect.throughput import Speed, device_name
from sfal.errors import SfalError
from sfal.store.layout import RUNS
from sfal.store.manifest import Counts, Manifest, has_manifest, occurrences_dir
from sfal.store.source_folder import source_folders, subfolders


class Earlier:
    """Manifests of the runs of a model.

    Parameters
    ----------
    data_dir : Path
        Root of the data tree.
    jobs : sequence of Job
        What is to be run: on one model.
    settings : CollectSettings
        How.
    """

    def __init__(self, data_dir: Path, jobs: Sequence[Job], settings: CollectSettings) -> None:
        self._settings = settings
        self._names = {job.source.name for job in jobs}
        self._found: list[tuple[Path, Manifest]] = []
        model = jobs[0].identity()["model"]
        for folder in source_folders(data_dir):
            for run in (folder, *subfolders(folder / RUNS)):
                with suppress(SfalError):
                    if has_manifest(run) and (m := Manifest.load(run)).source.get("model") == model:
                        self._found.append((run, m))

    def speed(self) -> "tuple[Speed, str] | None":
        """Speed of the run most like the new one, and its name; None if there was none."""
        device, dtype = device_name(self._settings), self._settings.dtype
        found = [
            (manifest, speed)
            for _, manifest in self._found
            if (speed := Speed.of_manifest(manifest.volatile)) is not None
            and (speed.device, speed.dtype) == (device, dtype)
        ]
        if not found:
            return None
        manifest, speed = min(found, key=lambda one: self._unlike(*one))
        return speed, str(manifest.source["name"])

    def counts(self) -> Counts | None:
        """What documents of this corpus held, cut as they will be; None if none were counted."""
        wanted = _lengths(self._settings.deciding())
        found = [m.counts for _, m in self._found if _lengths(m.settings) == wanted]
        return max(found, key=lambda counts: counts.documents, default=None)

    def bytes_per_window(self, job: Job) -> float | None:
        """Size on disk of a window of a source; None if none of it has been counted."""
        for run, manifest in self._found:
            same = manifest.settings.get("window_size") == self._settings.window_size
            if same and manifest.source.get("name") == job.source.name and manifest.n_windows:
                with suppress(OSError):
                    files = [occurrences_dir(run) / part.file for part in manifest.parts]
                    return sum(file.stat().st_size for file in files) / manifest.n_windows
        return None

    def n_features(self, job: Job) -> int | None:
        """Width of a source's SAE; None if none of it has been counted."""
        widths = [m.n_features for _, m in self._found if m.source.get("name") == job.source.name]
        return widths[0] if widths else None

    def _unlike(self, manifest: Manifest, speed: Speed) -> tuple[bool, int, int]:
        other = manifest.source.get("name") not in self._names
        return other, abs(speed.sources - len(self._names)), -speed.tokens


def _lengths(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """What decides how many tokens and windows documents have."""
    corpus = settings.get("corpus")
    return corpus, *(settings.get(key) for key in ("max_length", "window_size", "tail"))
