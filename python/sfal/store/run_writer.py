"""Writer of a run that can be killed at any instant and continued with the same bits."""

import logging
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from sfal.errors import ArtifactError, InvalidInputError
from sfal.io.atomic import remove_temporaries
from sfal.store.layout import MANIFEST, PartName
from sfal.store.manifest import Counts, Manifest, Part, occurrences_dir
from sfal.store.parts import Windows, check_part, read_part, write_part

PART_WINDOWS = 8192
"""Windows after which a part is closed."""
PART_OCCURRENCES = 1 << 24
"""Occurrences after which it is closed as well: 64 MiB in memory."""
CHECKPOINT_SECONDS = 60.0
"""Time after which an unfinished part is written as a checkpoint: the most that can be lost."""

logger = logging.getLogger(__name__)


@dataclass
class _Open:
    """A part in memory."""

    first: int
    stop: int = 0
    pieces: list[Windows] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    documents_sha256: str = ""
    devices: set[str] = field(default_factory=set)

    def add(self, stop: int, windows: Windows, counts: Counts, documents_sha256: str) -> None:
        self.pieces.append(windows)
        self.stop, self.documents_sha256 = stop, documents_sha256
        self.counts += counts

    def joined(self) -> Windows:
        self.pieces = [Windows.join(self.pieces)]
        return self.pieces[0]


def extended(folder: Path, manifest: Manifest, n_docs: int, stop: int | None) -> Manifest:
    """Return a copy of a run's manifest that requests other documents.

    Raises
    ------
    InvalidInputError
        If the run already holds more documents.
    """
    manifest = replace(manifest, n_docs=n_docs, stop=stop)
    parts = manifest.parts
    if parts and parts[-1].stop > manifest.end:
        raise InvalidInputError(
            f"{folder} holds {parts[-1].stop - manifest.start} documents already, more "
            "than requested",
            hint="request at least as many with $n_docs, or name a new run with $run(NAME) "
            "(a run with $examples needs another $data_dir instead)",
        )
    return manifest


