"""Controls: whether scores find errors that were planted, and find nothing in meaningless data."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sfal.errors import InvalidInputError
from sfal.scoring.metrics import beyond_chance
from sfal.stats.nulls import exchange_pairs, label_numbers, permute_occurrences, random_vectors
from sfal.stats.rankings import Features, blocks, comparable_features, sfal_among

if TYPE_CHECKING:
    import pyarrow as pa

    from sfal._core import Histogram, Occurrences

_FEWEST = 4
"""Features that controls need."""
_BEST = 10
_LOW_P = 0.05
_AT_CHANCE = 0.01
"""Distance of a median sfal from that of random orders that counts as chance."""
_SDS_OF_MEDIAN = 3 * 1.2533
"""Three standard errors of the median of n independent values, in standard deviations / sqrt(n)."""


@dataclass(frozen=True)
class PlantedErrors:
    """What label fit makes of labels that were exchanged in pairs at random."""

    n: int
    """Features with a label."""
    n_wrong: int
    """Features whose label was exchanged for another one."""
    auc: float
    """Probability that a wrong label has a higher label_rank than a right one; equal ranks count half."""
    in_ten_best: float
    """Share of the wrong ones whose own label is among the ten that fit best."""
    low_p_wrong: float
    """Share of the wrong ones with p_label at most .05: taken for right."""
    low_p_right: float
    """Share of the others with p_label at most .05."""


@dataclass(frozen=True)
class Controls:
    """Results of all controls on one set of labels."""

    planted: PlantedErrors
    """Some labels exchanged."""
    median: float
    """Median sfal of the data as they are."""
    permuted_occurrences: float
    """Median sfal with each feature's occurrences moved to random windows; NaN for a histogram, which
    does not say in which windows features occur."""
    random_labels: float
    """Median sfal with random vectors for labels."""
    chance: float
    """Median sfal of random orders: slightly below their mean of 0, because the distribution is
    skewed."""
    tolerance: float
    """How far a median may be from `chance` by accident: .01, or more for few features."""

    @property
    def at_chance(self) -> bool:
        """Whether the scores of meaningless data are what random orders score."""
        medians = (self.permuted_occurrences, self.random_labels)
        return not any(abs(median - self.chance) >= self.tolerance for median in medians)

    def table(self, **labels: object) -> "pa.Table":
        """Return one row, for a file or a data frame, with further columns in front."""
        import pyarrow as pa

        planted = self.planted
        row = {
            **labels,
            "n": planted.n,
            "n_wrong": planted.n_wrong,
            "auc": planted.auc,
            "in_ten_best": planted.in_ten_best,
            "low_p_wrong": planted.low_p_wrong,
            "low_p_right": planted.low_p_right,
            "median_sfal": self.median,
            "permuted_occurrences": self.permuted_occurrences,
            "random_labels": self.random_labels,
            "chance": self.chance,
            "at_chance": self.at_chance,
        }
        return pa.Table.from_pylist([row])


def controls(
    occurrences: "Occurrences | Histogram",
    embeddings: ArrayLike,
    explained: ArrayLike | None = None,
    top_n: int = 1023,
    *,
    share: float = 0.05,
    seed: int = 0,
) -> Controls:
    """Plant errors and remove all signal, and see what scores make of it.

    A share of the labels is exchanged in pairs: their label_rank should be high, and the right label
    should be found among those that fit better. The occurrences of each feature are moved to random
    windows, and labels are replaced by random vectors: either way the median score should be that of
    random orders, about 0.

    Parameters
    ----------
    occurrences : Occurrences or Histogram
        Which of ``n_features`` features occur in which window.
    embeddings : array of shape (n_features, D)
        A vector for the explanation of each feature; a zero vector means that it has none.
    explained : array of shape (n_features,), bool, optional
        False where a feature has no explanation; default: all that have a vector other than zero.
    top_n : int
        Neighbours per feature that carry a gain.
    share : float
        Share of the labels that is exchanged, above 0 and up to 1.
    seed : int
        Seed of all random numbers.

    Returns
    -------
    Controls
        Over the features that fire, but not always, and have an explanation.

    Raises
    ------
    InvalidInputError
        If shapes do not fit, a vector is not finite, or fewer than four features can be compared.

    Notes
    -----
    A low p_label is good: few labels fit the feature as well as its own. Labels that are exchanged for
    equal ones are not wrong, and count as right.
    """
    if not 0 < share <= 1:
        raise InvalidInputError(f"share is {share}", hint="give $share above 0 and up to 1")
    matrix, features = _inputs(occurrences, embeddings, explained)
    chance, sd = _law_of_chance(len(features), top_n)
    permuted = np.nan
    if _has_windows(occurrences):
        moved = permute_occurrences(occurrences, seed)
        permuted = _median(sfal_among(moved, matrix, features, top_n))
        del moved
    return Controls(
        planted=_planted(occurrences, matrix, features, top_n, share, seed),
        median=_median(sfal_among(occurrences, matrix, features, top_n)),
        permuted_occurrences=permuted,
        random_labels=_median(
            sfal_among(occurrences, random_vectors(matrix, seed), features, top_n)
        ),
        chance=chance,
        tolerance=max(_AT_CHANCE, _SDS_OF_MEDIAN * sd / len(features) ** 0.5),
    )


def _planted(
    occurrences: "Occurrences | Histogram",
    matrix: NDArray[np.float32],
    features: Features,
    top_n: int,
    share: float,
    seed: int,
) -> PlantedErrors:
    from sfal import _core

    order = exchange_pairs(len(features), share, seed)
    wrongly = matrix.copy()
    wrongly[features] = matrix[features[order]]
    same = label_numbers(wrongly[features])
    semantic = _core.semantic_ranking(wrongly, top_n, rows=features, candidates=features)
    rank, better = [], []
    for rows in blocks(features, top_n):
        functional = _core.functional_ranking(occurrences, top_n, rows=rows, candidates=features)
        ranks, _mean, best, _value = _core.label_fit(
            functional, semantic, top_n, rows=rows, best=_BEST, labels=features, same=same
        )
        rank.append(ranks)
        better.append(best)
    ranks, best = np.concatenate(rank).astype(np.float64), np.concatenate(better)
    wrong = same[order] != same  # a pair of equal labels changes nothing
    low_p = ranks <= _LOW_P * len(ranks)
    found = (best == features[order][:, None]).any(axis=1)
    return PlantedErrors(
        n=len(features),
        n_wrong=int(wrong.sum()),
        auc=_auc(ranks[wrong], ranks[~wrong]),
        in_ten_best=_share(found[wrong]),
        low_p_wrong=_share(low_p[wrong]),
        low_p_right=_share(low_p[~wrong]),
    )


def _law_of_chance(n: int, top_n: int) -> tuple[float, float]:
    """Return the median and the standard deviation of sfal under a random order."""
    from sfal import _core

    ndcg, survival = _core.chance_law(n - 1, top_n)
    sfal = beyond_chance(ndcg, _core.chance(n - 1, top_n))
    mass = -np.diff(survival, append=0.0)
    median = float(sfal[np.flatnonzero(survival >= 0.5)[-1]])
    return median, float(np.sqrt(mass @ (sfal - mass @ sfal) ** 2))


def _inputs(
    occurrences: "Occurrences | Histogram", embeddings: ArrayLike, explained: ArrayLike | None
) -> tuple[NDArray[np.float32], Features]:
    n_features = occurrences.n_features
    given = np.asarray(embeddings)
    if given.ndim != 2 or given.dtype.kind not in "iuf" or len(given) != n_features:
        raise InvalidInputError(
            f"embeddings has shape {given.shape} and dtype {given.dtype}; "
            f"it must hold numbers, one row for each of the {n_features} features counted"
        )
    with np.errstate(over="ignore"):  # values that become infinite are refused when they are ranked
        matrix = np.ascontiguousarray(given, dtype=np.float32)
    has_label: NDArray[np.bool_] = np.any(matrix, axis=1)
    if explained is not None:
        flags = np.asarray(explained)
        if flags.shape != (n_features,) or flags.dtype != np.bool_:
            raise InvalidInputError(
                f"explained has shape {flags.shape} and dtype {flags.dtype}; "
                f"it must be True or False for each of the {n_features} features counted"
            )
        has_label &= flags
    features = comparable_features(occurrences, has_label)
    if len(features) < _FEWEST:
        raise InvalidInputError(
            f"{len(features)} features fire in some windows, but not in all, and have an explanation; "
            f"controls need {_FEWEST}"
        )
    return matrix, features


def _has_windows(occurrences: Any) -> "TypeGuard[Occurrences]":
    return hasattr(occurrences, "rows")


def _auc(wrong: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Return the probability that a wrong one ranks higher: the statistic of Mann and Whitney."""
    from scipy.stats import rankdata

    if not len(wrong) or not len(right):
        return np.nan
    ranks = rankdata(np.concatenate([wrong, right]))[: len(wrong)]
    above = ranks.sum() - len(wrong) * (len(wrong) + 1) / 2
    return float(above / (len(wrong) * len(right)))


def _share(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else np.nan


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values))
