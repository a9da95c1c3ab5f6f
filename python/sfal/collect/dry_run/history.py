"""What earlier runs of a model, in the same data folder, tell about a new one."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sfal.collect.run import Run, recorded
from sfal.collect.settings import CollectSettings
from sfal.collect.throughput import Speed, device_name, on_several
from sfal.store.manifest import Counts, Manifest, occurrences_dir
from sfal.store.source_folder import SourceFolder


class History:
    """Manifests of the runs of a model.

    Parameters
    ----------
    data_dir : Path
        Root of the data tree.
    runs : sequence of Run
        The runs to estimate, all on one model.
    settings : CollectSettings
        Their settings, with the device and dtype resolved.
    """

    def __init__(self, data_dir: Path, runs: Sequence[Run], settings: CollectSettings) -> None:
        self._settings = settings
        self._names = {run.source.name for run in runs}
        self._found: list[tuple[Path, Manifest]] = []
        model = runs[0].identity().model
        for folder in (
            folder for source in SourceFolder.all(data_dir) for folder in source.all_runs
        ):
            manifest = folder.readable_manifest
            if manifest is not None and manifest.source.model == model:
                self._found.append((folder.path, manifest))

    def speed(self, workers: int = 1) -> "tuple[Speed, str] | None":
        """Return the speed and name of the most similar run on so many devices, if there is one."""
        if self._settings.ray is not None:
            return None  # what devices its cluster has is not known here
        device = on_several(device_name(self._settings.device), workers)
        wanted = device, self._settings.dtype
        found = [
            (manifest, speed)
            for _, manifest in self._found
            if (speed := Speed.of_manifest(manifest.volatile)) is not None
            and (speed.device, speed.dtype) == wanted
        ]
        if not found:
            return None
        manifest, speed = min(found, key=lambda one: self._difference(*one))
        return speed, str(manifest.source.name)

    def counts(self) -> Counts | None:
        """Return totals over this corpus, truncated and cut alike; None if nothing was counted."""
        wanted = _lengths(recorded(self._settings))
        found = [m.counts for _, m in self._found if _lengths(m.settings) == wanted]
        return max(found, key=lambda counts: counts.documents, default=None)

    def bytes_per_window(self, run: Run) -> float | None:
        """Return the size on disk of a window of a source; None if none has been counted."""
        for folder, manifest in self._found:
            same = manifest.window_size == self._settings.window_size
            if same and manifest.source.name == run.source.name and manifest.n_windows:
                with suppress(OSError):
                    files = [occurrences_dir(folder) / part.file for part in manifest.parts]
                    return sum(file.stat().st_size for file in files) / manifest.n_windows
        return None

    def n_features(self, run: Run) -> int | None:
        """Return the width of a source's SAE; None if the source has not been counted."""
        widths = [m.n_features for _, m in self._found if m.source.name == run.source.name]
        return widths[0] if widths else None

    def _difference(self, manifest: Manifest, speed: Speed) -> tuple[bool, int, int]:
        """Rank runs by how little they differ from the new one."""
        other = manifest.source.name not in self._names
        return other, abs(speed.sources - len(self._names)), -speed.tokens


def _lengths(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what decides how many tokens and windows documents have."""
    corpus = settings.get("corpus")
    return corpus, *(settings.get(key) for key in ("max_length", "window_size", "tail"))