class RunWriter:
    """Store for a run's windows that keeps its parts and its manifest consistent.

    Where parts begin and end depends only on the windows: a part closes at the
    end of the buffer in which it becomes large enough. A part that is not yet
    large enough is still written when time has passed (a checkpoint) or when
    the run ends; the process that continues the run reads it back and extends
    it. A buffer cut short by the end of the run becomes a part of its own,
    which a longer run counts again. So files and bits are those of a run that
    was never stopped.

    The caller holds the folder's lock.

    Parameters
    ----------
    folder : Path
        The run's folder.
    manifest : Manifest
        The one on disk, or a new one; it is saved with the first part.
    buffer_documents : int
        Documents in a buffer that is not cut short.
    part_windows : int
        Windows after which a part is closed.
    clock : callable
        Monotonic seconds, for tests.
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
        self._open: _Open | None = None
        self._remove_strays()
        remove_temporaries(folder)
        remove_temporaries(occurrences_dir(folder))

    def drop_damaged(self) -> list[Part]:
        """Drop parts whose files are missing or changed, so that they are counted again."""
        damaged = []
        for part in self.manifest.parts:
            try:
                check_part(self.folder, part)
            except ArtifactError as e:
                logger.warning("%s", e)
                damaged.append(part)
        if damaged:
            kept = [part for part in self.manifest.parts if part not in damaged]
            histogram = self.manifest.histogram_file(self.folder)
            self.save(replace(self.manifest.with_parts(kept), histogram=None))
            if histogram is not None:
                histogram.unlink(missing_ok=True)
        return damaged

    def extend(self, n_docs: int, stop: int | None) -> None:
        """Request other documents than before; what has been counted stays.

        Raises
        ------
        InvalidInputError
            If the run already holds more documents.
        """
        manifest = extended(self.folder, self.manifest, n_docs, stop)
        parts = manifest.parts
        if parts and parts[-1].stop < manifest.end and not self._aligned(parts[-1].stop):
            manifest = manifest.with_parts(parts[:-1])
        self.manifest = manifest

    def wants(self, first: int, stop: int) -> bool:
        """Return whether any document from `first` up to `stop` is still to be counted."""
        return any(start < stop and first < end for start, end in self._gaps())

    @property
    def next_document(self) -> int | None:
        """Ordinal of the first document still to be counted; None when all are."""
        gaps = self._gaps()
        return gaps[0][0] if gaps else None

    def append(
        self,
        first: int,
        stop: int,
        windows: Windows,
        counts: Counts,
        documents_sha256: str,
        device: str = "",
    ) -> None:
        """Add the windows of the documents from `first` up to `stop`, one whole buffer.

        The manifest records the model of the `device` that found them, if it is given.

        Raises
        ------
        ArtifactError
            If a part cannot be written. What the manifest names stays usable.
        """
        if self._open is None:
            self._open = self._reopened(first, checkpoints_only=not self._aligned(stop))
        if self._open is not None and (first != self._open.stop or not self._aligned(stop)):
            # A buffer of a later gap, or the run's last one, cut short, gets a part of its own.
            self._close()
        if self._open is None:
            self._open = _Open(first)
        self._open.add(stop, windows, counts, documents_sha256)
        if device:
            self._open.devices.add(device)
        if (
            self._full(self._open.counts)
            or not self._aligned(stop)
            or any(part.first == stop for part in self.manifest.parts)
        ):
            self._close()
        elif self._clock() - self._saved_at >= CHECKPOINT_SECONDS:
            self._write(self._open, checkpoint=True)

    def finish(self, corpus_ended_at: int | None = None) -> None:
        """Write what is left, and record the end of the corpus if it was reached."""
        if self._open is None and self.manifest.parts:
            self._open = self._reopened(self.manifest.parts[-1].stop, checkpoints_only=True)
        self._close()
        if corpus_ended_at is not None:
            self.save(replace(self.manifest, corpus_ended_at=corpus_ended_at))

    def save(self, manifest: Manifest) -> None:
        """Replace the manifest, and remove the files that it no longer names."""
        manifest.save(self.folder)
        self.manifest = manifest
        self._remove_strays()
        self._saved_at = self._clock()

    def discard(self) -> None:
        """Drop what has not been written."""
        self._open = None

    def remove(self) -> None:
        """Remove what has been written: the manifest, then the parts."""
        self._open = None
        (self.folder / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(occurrences_dir(self.folder), ignore_errors=True)

    def _gaps(self) -> list[tuple[int, int]]:
        if self._open is None:
            return self.manifest.gaps
        # What is in memory counts as written, and so does what it replaces.
        in_memory = Part("", "", self._open.first, self._open.stop, Counts(), "")
        return self.manifest.with_part(in_memory).gaps

    def _full(self, counts: Counts) -> bool:
        return counts.windows >= self._part_windows or counts.occurrences >= PART_OCCURRENCES

    def _aligned(self, stop: int) -> bool:
        return (stop - self.manifest.start) % self._buffer == 0

    def _reopened(self, first: int, checkpoints_only: bool) -> "_Open | None":
        """Return the part that ends at `first`, to be extended, if it was not full yet."""
        part = next((p for p in self.manifest.parts if p.stop == first), None)
        if part is None or self._full(part.counts) or not self._aligned(part.stop):
            return None
        if checkpoints_only and not part.is_checkpoint:
            return None
        found = _Open(part.first)
        windows = read_part(self.folder, part)
        found.add(part.stop, windows, part.counts, part.documents_sha256)
        found.devices.update(self.manifest.part_devices.get(part.file, ()))
        if part.file == str(PartName(self._number(found))):
            # The extended part will need this name; free it while the manifest is consistent.
            self._write(found, checkpoint=True)
        return found

    def _close(self) -> None:
        if self._open is not None:
            self._write(self._open, checkpoint=False)
            self._open = None

    def _write(self, content: "_Open", *, checkpoint: bool) -> None:
        """Write an open part, finished or as a checkpoint, and add it to the manifest."""
        name = PartName(self._number(content), content.stop if checkpoint else None)
        sha256 = write_part(self.folder, str(name), content.joined())
        part = Part(
            str(name),
            sha256,
            content.first,
            content.stop,
            content.counts,
            content.documents_sha256,
        )
        manifest = self.manifest.with_part(part)
        self.save(manifest.with_part_devices({part.file: content.devices}))

    def _number(self, content: "_Open") -> int:
        """Return the number of an open part: the one after the part before it."""
        before, after = [-1], set()
        for part in self.manifest.parts:
            name = PartName.parse(part.file)
            if name is not None and part.stop <= content.first:
                before.append(name.number)
            elif name is not None and part.first >= content.stop:
                after.add(name.number)
        number = max(before) + 1
        return max(after) + 1 if number in after else number

    def _remove_strays(self) -> None:
        """Remove parts that the manifest does not name: unfinished, damaged or replaced ones."""
        folder = occurrences_dir(self.folder)
        if not folder.is_dir():
            return
        known = {part.file for part in self.manifest.parts}
        for path in folder.iterdir():
            if PartName.parse(path.name) is not None and path.name not in known:
                with suppress(OSError):
                    path.unlink()
