"""Documents to batches: always the same ones, whatever was interrupted before."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from sfal.store.manifest import Counts
from sfal.store.parts import Windows

if TYPE_CHECKING:
    from sfal.collect.settings import CollectSettings


class Tokenizes(Protocol):
    """The part of a language model that planning needs."""

    @property
    def special_ids(self) -> frozenset[int]:
        """Ids whose positions are no tokens."""

    def tokenize(
        self, texts: Sequence[str], max_length: int, prepend_bos: bool | None = None
    ) -> list[list[int]]:
        """Token ids of each text."""


@dataclass(frozen=True)
class Buffer:
    """Consecutive documents that are batched together."""

    first: int
    """Ordinal of the first document."""
    texts: list[str]
    """Text of each."""

    @property
    def stop(self) -> int:
        """Ordinal behind the last document."""
        return self.first + len(self.texts)


def buffers(documents: Iterable[str], first: int, stop: int, size: int) -> Iterator[Buffer]:
    """Cut documents into buffers of fixed composition.

    Parameters
    ----------
    documents : iterable of str
        Texts from ordinal `first` on.
    first, stop : int
        Ordinal of the first document, and the one behind the last.
    size : int
        Documents a buffer; only the last one has fewer.
    """
    rest = islice(documents, max(stop - first, 0))
    while texts := list(islice(rest, size)):
        yield Buffer(first, texts)
        first += len(texts)


@dataclass(frozen=True)
class Plan:
    """What of a buffer passes the language model, and in which batches."""

    ids: list[list[int]]
    """Token ids of each document, up to the last one that lies in a window."""
    windows: list[list[NDArray[np.int64]]]
    """Positions of the tokens of each window of each document."""
    batches: list[list[int]]
    """Documents of each batch, as places in the buffer."""
    counts: Counts
    """What the buffer holds, occurrences left open."""


def plan_buffer(
    texts: Sequence[str], model: Tokenizes, settings: "CollectSettings", prepend_bos: bool | None
) -> Plan:
    """Tokenise a buffer's documents, and plan their windows and batches.

    Tokens behind a document's last window are left out: in a causal model they
    change nothing before them.

    Parameters
    ----------
    texts : sequence of str
        Documents.
    model : LanguageModel
        Whose tokens.
    settings : CollectSettings
        Window size, greatest length, tail and batch size.
    prepend_bos : bool, optional
        What the SAE says of BOS; None: nothing, which means yes.
    """
    from sfal.collect.firing import plan_windows

    special = model.special_ids
    ids = model.tokenize(texts, settings.max_length, prepend_bos)
    n_tokens = [sum(i not in special for i in document) for document in ids]
    windows = [
        plan_windows(document, special, settings.window_size, settings.tail) for document in ids
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
    return Plan(used, windows, batch_by_length(list(map(len, used)), settings.batch_tokens), counts)


def batch_by_length(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Group documents of like length into batches; empty ones are left out.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each document.
    batch_tokens : int
        Tokens a batch, padding included; a longer document goes alone.

    Returns
    -------
    list of list of int
        Places of the documents, the longest first, ties in order.

    Examples
    --------
    >>> batch_by_length([3, 0, 5, 3, 1], batch_tokens=6)
    [[2], [0, 3], [4]]
    """
    order = sorted((i for i, n in enumerate(lengths) if n), key=lambda i: -lengths[i])
    result: list[list[int]] = []
    for place in order:
        # Padded to the batch's longest, which is its first.
        if result and lengths[result[-1][0]] * (len(result[-1]) + 1) <= batch_tokens:
            result[-1].append(place)
        else:
            result.append([place])
    return result


class BufferWindows:
    """Puts the windows of a buffer's batches back into the documents' order.

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
        """Take the windows of one batch, document by document.

        Parameters
        ----------
        batch : sequence of int
            The batch's documents, as places in the buffer.
        indptr : ndarray of shape (windows + 1,), int64
            Boundaries of the windows in `indices`.
        indices : ndarray, uint32
            Features of each window.
        """
        window = 0
        for place in batch:
            stop = window + len(self._plan.windows[place])
            bounds = indptr[window : stop + 1]
            self._found[place] = (np.diff(bounds), indices[bounds[0] : bounds[-1]])
            window = stop

    def windows(self) -> Windows:
        """All windows, document by document."""
        places = sorted(self._found)
        lengths = [self._found[place][0] for place in places]
        n_windows = [len(found) for found in lengths]
        indptr = np.zeros(sum(n_windows) + 1, np.int64)
        if places:
            np.cumsum(np.concatenate(lengths), out=indptr[1:])
        documents = np.repeat(np.array(places, np.uint64) + np.uint64(self._first), n_windows)
        ordinals = [np.arange(n, dtype=np.uint32) for n in n_windows]
        indices = [self._found[place][1] for place in places]
        return Windows(
            documents,
            np.concatenate([np.zeros(0, np.uint32), *ordinals]),
            indptr,
            np.concatenate([np.zeros(0, np.uint32), *indices]),
        )
