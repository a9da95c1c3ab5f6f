"""All that is computed for the features of one source by one set of embeddings."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfal.scoring.label_fit import LabelFit
from sfal.scoring.metrics import (
    Ndcg,
    Overlaps,
    beyond_chance,
    chance_p,
    false_discovery_rate,
)
from sfal.scoring.neighbour_lists import FunctionalLists, Plan, pass_blocks
from sfal.scoring.reliability.features import FeatureReliability
from sfal.scoring.reliability.replication import SemanticLists
from sfal.scoring.settings import ScoreSettings
from sfal.scoring.status import SCORED

Values = NDArray[np.float64]


@dataclass(frozen=True)
class FeatureScores:
    """Scores of all features; floats are NaN unless a feature is scored."""

    status: NDArray[np.uint8]
    """Shape (F,): an index into `STATUSES`."""
    chance: float
    """Expected NDCG of a random order; NaN without candidates."""
    ndcg: Values
    """Shape (F,)."""
    sfal: Values
    """Shape (F,): NDCG beyond chance."""
    p_chance: Values
    """Shape (F,): probability that a random order scores at least as much."""
    q_chance: Values
    """Shape (F,): the same, adjusted for the number of features."""
    label_rank: NDArray[np.uint32]
    """Shape (F,): labels that fit the feature at least as well as its own, itself included; 0 unless
    scored."""
    p_label: Values
    """Shape (F,): `label_rank` over the number of labels."""
    q_label: Values
    """Shape (F,): the same, adjusted for the number of features."""
    chance_label: Values
    """Shape (F,): mean NDCG of the feature with the labels of the others."""
    better: NDArray[np.uint32]
    """Shape (F, 5): features whose labels fit better, best first, padded with 2³² - 1."""
    better_sfal: NDArray[np.float32]
    """Shape (F, 5): the sfal that these would give, padded with NaN."""
    overlap10: Values
    """Shape (F,): share of the first ten neighbours in common."""
    rbo98: Values
    """Shape (F,): rank-biased overlap."""
    reliability: FeatureReliability | None = None
    """How precise each score is; None if that is unknown."""

    @property
    def n_scored(self) -> int:
        """Features with a score."""
        return int((self.status == SCORED).sum())


def compute_scores(
    functional: FunctionalLists,
    embeddings: NDArray[np.float32],
    status: NDArray[np.uint8],
    settings: ScoreSettings,
) -> tuple[FeatureScores, SemanticLists]:
    """Compute the scores of a source's features by one set of embeddings.

    Parameters
    ----------
    functional : FunctionalLists
        Lists of the source.
    embeddings : ndarray of shape (F, D), float32
        One row per feature, zero where there is no explanation.
    status : ndarray of shape (F,), uint8
        Which features are scored, as :func:`sfal.scoring.status.statuses` says.
    settings : ScoreSettings

    Returns
    -------
    scores : FeatureScores
        Without `reliability`.
    semantic : SemanticLists
        Lists that replicates of these scores need.

    Raises
    ------
    SfalError
        If counts or embeddings cannot be ranked.
    """
    from sfal import _core

    plan = Plan(len(status), np.flatnonzero(status == SCORED), settings)
    ndcg, overlaps, fit = Ndcg(plan), Overlaps(plan), LabelFit(plan, embeddings)
    semantic = SemanticLists(plan, embeddings)
    pass_blocks(plan, functional, embeddings, [ndcg, overlaps, fit, semantic])
    chance = _core.chance(plan.n_candidates, settings.top_n)
    p_chance = chance_p(ndcg.values, plan.n_candidates, settings.top_n)
    p_label = np.where(fit.rank > 0, fit.rank / max(1, len(plan.scored)), np.nan)
    scores = FeatureScores(
        status=status,
        chance=chance,
        ndcg=ndcg.values,
        sfal=beyond_chance(ndcg.values, chance),
        p_chance=p_chance,
        q_chance=false_discovery_rate(p_chance),
        label_rank=fit.rank,
        p_label=p_label,
        q_label=false_discovery_rate(p_label),
        chance_label=fit.mean,
        better=fit.better,
        better_sfal=beyond_chance(fit.value.astype(np.float64), chance).astype(np.float32),
        overlap10=overlaps.overlap10,
        rbo98=overlaps.rbo98,
    )
    return scores, semantic
