"""Firings on their way into windows: sorted by document, packed, merged from several files.

A firing is a key, ``window << 32 | feature``. A slice holds the keys of some
documents in order, those of one document in any order. Files that are sorted
by document are streamed; others are sorted in pieces on disk first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfal.collect.imported.documents import Documents
from sfal.collect.imported.rows import Integers, Reader, check_rows

Keys = NDArray[np.uint64]

BLOCK = 1 << 22
"""Firings, of all files together, that are held before they are made into windows."""
RUN = 1 << 22
"""Firings that are sorted at once, if a file is not sorted."""
_FEATURE_BITS = np.uint64(32)
_FEATURE_MASK = np.uint64((1 << 32) - 1)

_Piece = tuple[Integers, Integers, Keys, NDArray[np.bool_]]
"""Documents, places plus 1, keys, and which rows fire."""


class UnsortedError(Exception):
    """A file that was taken to be sorted by document is not."""


@dataclass(frozen=True)
class Slice:
    """Firings of consecutive documents."""

    documents: Integers
    """Documents, increasing."""
    counts: Integers
    """Firings of each."""
    seen: Integers
    """Largest place of each that was named, firing or not, plus 1."""
    keys: Keys
    """Window and feature of each firing."""

    def cut(self, stop: int) -> "tuple[Slice, Slice]":
        """Split before a document."""
        at = int(np.searchsorted(self.documents, stop))
        row = int(self.counts[:at].sum())
        return (
            Slice(self.documents[:at], self.counts[:at], self.seen[:at], self.keys[:row]),
            Slice(self.documents[at:], self.counts[at:], self.seen[at:], self.keys[row:]),
        )

    def compacted(self) -> "Slice":
        """Return the same firings of a single document, each once."""
        keys = distinct(self.keys)
        return Slice(self.documents, np.array([len(keys)]), self.seen, keys)


class Source:
    """Checked firings of one file."""

    def __init__(self, reader: Reader, documents: Documents, n_features: int | None) -> None:
        self._reader = reader
        self._documents = documents
        self._n_features = n_features
        self.n_rows = 0
        """Rows read so far."""

    def _pieces(self, size: int) -> Iterator[_Piece]:
        """Read and check the rows."""
        for rows in self._reader.rows(size):
            fires = check_rows(self._reader.path, rows, self._n_features)
            where = str(self._reader.path)
            windows = self._documents.windows_of(rows.document, rows.place, where)
            special = windows < 0
            fires = np.ones(len(windows), bool) if fires is None else fires
            if special.any():
                fires = fires & ~special
                windows = np.maximum(windows, 0)
            keys = windows.astype(np.uint64) << _FEATURE_BITS | rows.feature.astype(np.uint64)
            # With special tokens, places are not counts of tokens; lengths are known then.
            ranked = self._documents.ranks is not None
            seen = np.zeros_like(rows.place) if ranked else rows.place + 1
            self.n_rows += len(keys)
            yield rows.document, seen, keys, fires

    def sorted_slices(self, size: int) -> Iterator[Slice]:
        """Read a file that is sorted by document.

        Raises
        ------
        UnsortedError
            If it is not.
        """
        last = -1
        for documents, seen, keys, fires in self._pieces(size):
            if not len(documents):
                continue
            if documents[0] < last or not (documents[1:] >= documents[:-1]).all():
                raise UnsortedError
            last = int(documents[-1])
            yield _grouped(documents, seen, keys, fires)

    def sort_to(self, folder: Path) -> list[Path]:
        """Sort a file in pieces, and write each into a folder; see :func:`stored_slices`."""
        found: list[Path] = []
        pending: list[_Piece] = []
        n = 0
        for piece in self._pieces(RUN // 4):
            pending.append(piece)
            n += len(piece[0])
            if n >= RUN:
                found.append(_store(folder / f"{len(found)}", pending))
                pending, n = [], 0
        if n:
            found.append(_store(folder / f"{len(found)}", pending))
        return found


def stored_slices(stored: Path, size: int) -> Iterator[Slice]:
    """Read what :meth:`Source.sort_to` wrote, `size` firings at a time."""
    documents, ends, seen = np.memmap(stored.with_suffix(".documents"), np.int64, "r").reshape(
        3, -1
    )
    total, first = int(ends[-1]), 0
    for row in range(0, max(total, 1), size):
        end = min(row + size, total)
        stop = int(np.searchsorted(ends, end, side="right"))
        cut_short = stop < len(ends) and end > (ends[stop - 1] if stop else 0)
        stop += cut_short  # a document that goes on in the next slice
        keys = np.fromfile(stored.with_suffix(".keys"), np.uint64, end - row, offset=8 * row)
        before = np.append(row, ends[first : stop - 1]) if stop > first else ends[:0]
        counts = np.clip(ends[first:stop], row, end) - np.clip(before, row, end)
        yield Slice(np.array(documents[first:stop]), counts, np.array(seen[first:stop]), keys)
        first = stop - cut_short


def merged(streams: Sequence[Iterator[Slice]]) -> Iterator[tuple[int | None, list[Slice]]]:
    """Merge streams that are sorted by document.

    Yields
    ------
    stop : int or None
        Document before which all is known now; None: the end.
    slices : list of Slice
        Firings of the documents before it that have not been yielded yet.
    """
    waiting: list[list[Slice]] = [[] for _ in streams]
    open_ = set(range(len(streams)))
    ready: list[Slice] = []
    compact_at = 2 * BLOCK
    while True:
        for i in list(open_):
            if not waiting[i] or _last(waiting[i]) == min(
                _last(waiting[j]) for j in open_ if waiting[j]
            ):
                piece = next(streams[i], None)
                if piece is None:
                    open_.discard(i)
                else:
                    waiting[i].append(piece)
        if not open_:
            yield None, ready + [piece for pieces in waiting for piece in pieces]
            return
        if any(not waiting[i] for i in open_):
            continue
        stop = min(_last(waiting[i]) for i in open_)
        for i, pieces in enumerate(waiting):
            cut = [piece.cut(stop) for piece in pieces]
            ready += [before for before, _ in cut if len(before.documents)]
            waiting[i] = [after for _, after in cut if len(after.documents)]
        if sum(len(piece.keys) for piece in ready) >= BLOCK:
            yield stop, ready
            ready = []
        held = sum(len(piece.keys) for pieces in waiting for piece in pieces)
        if held >= compact_at:
            # A document of this size: its windows are far fewer than its firings.
            waiting = [_compacted(pieces, stop) for pieces in waiting]
            held = sum(len(piece.keys) for pieces in waiting for piece in pieces)
            compact_at = max(2 * BLOCK, 2 * held)


def _last(pieces: Sequence[Slice]) -> int:
    return int(pieces[-1].documents[-1])


def _compacted(pieces: list[Slice], document: int) -> list[Slice]:
    """Join the pieces of one document in a stream, each firing once; later ones stay."""
    cut = [piece.cut(document + 1) for piece in pieces]
    same = [before for before, _ in cut if len(before.documents)]
    if not same:
        return pieces
    joined = Slice(
        same[0].documents[:1],
        np.array([sum(len(piece.keys) for piece in same)]),
        np.max([piece.seen for piece in same], axis=0),
        np.concatenate([piece.keys for piece in same]),
    )
    return [joined.compacted(), *(after for _, after in cut if len(after.documents))]


def _grouped(documents: Integers, seen: Integers, keys: Keys, fires: NDArray[np.bool_]) -> Slice:
    """Group rows that are sorted by document."""
    starts = np.flatnonzero(np.append(True, documents[1:] != documents[:-1]))
    if fires.all():
        counts = np.diff(np.append(starts, len(keys)))
    else:
        counts = np.add.reduceat(fires, starts, dtype=np.int64)
        keys = keys[fires]
    return Slice(documents[starts], counts, np.maximum.reduceat(seen, starts), keys)


def _store(stored: Path, pending: Sequence[_Piece]) -> Path:
    """Sort pieces by document, window and feature, drop repetitions, and write them."""
    every, seen, keys, fires = (np.concatenate(same) for same in zip(*pending, strict=True))
    documents, place = _numbered(every)
    largest = np.zeros(len(documents), np.int64)
    np.maximum.at(largest, place, seen)
    if not fires.all():
        place, keys = place[fires], keys[fires]
    place, keys = _sorted(place, keys)
    ends = np.cumsum(np.bincount(place, minlength=len(documents)))
    stored.parent.mkdir(parents=True, exist_ok=True)
    keys.tofile(stored.with_suffix(".keys"))
    table = np.concatenate([documents, ends, largest]).astype(np.int64)
    table.tofile(stored.with_suffix(".documents"))
    return stored


def _numbered(every: Integers) -> tuple[Integers, Integers]:
    """Return the distinct documents in order, and which of them each row has."""
    first = int(every.min())
    span = int(every.max()) - first + 1
    if span > 4 * len(every):
        documents, place = np.unique(every, return_inverse=True)
        return documents, place
    table = np.zeros(span, np.int64)
    table[every - first] = 1
    documents = np.flatnonzero(table) + first
    table[documents - first] = np.arange(len(documents))
    return documents, table[every - first]


def _sorted(place: Integers, keys: Keys) -> tuple[Integers, Keys]:
    """Sort by document and key, and drop repetitions."""
    if not len(keys):
        return place, keys
    features = keys & _FEATURE_MASK
    windows = keys >> _FEATURE_BITS
    feature_bits = int(features.max()).bit_length()
    key_bits = feature_bits + int(windows.max()).bit_length()
    if int(place.max()).bit_length() + key_bits > 64:
        order = np.lexsort((keys, place))
        place, keys = place[order], keys[order]
        new = np.append(True, (keys[1:] != keys[:-1]) | (place[1:] != place[:-1]))
        return place[new], keys[new]
    packed = place.astype(np.uint64) << np.uint64(key_bits)
    packed |= windows << np.uint64(feature_bits)
    packed |= features
    packed = distinct(packed)
    features = packed & np.uint64((1 << feature_bits) - 1)
    windows = (packed >> np.uint64(feature_bits)) & np.uint64((1 << key_bits - feature_bits) - 1)
    return (packed >> np.uint64(key_bits)).astype(np.int64), windows << _FEATURE_BITS | features


def distinct(values: NDArray[Any]) -> NDArray[Any]:
    """Sort values in place, and return each once."""
    values.sort()
    return values[np.append(True, values[1:] != values[:-1])] if len(values) else values
