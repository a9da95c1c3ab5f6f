"""Documents to batches: always the same ones, whatever was interrupted."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sfal.collect.corpus.document import Document
from sfal.collect.settings import WindowConfig
from sfal.collect.windows import plan_windows
from sfal.store.manifest import Counts
from sfal.store.parts import Windows


class Tokenizes(Protocol):
    """The part of a language model that planning needs."""

    def special_ids_in(self, document: Document) -> frozenset[int]:
        """Return the ids whose positions in a document do not count as tokens."""

    def tokenize(
        self, texts: Sequence[Document], max_length: int, prepend_bos: bool | None = None
    ) -> list[list[int]]:
        """Return the token ids of each document."""


@dataclass(frozen=True)
class Buffer:
    """Consecutive documents that are batched together."""

    first: int
    """Ordinal of the first document."""
    texts: list[Document]
    """Each of them."""

    @property
    def stop(self) -> int:
        """Ordinal after the last document."""
        return self.first + len(self.texts)

    def __str__(self) -> str:
        return f"documents {self.first} to {self.stop - 1}"


def buffers(documents: Iterable[Document], first: int, stop: int, size: int) -> Iterator[Buffer]:
    """Cut documents into buffers of fixed composition.

    Parameters
    ----------
    documents : iterable of Document
        Documents from ordinal `first` on.
    first, stop : int
        Ordinals of the first document and of the one after the last.
    size : int
        Documents per buffer; only the last one has fewer.
    """
    rest = islice(documents, max(stop - first, 0))
    while texts := list(islice(rest, size)):
        yield Buffer(first, texts)
        first += len(texts)


@dataclass(frozen=True)
class Plan:
    """The tokens of a buffer that pass the language model, and in which batches."""

    ids: list[list[int]]
    """Token ids of each document, up to the last one in a window."""
    windows: list[list[NDArray[np.int64]]]
    """Positions of the tokens of each window of each document."""
    batches: list[list[int]]
    """Documents of each batch, as indices into the buffer."""
    counts: Counts
    """Totals over the buffer; occurrences are still unknown."""


def plan_buffer(
    texts: Sequence[Document],
    model: Tokenizes,
    config: WindowConfig,
    batch_tokens: int,
    prepend_bos: bool | None,
) -> Plan:
    """Tokenise a buffer's documents, and plan their windows and batches.

    Tokens after a document's last window are left out: in a causal model they
    change nothing before them.

    Parameters
    ----------
    texts : sequence of Document
        Documents.
    model : LanguageModel
        The model that will read them.
    config : WindowConfig
        Maximum length, window size and tail.
    batch_tokens : int
        Tokens per batch, padding included; a longer document goes alone.
    prepend_bos : bool, optional
        Whether the SAE wants BOS in front; None: it does not say, which means yes.
    """
    ids = model.tokenize(texts, config.kept_tokens, prepend_bos)
    special = [model.special_ids_in(document) for document in texts]
    n_tokens = [
        sum(i not in left_out for i in document)
        for document, left_out in zip(ids, special, strict=True)
    ]
    windows = [
        plan_windows(document, left_out, config.window_size, config.tail)
        for document, left_out in zip(ids, special, strict=True)
    ]
    used = [
        document[: int(plan[-1][-1]) + 1] if plan else []
        for document, plan in zip(ids, windows, strict=True)
    ]
    counts = Counts(
        documents=len(texts),
        empty=sum(n == 0 for n in n_tokens),
        too_short=sum(n > 0 and not plan for n, plan in zip(n_tokens, windows, strict=True)),
        tokens=sum(n_tokens),
        tokens_in_windows=sum(len(window) for plan in windows for window in plan),
        windows=sum(map(len, windows)),
    )
    return Plan(used, windows, batch_by_length(list(map(len, used)), batch_tokens), counts)


def batch_by_length(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Group documents of similar length into batches; empty ones are left out.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each document.
    batch_tokens : int
        Tokens per batch, padding included; a longer document goes alone.

    Returns
    -------
    list of list of int
        Indices of the documents, the longest first, ties in order.

    Examples
    --------
    >>> batch_by_length([3, 0, 5, 3, 1], batch_tokens=6)
    [[2], [0, 3], [4]]
    """
    order = sorted((i for i, n in enumerate(lengths) if n), key=lambda i: -lengths[i])
    result: list[list[int]] = []
    for document in order:
        # Each is padded to the batch's longest, which is its first.
        if result and lengths[result[-1][0]] * (len(result[-1]) + 1) <= batch_tokens:
            result[-1].append(document)
        else:
            result.append([document])
    return result


class BufferWindows:
    """The windows of a buffer, collected batch by batch and returned in the documents' order.

    Parameters
    ----------
    first : int
        Ordinal of the buffer's first document.
    plan : Plan
        The buffer's plan.
    """

    def __init__(self, first: int, plan: Plan) -> None:
        self._first = first
        self._plan = plan
        self._found: dict[int, tuple[NDArray[np.int64], NDArray[np.uint32]]] = {}

    def add(
        self, batch: Sequence[int], indptr: NDArray[np.int64], indices: NDArray[np.uint32]
    ) -> None:
        """Add the windows of one batch, document by document.

        Parameters
        ----------
        batch : sequence of int
            The batch's documents, as indices into the buffer.
        indptr : ndarray of shape (windows + 1,), int64
            Boundaries of the windows in `indices`.
        indices : ndarray, uint32
            Features of each window.
        """
        window = 0
        for document in batch:
            stop = window + len(self._plan.windows[document])
            bounds = indptr[window : stop + 1]
            self._found[document] = (np.diff(bounds), indices[bounds[0] : bounds[-1]])
            window = stop

    def windows(self) -> Windows:
        """Return all windows, document by document."""
        order = sorted(self._found)
        lengths = [self._found[document][0] for document in order]
        n_windows = [len(found) for found in lengths]
        indptr = np.zeros(sum(n_windows) + 1, np.int64)
        if order:
            np.cumsum(np.concatenate(lengths), out=indptr[1:])
        documents = np.repeat(np.array(order, np.uint64) + np.uint64(self._first), n_windows)
        ordinals = [np.arange(n, dtype=np.uint32) for n in n_windows]
        indices = [self._found[document][1] for document in order]
        return Windows(
            documents,
            np.concatenate([np.zeros(0, np.uint32), *ordinals]),
            indptr,
            np.concatenate([np.zeros(0, np.uint32), *indices]),
        )
