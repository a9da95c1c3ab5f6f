"""Scores that a run has on disk, looked up by a set of embeddings."""

from dataclasses import dataclass

import numpy as np

from sfal.errors import ArtifactError
from sfal.scoring.selection import SourceInput
from sfal.store.scores import ScoreSet, read_score_facts, read_scores

_SAME = 1e-9
"""Difference of two NDCG that come from the same data."""


@dataclass(frozen=True)
class Reliability:
    """How precise the score of one feature is."""

    se: float
    """Standard error that comes from the choice of documents."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end."""
    ceiling: float
    """How well the feature's functional order agrees with itself on other text."""
    sfal_corrected: float
    """What the score would be with endless text."""


def stored_scores(source: SourceInput) -> ScoreSet | None:
    """Return the scores of a run by the first set of its embeddings; None if it has none.

    Raises
    ------
    MissingError
        If the run has not been scored.
    CorruptError
        If the scores are damaged.
    """
    file = source.embeddings[0]
    for one in read_scores(source.run_folder):
        if (one.embedding, one.stem) == (file.embedder, file.stem):
            return one
    return None


def stored_leaks(source: SourceInput) -> str:
    """Return what the scores of a run did with leaked labels: ``drop``, by default, or ``keep``."""
    return "keep" if read_score_facts(source.run_folder).get("leaks") == "keep" else "drop"


def stored_reliability(
    source: SourceInput, feature: int, ndcg: float
) -> tuple[Reliability | None, str]:
    """Return how precise a feature's score is, if that is on disk, else why not.

    Parameters
    ----------
    source : SourceInput
        The first of its sets of embeddings counts.
    feature : int
        Index.
    ndcg : float
        Its score now; scores on disk that differ come from other data or settings.

    Returns
    -------
    reliability : Reliability or None
    reason : str
        Empty if it is known.
    """
    try:
        scores = stored_scores(source)
    except ArtifactError:
        scores = None
    if scores is None or "se" not in scores.table.column_names or feature >= len(scores.table):
        return None, "not scored as a whole yet"
    row = scores.table.slice(feature, 1).to_pylist()[0]
    if row["feature"] != feature or not np.isclose(row["ndcg"] or np.nan, ndcg, atol=_SAME):
        return None, "the scores on disk come from other data or settings"
    if row["se"] is None and row["ceiling"] is None:
        return None, str(scores.facts.get("no_reliability") or "too few parts of the text have one")
    names = ("se", "low", "high", "ceiling", "sfal_corrected")
    return Reliability(*(np.nan if row[name] is None else row[name] for name in names)), ""
