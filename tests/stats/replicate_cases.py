"""Replicates of scores whose truth and whose noise are known."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import hadamard


@dataclass(frozen=True)
class Replicates:
    halves: np.ndarray
    quarters: np.ndarray
    agreement: np.ndarray


SIGNS = hadamard(16)


def split(groups):
    """Means of both halves for eight splits of 16 groups, and of two disjoint quarters."""
    halves, quarters = [], []
    for i in range(1, 9):
        a, other = SIGNS[i] > 0, SIGNS[i + 1 if i < 8 else 1] > 0
        halves.append([groups[a].mean(axis=0), groups[~a].mean(axis=0)])
        quarters.append([groups[a & other].mean(axis=0), groups[a & ~other].mean(axis=0)])
    return np.array(halves), np.array(quarters)


def replicates(halves, quarters, agreement=0.5):
    return Replicates(halves, quarters, np.full_like(halves, agreement))


def noisy(rng, n_features, noise=0.1):
    truth = rng.normal(0.4, 0.2, n_features)
    groups = truth + noise * 4 * rng.standard_normal((16, n_features))
    return truth, groups.mean(axis=0), *split(groups)
