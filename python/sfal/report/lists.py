"""Both neighbour lists of every feature of a source, as the view of one feature shows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sfal.scoring.inputs import Embeddings
from sfal.scoring.neighbour_lists import Plan
from sfal.scoring.settings import ScoreSettings
from sfal.scoring.status import SCORED, is_live, statuses

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
    """Shape (F, L): neighbours, nearest first, padded with 0; L is the length of the longest list."""
    value: NDArray[np.float32]
    """Shape (F, L): measure of co-occurrence, or cosine."""


@dataclass(frozen=True)
class BothLists:
    """Lists by one set of embeddings, and each neighbour's place in the other list."""

    functional: Lists
    """Neighbours by co-occurrence; L is `LONGEST`."""
    semantic: Lists
    """Neighbours by cosine, likewise."""
    functional_place: NDArray[np.uint16]
    """Shape (F, L): place of a functional neighbour in the semantic list, from 1; 0 if it is not among
    the first `top_n`."""
    semantic_place: NDArray[np.uint16]
    """Shape (F, L): place of a semantic neighbour in the functional list, likewise."""


def both_lists(
    counts: "Occurrences | Histogram", embeddings: Sequence[Embeddings], settings: ScoreSettings
) -> list[BothLists]:
    """List the neighbours of every feature of a source.

    Parameters
    ----------
    counts : Occurrences or Histogram
    embeddings : sequence of Embeddings
        Sets of embeddings of the source.
    settings : ScoreSettings
        How they were scored: the measure, the candidates, and `top_n`, the places that are looked
        up. A list must order what ties, and does so by index, whatever the scores did.

    Returns
    -------
    lists : list of BothLists
        For each set of embeddings. Features that never or always fire are left out of the functional
        lists, and features without an explanation out of the semantic ones.
    """
    n_features = counts.n_features
    windows = counts.counts()
    live = is_live(windows, counts.n_windows)
    plans = [
        Plan(
            n_features,
            np.flatnonzero(statuses(windows, counts.n_windows, one.explained) == SCORED),
            settings,
        )
        for one in embeddings
    ]
    found = [no_lists(n_features, LONGEST) for _ in embeddings]
    step = max(1, min(1024, _DENSE_BYTES // (2 * n_features)))
    for first in range(0, n_features, step):
        block = np.arange(first, min(first + step, n_features))
        ranked: dict[bytes, _Ranked] = {}
        for plan, one, each in zip(plans, embeddings, found, strict=True):
            pool = plan.candidates
            # In one call with a candidate, other rows would get lists without the last place.
            inside = np.ones(len(block), np.bool_) if pool is None else np.isin(block, pool)
            for rows in (block[inside], block[~inside]):
                key = rows.tobytes() + (b"" if pool is None else pool.tobytes())
                if key not in ranked:
                    ranked[key] = _functional(counts, plan, rows)
                _add(each, rows, ranked[key], _semantic(one, plan, rows), live, one.explained)
    return found


_Ranked = tuple[NDArray[np.uint32], NDArray[np.float32]]


def _functional(counts: "Occurrences | Histogram", plan: Plan, rows: NDArray[np.int64]) -> _Ranked:
    from sfal import _core

    wanted = plan.settings
    return _core.functional_neighbours(counts, wanted.top_n, wanted.measure, rows, plan.candidates)


def _semantic(one: Embeddings, plan: Plan, rows: NDArray[np.int64]) -> _Ranked:
    from sfal import _core

    return _core.semantic_neighbours(one.matrix, plan.settings.top_n, rows, plan.candidates)


def _add(
    lists: BothLists,
    rows: NDArray[np.int64],
    functional: _Ranked,
    semantic: _Ranked,
    live: NDArray[np.bool_],
    explained: NDArray[np.bool_],
) -> None:
    _fill(lists.functional, rows, *functional, live)
    _fill(lists.semantic, rows, *semantic, explained)
    by_measure = _places(rows, functional[0], live)
    _look_up(lists.semantic_place, rows, lists.semantic, by_measure)
    by_cosine = _places(rows, semantic[0], explained)
    _look_up(lists.functional_place, rows, lists.functional, by_cosine)


def empty_lists(n_features: int, length: int) -> Lists:
    """Return lists without entries."""
    shape = (n_features, length)
    return Lists(
        np.zeros(n_features, np.uint8), np.zeros(shape, np.uint32), np.zeros(shape, np.float32)
    )


def no_lists(n_features: int, longest: int = 0) -> BothLists:
    """Return lists without entries, for what looks neighbours up feature by feature."""
    places = (np.zeros((n_features, longest), np.uint16) for _ in range(2))
    return BothLists(empty_lists(n_features, longest), empty_lists(n_features, longest), *places)


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
