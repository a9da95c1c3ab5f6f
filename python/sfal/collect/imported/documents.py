"""What is known of the documents whose firings are imported: how many, and how long."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfal.collect.imported.rows import Facts, Integers, Tokens
from sfal.collect.imported.settings import ImportSettings
from sfal.errors import InvalidInputError

MOST_WINDOWS = 1 << 22
"""Windows of one document; a larger number is a wrong position rather than a document."""
_TOKENS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Documents:
    """Numbers and lengths of documents, and where their windows are."""

    window_size: int
    """Tokens per window."""
    keeps_tail: bool
    """Whether a tail of at least half a window is a window."""
    by_window: bool
    """Whether places are windows, not positions."""
    n_docs: int | None = None
    """Number of documents; None: those that are named."""
    lengths: Integers | None = None
    """Tokens of each document, without special ones; None: not known one by one."""
    length: int | None = None
    """Tokens of every document; None: not known."""
    ranks: NDArray[np.int32] | None = None
    """Tokens before each position of each document, special ones not counted; -1: a special one."""

    @property
    def lengths_known(self) -> bool:
        """Whether documents have a length besides the places that are named."""
        return self.lengths is not None or self.length is not None

    def windows_of(self, documents: Integers, places: Integers, where: str) -> Integers:
        """Return the window in its document of each place; -1 for a special token.

        Raises
        ------
        InvalidInputError
            If a place is outside its document, or a document does not exist.
        """
        if not documents.size:
            return places
        if self.n_docs is not None and int(documents.max()) >= self.n_docs:
            raise InvalidInputError(
                f"{where}: it names document {documents.max()}, but there are {self.n_docs}, from 0",
                hint="leave out $n_docs, or count all documents in it",
            )
        if self.by_window:
            return places
        if self.ranks is not None:
            if int(places.max()) >= self.ranks.shape[1]:
                raise InvalidInputError(
                    f"{where}: it names position {places.max()}, but its documents have "
                    f"{self.ranks.shape[1]} tokens, from 0"
                )
            ranks = self.ranks[documents, places].astype(np.int64)
            return np.where(ranks < 0, -1, ranks // self.window_size)
        return places // self.window_size

    def lengths_of(self, documents: Integers, seen: Integers, where: str) -> Integers:
        """Return how many tokens, or windows if places are windows, documents have.

        Parameters
        ----------
        documents : ndarray of shape (n,), int64
            Documents.
        seen : ndarray of shape (n,), int64
            Largest place of each that a file names, plus 1; with special
            tokens, 0.
        where : str
            Name for messages.

        Raises
        ------
        InvalidInputError
            If a file names a place beyond the end of a document.
        """
        if self.lengths is not None:
            known = self.lengths[documents]
        elif self.length is not None:
            known = np.full(len(documents), self.length, np.int64)
        else:
            return seen
        if self.by_window:
            known = self._n_windows(known)
        if (seen > known).any():
            i = int((seen > known).argmax())
            what = "windows" if self.by_window else "tokens"
            raise InvalidInputError(
                f"{where}: a row names {what[:-1]} {seen[i] - 1} of document {documents[i]}, which "
                f"has {known[i]}, from 0",
                hint="check $document_length and the numbering, which must begin at 0",
            )
        return known

    def n_windows(self, lengths: Integers, documents: Integers, where: str) -> Integers:
        """Return how many windows documents of some lengths have.

        Raises
        ------
        InvalidInputError
            If one has more than :data:`MOST_WINDOWS`.
        """
        found = lengths if self.by_window else self._n_windows(lengths)
        if found.size and int(found.max()) > MOST_WINDOWS:
            i = int(found.argmax())
            raise InvalidInputError(
                f"{where}: document {documents[i]} would have {found[i]:,} windows of "
                f"{self.window_size} tokens, since a row names its token {lengths[i] - 1:,}; "
                f"at most {MOST_WINDOWS:,} are supported",
                hint="check the column of positions, or use a larger $window_size",
            )
        return found

    def _n_windows(self, lengths: Integers) -> Integers:
        whole, rest = np.divmod(lengths, self.window_size)
        if self.keeps_tail:
            whole = whole + ((rest > 0) & (2 * rest >= self.window_size))
        return whole


def describe_documents(
    facts: Sequence[tuple[Path, Facts]], settings: ImportSettings, scratch: Path
) -> Documents:
    """Join what the files and the settings say about the documents.

    Parameters
    ----------
    facts : sequence of (Path, Facts)
        Of each file.
    settings : ImportSettings
        What the user says.
    scratch : Path
        Folder for a table of the tokens that count, if some do not.

    Raises
    ------
    InvalidInputError
        If they contradict each other, or special ids are named without tokens.
    """
    path, first = facts[0]
    tokens = next((found.tokens for _, found in facts if found.tokens is not None), None)
    for other, found in facts:
        if tokens is not None and found.tokens is not None:
            _require_same_tokens(path, tokens, other, found.tokens)
        if not _same(first.lengths, found.lengths):
            raise InvalidInputError(f"{other} and {path} have other document_lengths")
    if settings.special_ids and tokens is None:
        raise InvalidInputError(
            f"special_ids are named, but {path} does not hold the tokens",
            hint="leave out $special_ids, and name positions that count only other tokens",
        )
    lengths, length, ranks = first.lengths, settings.document_length, None
    if length is None and lengths is None:
        length = first.document_length
    n_docs = settings.n_docs
    if tokens is not None:
        length = _agree("document_length", settings.document_length, tokens.shape[1], path)
        n_docs = _agree("n_docs", settings.n_docs, tokens.shape[0], path)
        if settings.special_ids:
            ranks, lengths = _rank_tokens(tokens, settings.special_ids, scratch)
            length = None
    elif lengths is not None:
        n_docs = _agree("n_docs", settings.n_docs, len(lengths), path)
        if settings.document_length is not None:
            raise InvalidInputError(
                f"{path} holds the length of each document", hint="leave out $document_length"
            )
    return Documents(
        settings.window_size,
        settings.tail == "keep",
        first.by_window,
        n_docs,
        lengths,
        length,
        ranks,
    )


def _same(one: Integers | None, other: Integers | None) -> bool:
    return one is other or (one is not None and other is not None and np.array_equal(one, other))


def _agree(name: str, given: int | None, found: int, path: Path) -> int:
    if given is not None and given != found:
        raise InvalidInputError(
            f"{name} is {given}, but {path} says {found}", hint=f"leave out ${name}"
        )
    return found


def _require_same_tokens(path: Path, one: Tokens, other_path: Path, other: Tokens) -> None:
    if one.read is other.read:
        return
    step = max(1, _TOKENS_AT_ONCE // max(1, one.shape[1]))
    if one.shape != other.shape or any(
        not np.array_equal(one.read(i, j), other.read(i, j))
        for i in range(0, one.shape[0], step)
        for j in (min(i + step, one.shape[0]),)
    ):
        raise InvalidInputError(
            f"{path} and {other_path} hold different tokens, so they are not of one run",
            hint="give the files of one run",
        )


def _rank_tokens(
    tokens: Tokens, special_ids: Sequence[int], scratch: Path
) -> tuple[NDArray[np.int32], Integers]:
    """Return how many ordinary tokens precede each position (-1: special), and each total.

    The table is a file, since the tokens need not fit into memory.
    """
    n, width = tokens.shape
    scratch.mkdir(parents=True, exist_ok=True)
    ranks: Any = np.lib.format.open_memmap(
        scratch / "ranks.npy", "w+", np.int32, (max(n, 1), max(width, 1))
    )
    lengths = np.zeros(n, np.int64)
    step = max(1, _TOKENS_AT_ONCE // max(1, width))
    for first in range(0, n, step):
        stop = min(first + step, n)
        counts = ~np.isin(tokens.read(first, stop), np.array(special_ids))
        before = np.cumsum(counts, axis=1, dtype=np.int32)
        lengths[first:stop] = before[:, -1] if width else 0
        ranks[first:stop] = np.where(counts, before - 1, -1)
    return ranks, lengths
