"""Writing a run so that it can be killed at any instant and go on with the same bits."""

import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from sfal.errors import ArtifactError, InvalidInputError
from sfal.store.files import remove_temporaries
from sfal.store.manifest import Counts, Manifest, Part, occurrences_dir
from sfal.store.parts import Windows, check_part, read_part, write_part

PART_WINDOWS = 8192
"""Windows after which a part is closed."""
PART_OCCURRENCES = 1 << 24
"""Occurrences after which it is closed too: 64 MiB in memory."""
CHECKPOINT_SECONDS = 60.0
"""Time after which an unfinished part is written too, so that no more than that is lost."""

_NAME = re.compile(r"part-(\d{6,})(?:-to-\d+)?\.parquet")

logger = logging.getLogger(__name__)


class RunWriter:
    """Takes a run's windows buffer by buffer, and keeps its parts and its manifest.

    Where parts begin and end depends on the windows alone: a part closes at
    the end of the buffer in which it becomes large enough. A part that is
    not yet large enough is written all the same when time has passed or the
    run ends; whoever goes on reads it back and makes it longer. A buffer cut
    short by the end of the run is a part of its own, which a longer run
    redoes. So files and bits are those of a run that was never stopped.

    The caller holds the folder's lock.

    Parameters
    ----------
    folder : Path
        The run's folder.
    manifest : Manifest
        What is there, or a new one; it is saved with the first part.
    buffer_documents : int
        Documents in a buffer that is not cut short.
    part_windows : int
        Windows after which a part is closed.
    clock : callable
        Seconds that never fall, for tests.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        buffer_documents: int,
        part_windows: int = PART_WINDOWS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self._buffer = buffer_documents
        self._part_windows = part_windows
        self._clock = clock
        self._saved_at = clock()
        self._reset(None)
        self._remove_strays()

    def drop_damaged(self) -> list[Part]:
        """Forget parts whose files are missing or changed, so that they are redone."""
        damaged = []
        for part in self.manifest.parts:
            try:
                check_part(self.folder, part)
            except ArtifactError as e:
                logger.warning("%s", e)
                damaged.append(part)
        if damaged:
            kept = [part for part in self.manifest.parts if part not in damaged]
            self._save(replace(self.manifest.with_parts(kept), histogram=None))
        return damaged

    def extend(self, n_docs: int, stop: int | None) -> None:
        """Ask for other documents than before; what is there already stays.

        Raises
        ------
        InvalidInputError
            If the run holds more documents already.
        """
        manifest = replace(self.manifest, n_docs=n_docs, stop=stop)
        parts = manifest.parts
        if parts and parts[-1].stop > manifest.end:
            raise InvalidInputError(
                f"{self.folder} holds {parts[-1].stop - manifest.start} documents already, more "
                f"than asked for; ask for as many with --n-docs, or name a new run with --run NAME"
            )
        if parts and parts[-1].stop < manifest.end and not self._aligned(parts[-1].stop):
            manifest = manifest.with_parts(parts[:-1])
        self.manifest = manifest

    def wants(self, first: int, stop: int) -> bool:
        """Whether documents from `first` up to `stop` are still to be counted."""
        return any(start < stop and first < end for start, end in self._gaps())

    @property
    def next_document(self) -> int | None:
        """Ordinal of the first document still to be counted; None when all are."""
        gaps = self._gaps()
        return gaps[0][0] if gaps else None

    def append(
        self, first: int, stop: int, windows: Windows, counts: Counts, documents_sha256: str
    ) -> None:
        """Add the windows of the documents from `first` up to `stop`, one whole buffer.

        Raises
        ------
        ArtifactError
            If a part cannot be written. What the manifest names stays usable.
        """
        if self._first is None:
            self._reopen(first, checkpoints_only=not self._aligned(stop))
        if first != self._stop or not self._aligned(stop):
            # Buffers of a gap further on, or the run's last one, cut short: a part of its own.
            self._close()
        if self._first is None:
            self._first = first
        self._stop, self._sha256 = stop, documents_sha256
        self._pieces.append(windows)
        self._counts += counts
        full = (
            self._counts.windows >= self._part_windows
            or self._counts.occurrences >= PART_OCCURRENCES
        )
        if full or self._meets_part(stop) or not self._aligned(stop):
            self._close()
        elif self._clock() - self._saved_at >= CHECKPOINT_SECONDS:
            self._write(f"{self._stem()}-to-{stop}.parquet")

    def finish(self, corpus_ended_at: int | None = None) -> None:
        """Write what is left, and note the end of the corpus where it has come."""
        if self._first is None and self.manifest.parts:
            self._reopen(self.manifest.parts[-1].stop, checkpoints_only=True)
        self._close()
        if corpus_ended_at is not None:
            self._save(replace(self.manifest, corpus_ended_at=corpus_ended_at))

    def save(self, manifest: Manifest) -> None:
        """Replace the manifest, its parts being the same."""
        self._save(manifest)

    def discard(self) -> None:
        """Forget what has not been written."""
        self._reset(None)

    def _gaps(self) -> list[tuple[int, int]]:
        if self._first is None:
            return self.manifest.gaps
        # The open part counts as there, and so does what it replaces.
        open_part = Part("open", "", self._first, self._stop, Counts(), "")
        return self.manifest.with_part(open_part).gaps

    def _aligned(self, stop: int) -> bool:
        return (stop - self.manifest.start) % self._buffer == 0

    def _meets_part(self, stop: int) -> bool:
        return any(part.first == stop for part in self.manifest.parts)

    def _reopen(self, first: int, checkpoints_only: bool) -> None:
        """Take back the part that ends at `first` if it was not full yet."""
        part = next((p for p in self.manifest.parts if p.stop == first), None)
        if (
            part is None
            or part.counts.windows >= self._part_windows
            or part.counts.occurrences >= PART_OCCURRENCES
            or not self._aligned(part.stop)
            or self._meets_part(part.stop)
            or (checkpoints_only and "-to-" not in part.file)
        ):
            return
        windows = read_part(self.folder, part)
        self._reset(part.first)
        self._stop, self._sha256 = part.stop, part.documents_sha256
        self._pieces, self._counts = [windows], part.counts
        if part.file == f"{self._stem()}.parquet":
            # Its name is that of the longer part to come; free it while the manifest is whole.
            self._write(f"{self._stem()}-to-{part.stop}.parquet")

    def _close(self) -> None:
        if self._first is not None:
            self._write(f"{self._stem()}.parquet")
            self._reset(None)

    def _write(self, name: str) -> None:
        """Write the open part under a name, and make the manifest know it."""
        if self._first is None:
            return
        self._pieces = [Windows.join(self._pieces)]
        sha256 = write_part(self.folder, name, self._pieces[0])
        part = Part(name, sha256, self._first, self._stop, self._counts, self._sha256)
        self._save(self.manifest.with_part(part))

    def _save(self, manifest: Manifest) -> None:
        before = {part.file for part in self.manifest.parts}
        manifest.save(self.folder)
        self.manifest = manifest
        for file in before - {part.file for part in manifest.parts}:
            with suppress(OSError):
                (occurrences_dir(self.folder) / file).unlink()
        self._saved_at = self._clock()

    def _stem(self) -> str:
        """Name of the open part without its ending: the number behind the part before it."""
        first = self._first or 0
        numbers = {
            int(match[1]): part
            for part in self.manifest.parts
            if (match := _NAME.fullmatch(part.file))
        }
        before = [number for number, part in numbers.items() if part.stop <= first]
        after = {number for number, part in numbers.items() if part.first >= self._stop}
        number = max(before, default=-1) + 1
        if number in after:
            number = max(numbers) + 1
        return f"part-{number:06d}"

    def _reset(self, first: int | None) -> None:
        self._first = first
        self._stop = 0
        self._sha256 = ""
        self._counts = Counts()
        self._pieces: list[Windows] = []

    def _remove_strays(self) -> None:
        """Remove files of parts that no manifest names: a part that was never finished."""
        folder = occurrences_dir(self.folder)
        remove_temporaries(self.folder)
        if not folder.is_dir():
            return
        remove_temporaries(folder)
        known = {part.file for part in self.manifest.parts}
        for path in folder.iterdir():
            if _NAME.fullmatch(path.name) and path.name not in known:
                with suppress(OSError):
                    path.unlink()
