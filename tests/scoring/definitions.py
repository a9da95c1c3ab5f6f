"""Scores of small sources by the definitions, in plain loops."""

import math

import numpy as np

import reference
import reference_trust as trust
from scoring.published_cases import histogram
from sfal import _core


def scored_features(fired, vectors):
    """Return the features that fire, not always, and are explained."""
    count, n = fired.sum(axis=1), fired.shape[1]
    return np.flatnonzero((count > 0) & (count < n) & vectors.any(axis=1)).tolist()


def published_ndcg(fired, vectors, top_n):
    """Return ndcg among all features, ties by index; NaN where a feature has no score."""
    n = fired.shape[1]
    functional = reference.neighbours(reference.phi(histogram(fired), n), top_n)
    semantic = reference.neighbours(reference.cosine(vectors), top_n)
    ndcg = np.array(reference.ndcg(functional, semantic, top_n))
    result = np.full(len(fired), np.nan)
    scored = scored_features(fired, vectors)
    result[scored] = ndcg[scored]
    return result


def tie_classes(fired, vectors, pool):
    """Return the tie classes of each feature of a pool in it, by phi and by cosine."""
    counts = histogram(fired).astype(np.uint32)
    phi = _core.phi(counts, fired.shape[1])  # equality is that of the core's float64
    cosine = reference.cosine(vectors).astype(np.float32)
    return tuple({i: trust.classes(x[i], i, pool) for i in pool} for x in (phi, cosine))


def expected_ndcg(fired, vectors, top_n):
    """Return ndcg among the scored features, ties averaged; NaN where a feature has no score."""
    scored = scored_features(fired, vectors)
    functional, semantic = tie_classes(fired, vectors, scored)
    result = np.full(len(fired), np.nan)
    for i in scored:
        result[i] = trust.ndcg_ties(functional[i], semantic[i], top_n, 1.1)
    return result


def expected_chance(fired, vectors, top_n):
    """Return the chance of the scored features among themselves."""
    n = len(scored_features(fired, vectors)) - 1
    return reference.chance(n, top_n) if n > 0 else math.nan


def exchanged(fired, vectors, top_n):
    """Return S[i][j], the ndcg of i with the label of j, among the scored features."""
    functional, semantic = tie_classes(fired, vectors, scored_features(fired, vectors))
    return trust.fit(functional, semantic, top_n, 1.1)
