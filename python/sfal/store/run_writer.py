"""Writing a run so that it can be killed at any instant and go on with the same bits."""

import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from sfal.errors import ArtifactError, InvalidInputError
from sfal.io.atomic import remove_temporaries
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


@dataclass
class _Open:
    """A part in memory."""

    first: int
    stop: int = 0
    pieces: list[Windows] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    documents_sha256: str = ""

    def add(self, stop: int, windows: Windows, counts: Counts, documents_sha256: str) -> None:
        self.pieces.append(windows)
        self.stop, self.documents_sha256 = stop, documents_sha256
        self.counts += counts

    def joined(self) -> Windows:
        self.pieces = [Windows.join(self.pieces)]
        return self.pieces[0]


def extended(folder: Path, manifest: Manifest, n_docs: int, stop: int | None) -> Manifest:
    """Copy of a run's manifest that asks for other documents.

    Raises
    ------
    InvalidInputError
        If the run holds more documents already.
    """
    manifest = replace(manifest, n_docs=n_docs, stop=stop)
    parts = manifest.parts
    if parts and parts[-1].stop > manifest.end:
        raise InvalidInputError(
            f"{folder} holds {parts[-1].stop - manifest.start} documents already, more "
            f"than asked for; ask for as many with --n-docs, or name a new run with --run NAME "
            "(one with --examples goes into another --data-dir)"
        )
    return manifest


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
        self._open: _Open | None = None
        self._remove_strays()
        remove_temporaries(folder)
        remove_temporaries(occurrences_dir(folder))

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
            self.save(replace(self.manifest.with_parts(kept), histogram=None))
        return damaged

    def extend(self, n_docs: int, stop: int | None) -> None:
        """Ask for other documents than before; what is there already stays.

        Raises
        ------
        InvalidInputError
            If the run holds more documents already.
        """
        manifest = extended(self.folder, self.manifest, n_docs, stop)
        parts = manifest.parts
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
        if self._open is None:
            self._open = self._reopened(first, checkpoints_only=not self._aligned(stop))
        if self._open is not None and (first != self._open.stop or not self._aligned(stop)):
            # Buffers of a gap further on, or the run's last one, cut short: a part of its own.
            self._close()
        if self._open is None:
            self._open = _Open(first)
        self._open.add(stop, windows, counts, documents_sha256)
        if (
            self._full(self._open.counts)
            or not self._aligned(stop)
            or any(part.first == stop for part in self.manifest.parts)
        ):
            self._close()
        elif self._clock() - self._saved_at >= CHECKPOINT_SECONDS:
            self._write(self._open, f"{self._stem(self._open)}-to-{stop}.parquet")

    def finish(self, corpus_ended_at: int | None = None) -> None:
        """Write what is left, and note the end of the corpus where it has come."""
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
        """Forget what has not been written."""
        self._open = None

    def _gaps(self) -> list[tuple[int, int]]:
        if self._open is None:
            return self.manifest.gaps
        # What is in memory counts as there, and so does what it replaces.
        in_memory = Part("", "", self._open.first, self._open.stop, Counts(), "")
        return self.manifest.with_part(in_memory).gaps

    def _full(self, counts: Counts) -> bool:
        return counts.windows >= self._part_windows or counts.occurrences >= PART_OCCURRENCES

    def _aligned(self, stop: int) -> bool:
        return (stop - self.manifest.start) % self._buffer == 0

    def _reopened(self, first: int, checkpoints_only: bool) -> "_Open | None":
        """The part that ends at `first`, to be made longer, if it was not full yet."""
        part = next((p for p in self.manifest.parts if p.stop == first), None)
        if part is None or self._full(part.counts) or not self._aligned(part.stop):
            return None
        if checkpoints_only and "-to-" not in part.file:
            return None
        found = _Open(part.first)
        windows = read_part(self.folder, part)
        found.add(part.stop, windows, part.counts, part.documents_sha256)
        stem = self._stem(found)
        if part.file == f"{stem}.parquet":
            # Its name is that of the longer part to come; free it while the manifest is whole.
            self._write(found, f"{stem}-to-{part.stop}.parquet")
        return found

    def _close(self) -> None:
        if self._open is not None:
            self._write(self._open, f"{self._stem(self._open)}.parquet")
            self._open = None

    def _write(self, content: "_Open", name: str) -> None:
        """Write an open part under a name, and make the manifest know it."""
        windows = content.joined()
        sha256 = write_part(self.folder, name, windows)
        part = Part(
            name, sha256, content.first, content.stop, content.counts, content.documents_sha256
        )
        self.save(self.manifest.with_part(part))

    def _stem(self, content: "_Open") -> str:
        """Name of an open part without its ending: the number behind the part before it."""
        before, after = [-1], set()
        for part in self.manifest.parts:
            match = _NAME.fullmatch(part.file)
            if match and part.stop <= content.first:
                before.append(int(match[1]))
            elif match and part.first >= content.stop:
                after.add(int(match[1]))
        number = max(before) + 1
        if number in after:
            number = max(after) + 1
        return f"part-{number:06d}"

    def _remove_strays(self) -> None:
        """Remove parts that the manifest does not name: unfinished, damaged or replaced ones."""
        folder = occurrences_dir(self.folder)
        if not folder.is_dir():
            return
        known = {part.file for part in self.manifest.parts}
        for path in folder.iterdir():
            if _NAME.fullmatch(path.name) and path.name not in known:
                with suppress(OSError):
                    path.unlink()
