"""Both neighbour lists of every feature of a source, as ``sfal feature`` shows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sfal.scoring.inputs import Embeddings
from sfal.scoring.status import is_live

if TYPE_CHECKING:
    from sfal._core import Histogram, Occurrences

LONGEST = 50
"""Neighbours that a list holds at most."""

_DENSE_BYTES = 2**26
"""Bytes of the table of places of a block of features."""


@dataclass(frozen=True)
class Lists:
    """The first neighbours of every feature."""

    n: NDArray[np.uint8]
    """Shape (F,): entries of each list."""
    feature: NDArray[np.uint32]
    """Shape (F, LONGEST): neighbours, nearest first, padded with 0."""
    value: NDArray[np.float32]
    """Shape (F, LONGEST): phi or cosine."""


@dataclass(frozen=True)
class SemanticLists:
    """The semantic lists of one set of embeddings, and each neighbour's place in the other list."""

    lists: Lists
    place: NDArray[np.uint16]
    """Shape (F, LONGEST): place in the functional list, from 1; 0 if it is not among the first `top_n`."""
    functional_place: NDArray[np.uint16]
    """Shape (F, LONGEST): place of each functional neighbour in the semantic list, likewise."""


def both_lists(
    counts: "Occurrences | Histogram", embeddings: Sequence[Embeddings], top_n: int
) -> tuple[Lists, list[SemanticLists]]:
    """List the neighbours of every feature of a source.

    Parameters
    ----------
    counts : Occurrences or Histogram
    embeddings : sequence of Embeddings
        Sets of embeddings of the source.
    top_n : int
        Places that are looked up; those beyond have none.

    Returns
    -------
    functional : Lists
        Neighbours by phi among the features that fire in some windows but not in all.
    semantic : list of SemanticLists
        For each set of embeddings, neighbours by cosine among the explained features.
    """
    from sfal import _core

    windows = counts.counts()
    n_features = len(windows)
    live = is_live(windows, counts.n_windows)
    functional = _empty(n_features)
    semantic = [
        SemanticLists(
            _empty(n_features),
            np.zeros((n_features, LONGEST), np.uint16),
            np.zeros((n_features, LONGEST), np.uint16),
        )
        for _ in embeddings
    ]
    step = max(1, min(1024, _DENSE_BYTES // (2 * n_features)))
    for first in range(0, n_features, step):
        rows = np.arange(first, min(first + step, n_features))
        by_phi, phi = _core.functional_neighbours(counts, top_n, rows=rows)
        _fill(functional, rows, by_phi, phi, live)
        places_by_phi = _places(rows, by_phi, live)
        for one, each in zip(embeddings, semantic, strict=True):
            by_cosine, cosine = _core.semantic_neighbours(one.matrix, top_n, rows=rows)
            _fill(each.lists, rows, by_cosine, cosine, one.explained)
            _look_up(each.place, rows, each.lists, places_by_phi)
            places_by_cosine = _places(rows, by_cosine, one.explained)
            _look_up(each.functional_place, rows, functional, places_by_cosine)
    return functional, semantic


def no_lists(n_features: int) -> tuple[Lists, SemanticLists]:
    """Return lists without entries, for what looks neighbours up feature by feature."""
    empty = _empty(n_features, 0)
    none = np.zeros((n_features, 0), np.uint16)
    return empty, SemanticLists(empty, none, none)


def _empty(n_features: int, longest: int = LONGEST) -> Lists:
    shape = (n_features, longest)
    return Lists(
        np.zeros(n_features, np.uint8), np.zeros(shape, np.uint32), np.zeros(shape, np.float32)
    )


def _fill(
    lists: Lists,
    rows: NDArray[np.int64],
    ranked: NDArray[np.uint32],
    values: NDArray[np.float32],
    comparable: NDArray[np.bool_],
) -> None:
    """Keep the first neighbours that are listed for their similarity, not by a tie."""
    kept = comparable[ranked] & comparable[rows][:, None]
    order = np.argsort(~kept, axis=1, kind="stable")[:, :LONGEST]
    n = np.minimum(kept.sum(axis=1), LONGEST)
    width = order.shape[1]
    filled = np.arange(width) < n[:, None]
    lists.n[rows] = n
    lists.feature[rows, :width] = np.where(filled, np.take_along_axis(ranked, order, 1), 0)
    lists.value[rows, :width] = np.where(filled, np.take_along_axis(values, order, 1), 0)


def _places(
    rows: NDArray[np.int64], ranked: NDArray[np.uint32], comparable: NDArray[np.bool_]
) -> NDArray[np.uint16]:
    """Return the place of every feature in the list of each row, from 1; 0 without one."""
    places = np.zeros((len(rows), len(comparable)), np.uint16)
    each = np.arange(1, ranked.shape[1] + 1, dtype=np.uint16)
    np.put_along_axis(places, ranked.astype(np.int64), np.broadcast_to(each, ranked.shape), 1)
    places[:, ~comparable] = 0
    places[~comparable[rows]] = 0
    return places


def _look_up(
    place: NDArray[np.uint16], rows: NDArray[np.int64], lists: Lists, places: NDArray[np.uint16]
) -> None:
    found = np.take_along_axis(places, lists.feature[rows].astype(np.int64), 1)
    place[rows] = np.where(np.arange(LONGEST) < lists.n[rows][:, None], found, 0)
