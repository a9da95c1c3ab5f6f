"""From firings to the windows of a run, and to its parts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfal.collect.imported.documents import Documents
from sfal.collect.imported.rows import Integers
from sfal.collect.imported.slices import Slice, distinct
from sfal.errors import InvalidInputError
from sfal.store.layout import PartName
from sfal.store.manifest import Counts, Part
from sfal.store.parts import Windows, write_part
from sfal.store.run_writer import PART_OCCURRENCES, PART_WINDOWS

_MOST_AT_ONCE = 1 << 21
"""Windows, and documents, that are held at once."""
_MOST_IN_ALL = 1 << 32


@dataclass(frozen=True)
class Block:
    """Consecutive documents with all their windows."""

    documents: Integers
    """The documents, increasing."""
    lengths: Integers
    """Tokens of each, or windows if the files name windows."""
    n_windows: Integers
    """Windows of each."""
    windows: Windows
    """Their windows."""


class WindowMaker:
    """Maker of blocks from slices, in the order of the documents."""

    def __init__(self, documents: Documents, where: str) -> None:
        self._documents = documents
        self._where = where
        self._position = 0
        self._total = 0

    def blocks(self, stop: int | None, slices: Sequence[Slice]) -> Iterator[Block]:
        """Make the windows of all documents before `stop`; None: of all that are left."""
        if self._documents.n_docs is not None and self._documents.lengths_known:
            stop = self._documents.n_docs if stop is None else stop
            while self._position < stop:
                end = min(stop, self._position + _MOST_AT_ONCE)
                inside, slices = _cut(slices, end)
                yield from self._made(np.arange(self._position, end), inside)
                self._position = end
            return
        found = [piece.documents for piece in slices]
        yield from self._made(np.unique(np.concatenate(found or [np.zeros(0, np.int64)])), slices)

    def _made(self, documents: Integers, slices: Sequence[Slice]) -> Iterator[Block]:
        if not len(documents):
            return
        seen = np.zeros(len(documents), np.int64)
        for piece in slices:
            place = np.searchsorted(documents, piece.documents)
            np.maximum.at(seen, place, piece.seen)
        lengths = self._documents.lengths_of(documents, seen, self._where)
        n_windows = self._documents.n_windows(lengths, documents, self._where)
        self._total += int(n_windows.sum())
        if self._total > _MOST_IN_ALL:
            raise InvalidInputError(
                f"{self._where}: more than {_MOST_IN_ALL:,} windows",
                hint="check the columns of documents and positions, or use a larger $window_size",
            )
        ends = np.cumsum(n_windows)
        first = 0
        while first < len(documents):
            before = int(ends[first - 1]) if first else 0
            stop = int(np.searchsorted(ends, before + _MOST_AT_ONCE, side="right"))
            stop = max(first + 1, stop)
            last = stop == len(documents)
            inside, slices = (slices, []) if last else _cut(slices, int(documents[stop]))
            chosen = slice(first, stop)
            yield _block(documents[chosen], lengths[chosen], n_windows[chosen], inside)
            first = stop


def _cut(slices: Sequence[Slice], stop: int) -> tuple[list[Slice], list[Slice]]:
    cut = [piece.cut(stop) for piece in slices]
    return [before for before, _ in cut], [after for _, after in cut]


def _block(
    documents: Integers, lengths: Integers, n_windows: Integers, slices: Sequence[Slice]
) -> Block:
    starts = np.cumsum(n_windows) - n_windows
    total = int(n_windows.sum())
    features: list[NDArray[np.uint64]] = []
    rows: list[NDArray[np.uint64]] = []
    for piece in slices:
        place = np.searchsorted(documents, piece.documents)
        window = piece.keys >> np.uint64(32)
        inside = window < np.repeat(n_windows[place], piece.counts).astype(np.uint64)
        window += np.repeat(starts[place], piece.counts).astype(np.uint64)
        feature = piece.keys & np.uint64((1 << 32) - 1)
        if not inside.all():  # tokens after a document's last window
            window, feature = window[inside], feature[inside]
        rows.append(window)
        features.append(feature)
    largest = max((int(one.max()) for one in features if len(one)), default=0)
    bits = largest.bit_length()
    # Half the bytes sort in less than half the time.
    kind = np.dtype(np.uint32 if total << bits < 1 << 32 else np.uint64)
    packed: NDArray[Any] = np.zeros(sum(map(len, rows)), kind)
    at = 0
    for window, feature in zip(rows, features, strict=True):
        packed[at : at + len(window)] = window << np.uint64(bits) | feature
        at += len(window)
    packed = distinct(packed)
    bounds = (np.arange(total + 1, dtype=np.uint64) << np.uint64(bits)).astype(kind)
    indptr = np.searchsorted(packed, bounds).astype(np.int64)
    indices = (packed & kind.type((1 << bits) - 1)).astype(np.uint32)
    ordinals = np.arange(total) - np.repeat(starts, n_windows)
    windows = Windows(
        np.repeat(documents, n_windows).astype(np.uint64),
        ordinals.astype(np.uint32),
        indptr,
        indices,
    )
    return Block(documents, lengths, n_windows, windows)


class PartWriter:
    """Writer of parts, which end where the content says, however it was read."""

    def __init__(self, folder: Path, documents: Documents) -> None:
        self._folder = folder
        self._documents = documents
        self.parts: list[Part] = []
        """Parts written, none of which a manifest names yet."""
        self.n_features = 0
        """Largest feature that occurs, plus 1."""
        self._pieces: list[Windows] = []
        self._counts = Counts()
        self._first = 0
        self._stop = 0

    def add(self, block: Block) -> None:
        """Add a block; a part is written as soon as documents follow a full one."""
        if block.windows.indices.size:
            self.n_features = max(self.n_features, int(block.windows.indices.max()) + 1)
        windows = np.cumsum(block.n_windows)
        occurrences = block.windows.indptr[windows]
        first = 0
        while first < len(block.documents):
            if self._counts.windows >= PART_WINDOWS or self._counts.occurrences >= PART_OCCURRENCES:
                self._write(int(block.documents[first]))
            row, entry = (int(windows[first - 1]), int(occurrences[first - 1])) if first else (0, 0)
            full = (windows - row + self._counts.windows >= PART_WINDOWS) | (
                occurrences - entry + self._counts.occurrences >= PART_OCCURRENCES
            )
            full[:first] = False
            stop = int(full.argmax()) + 1 if full.any() else len(block.documents)
            self._append(block, first, stop, row, int(windows[stop - 1]))
            first = stop

    def finish(self) -> int:
        """Write what is left; return the number of documents."""
        n_docs = self._documents.n_docs
        end = self._stop if n_docs is None else n_docs
        if end > self._first:
            self._write(end)
        return end

    def _append(self, block: Block, first: int, stop: int, row: int, end: int) -> None:
        found = block.windows
        indptr = found.indptr[row : end + 1]
        self._pieces.append(
            Windows(
                found.documents[row:end],
                found.ordinals[row:end],
                indptr - indptr[0],
                found.indices[indptr[0] : indptr[-1]],
            )
        )
        lengths, n_windows = block.lengths[first:stop], block.n_windows[first:stop]
        size = self._documents.window_size
        tokens = lengths * size if self._documents.by_window else lengths
        self._counts += Counts(
            documents=stop - first,
            empty=int((tokens == 0).sum()),
            too_short=int(((tokens > 0) & (n_windows == 0)).sum()),
            tokens=int(tokens.sum()),
            tokens_in_windows=int(np.minimum(n_windows * size, tokens).sum()),
            windows=end - row,
            occurrences=int(indptr[-1] - indptr[0]),
        )
        self._stop = int(block.documents[stop - 1]) + 1

    def _write(self, stop: int) -> None:
        name = str(PartName(len(self.parts)))
        counts = self._counts
        if self._documents.n_docs is not None:
            # Documents that no file names, and whose length is unknown, have no window.
            unnamed = stop - self._first - counts.documents
            counts += Counts(documents=unnamed, empty=unnamed)
        sha256 = write_part(self._folder, name, Windows.join(self._pieces))
        self.parts.append(Part(name, sha256, self._first, stop, counts, ""))
        self._first, self._pieces, self._counts = stop, [], Counts()
