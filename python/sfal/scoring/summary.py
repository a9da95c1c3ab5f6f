"""What scores amount to: a few figures for each layer and set of embeddings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfal.errors import Note
from sfal.scoring.score import EmbeddingScores, SourceScores
from sfal.scoring.status import SCORED, is_live
from sfal.store.explanations import TOP_TOKENS

_BEST = 0.01
"""Share of all labels that count as the best."""


@dataclass(frozen=True)
class Summary:
    """Figures of one source by one set of embeddings."""

    source: str
    """Name of the source."""
    layer: int | None
    """Layer, if known."""
    embedder: str
    """Hub id of the embedder, or ``local/NAME``."""
    explainer: str
    """Who explained."""
    top_tokens: bool
    """Whether the explanations are the source's own top tokens."""
    n_scored: int
    """Features with a score."""
    sfal: float
    """Median over the scored features; NaN if there is none."""
    ndcg: float
    """Median over the scored features; NaN if there is none."""
    chance: float
    """Expected ndcg of a random order."""
    coverage: float
    """Share of the features that fire, but not always, that are explained; NaN if none fires so."""
    best_labels: float
    """Share of the scored features whose label is among the best 1 % of all labels; NaN if there is
    none."""


def summarise(scores: SourceScores) -> Iterator[Summary]:
    """Summarise each set of embeddings of a source.

    Parameters
    ----------
    scores : SourceScores

    Yields
    ------
    Summary
    """
    n_live = int(is_live(scores.windows, scores.n_windows).sum())
    for one in scores.embeddings:
        n_scored = int((one.status == SCORED).sum())
        yield Summary(
            source=scores.source.name,
            layer=scores.source.layer,
            embedder=one.embedder,
            explainer=one.explainer,
            top_tokens=_is_top_tokens(one),
            n_scored=n_scored,
            sfal=_median(one.sfal),
            ndcg=_median(one.ndcg),
            chance=one.features.chance,
            coverage=n_scored / n_live if n_live else np.nan,
            best_labels=_share_of_best(one.features.p_label),
        )


def _share_of_best(p_label: NDArray[np.float64]) -> float:
    known = p_label[~np.isnan(p_label)]
    return float((known <= _BEST).mean()) if len(known) else np.nan


def differing_explainers(scores: Sequence[SourceScores]) -> Note | None:
    """Return a note if sources of one language model are explained by different models.

    Parameters
    ----------
    scores : sequence of SourceScores
        Sources that are shown together.

    Returns
    -------
    Note or None
        None if, for every language model, all its sources have the same explainers.
    """
    models: dict[str, dict[tuple[str, ...], list[str]]] = {}
    for one in scores:
        explainers = tuple(sorted({e.explainer for e in one.embeddings}))
        sources = models.setdefault(one.source.model, {}).setdefault(explainers, [])
        sources.append(one.source.name)
    mixed = [groups for groups in models.values() if len(groups) > 1]
    if not mixed:
        return None
    parts = [
        f"{' and '.join(explainers)} explained {', '.join(sources[:4])}"
        + (f" and {len(sources) - 4} more" if len(sources) > 4 else "")
        for groups in mixed
        for explainers, sources in groups.items()
    ]
    return Note(
        f"the sources were explained by different models, so their scores do not compare: "
        f"{'; '.join(parts)}",
        hint="choose explanations of one model with $explainers, if all sources have them",
    )


def _is_top_tokens(scores: EmbeddingScores) -> bool:
    return scores.stem.startswith(f"{TOP_TOKENS}_")


def _median(values: NDArray[np.float64]) -> float:
    present = values[~np.isnan(values)]
    return float(np.median(present)) if len(present) else np.nan
