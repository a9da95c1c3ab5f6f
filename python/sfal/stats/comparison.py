"""Results of a comparison of scores, and the groups that it cannot tell apart."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sfal.stats.correlations import Correlation
from sfal.stats.differences import DETECTABLE, Shift

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class PairComparison:
    """Scores A against scores B of the same features."""

    a: str
    """Name of A."""
    b: str
    """Name of B."""
    difference: Shift
    """Typical difference A - B over the features: Hodges–Lehmann estimate, and its interval from a
    bootstrap of clusters of features."""
    se_documents: float
    """Standard error of the difference that comes from the choice of documents; NaN without
    replicates."""
    share_above: float
    """Share of the features with A > B; equal ones count half."""
    spearman: Correlation
    """Rank correlation of A and B."""
    p: float
    """Two-sided p-value of a difference of 0, with both standard errors, as if independent."""
    q: float
    """The same, adjusted for the number of pairs (Benjamini and Hochberg)."""

    @property
    def se(self) -> float:
        """Standard error from features and documents together."""
        return float(np.hypot(self.difference.se, np.nan_to_num(self.se_documents)))

    @property
    def detectable(self) -> float:
        """Smallest true difference that would be found in 80 % of cases: 2.8 standard errors."""
        return DETECTABLE * self.se


@dataclass(frozen=True)
class Comparison:
    """Sets of scores of the same features, compared in pairs."""

    metric: str
    """Column that was compared."""
    n: int
    """Features scored in all sets."""
    names: tuple[str, ...]
    """The sets, in the order given."""
    medians: tuple[float, ...]
    """Median of each, over the `n` features."""
    letters: tuple[str, ...]
    """Groups: two sets that share a letter cannot be told apart."""
    pairs: tuple[PairComparison, ...]
    """One per pair, in order."""

    def table(self) -> "pa.Table":
        """Return one row per pair, for a file or a data frame."""
        import pyarrow as pa

        median = dict(zip(self.names, self.medians, strict=True))
        letter = dict(zip(self.names, self.letters, strict=True))
        rows = [
            {
                "a": pair.a,
                "b": pair.b,
                "metric": self.metric,
                "n": self.n,
                "median_a": median[pair.a],
                "median_b": median[pair.b],
                "difference": pair.difference.value,
                "low": pair.difference.low,
                "high": pair.difference.high,
                "se_features": pair.difference.se,
                "se_documents": pair.se_documents,
                "share_above": pair.share_above,
                "spearman": pair.spearman.value,
                "detectable": pair.detectable,
                "p": pair.p,
                "q": pair.q,
                "letters_a": letter[pair.a],
                "letters_b": letter[pair.b],
            }
            for pair in self.pairs
        ]
        return pa.Table.from_pylist(rows)


def compact_letters(differ: NDArray[np.bool_]) -> list[str]:
    """Name groups by letters: two share a letter if, and only if, they cannot be told apart.

    Parameters
    ----------
    differ : ndarray of shape (n, n), bool
        Symmetric; True where two groups differ. Best group first.

    Returns
    -------
    letters : list of str
        One text per group, such as ``a``, ``ab``, ``b``; the first group has an ``a``.

    Notes
    -----
    Insert and absorb: begin with one letter for all; for every two groups that differ, split each
    letter that both have; drop a letter whose groups all share another one.

    References
    ----------
    .. [1] Piepho, "An algorithm for a letter-based representation of all-pairwise comparisons",
       Journal of Computational and Graphical Statistics 13 (2004), 456-466.

    Examples
    --------
    >>> compact_letters(np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], dtype=bool))
    ['a', 'ab', 'b']
    """
    n = len(differ)
    columns = {frozenset(range(n))}
    for i, j in zip(*np.nonzero(np.triu(differ)), strict=True):
        split = {
            column - {int(left_out)}
            for column in columns
            if i in column and j in column
            for left_out in (i, j)
        }
        columns = _absorbed({c for c in columns if not (i in c and j in c)} | split)
    ordered = sorted(columns, key=sorted)
    return ["".join(_letter(k) for k, c in enumerate(ordered) if i in c) for i in range(n)]


def _absorbed(columns: Iterable[frozenset[int]]) -> set[frozenset[int]]:
    """Drop columns that are subsets of another."""
    found = set(columns)
    return {column for column in found if not any(column < other for other in found)}


def _letter(index: int) -> str:
    """Return a, b, … z, then a2, b2, …: letters never run out."""
    round_, place = divmod(index, 26)
    return chr(ord("a") + place) + (str(round_ + 1) if round_ else "")
