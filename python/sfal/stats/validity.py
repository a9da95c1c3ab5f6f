"""Results of a validation of scores by votes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sfal.errors import Note
from sfal.stats.agreement import Alpha
from sfal.stats.correlation_tests import Significance
from sfal.stats.correlations import Correlation

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class MetricValidity:
    """How a metric correlates with the votes, over features."""

    metric: str
    """Name of the column."""
    pearson: Correlation
    spearman: Correlation
    kendall: Correlation


@dataclass(frozen=True)
class MetricDifference:
    """Whether metric A correlates better with the votes than metric B does (Pearson)."""

    a: str
    """Name of A."""
    b: str
    """Name of B."""
    difference: float
    """``r_A - r_B``."""
    low: float
    """Lower end of Zou's 95 % interval."""
    high: float
    """Upper end."""
    williams: Significance
    """Williams' t and its p-value."""
    steiger: Significance
    """Steiger's z and its p-value."""


@dataclass(frozen=True)
class Validation:
    """How well metrics agree with votes."""

    n: int
    """Features that have a vote and a value of every metric."""
    n_votes: int
    """Votes on these features."""
    n_raters: int
    """Raters who are named."""
    metrics: tuple[MetricValidity, ...]
    """One per metric, in the order given."""
    differences: tuple[MetricDifference, ...]
    """One per pair of metrics, in order."""
    agreement: tuple[Alpha, ...]
    """Agreement of the raters at each level of measurement; empty if no feature has two votes."""
    notes: tuple[Note, ...] = ()
    """What was left out, and why."""

    def table(self) -> "pa.Table":
        """Return one row per metric, for a file or a data frame."""
        import pyarrow as pa

        rows = []
        for one in self.metrics:
            row: dict[str, object] = {"metric": one.metric, "n": self.n}
            for name in ("pearson", "spearman", "kendall"):
                found: Correlation = getattr(one, name)
                row |= {
                    name: found.value,
                    f"{name}_low": found.low,
                    f"{name}_high": found.high,
                }
            for alpha in self.agreement:
                row[f"alpha_{alpha.level}"] = alpha.value
                row[f"ceiling_{alpha.level}"] = alpha.ceiling
            rows.append(row)
        return pa.Table.from_pylist(rows)
