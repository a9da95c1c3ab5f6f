"""A synthetic model whose features, and what they mean, are known; and SAEs of any quality on it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.bool_]

N_FEATURES = 1024
D_MODEL = 512
N_ISOLATED = 64
"""Features that fire independently of all others: no root, no siblings, no correlations."""
_RANK = 16
_ROOTS, _BRANCHES, _DEPTH = 40, 4, 2
_OWN_WORDS = 0.5
"""Length of what is peculiar to a label, in units of what it shares with others."""
SEED = 0


@dataclass(frozen=True)
class World:
    """The generator, and a vector of the meaning of each of its features."""

    model: Any
    """A `sae_lens.synthetic.SyntheticModel`."""
    vectors: NDArray[np.float32]
    """Shape (N_FEATURES, D): topic, place in the hierarchy, and something of its own."""
    parent: NDArray[np.int64]
    """Shape (N_FEATURES,): parent of each feature, or -1."""

    def sample(self, n: int, seed: int) -> tuple[Any, Bits]:
        """Return activations, shape (n, D_MODEL), and which features fire, shape (n, N_FEATURES)."""
        import torch

        torch.manual_seed(seed)
        xs, fires = [], []
        for _ in range(0, n, 4096):
            acts = self.model.activation_generator.sample(4096)
            xs.append(self.model.feature_dict(acts).detach())
            fires.append((acts > 0).numpy())
        return torch.cat(xs)[:n], np.concatenate(fires)[:n]


def make_world() -> World:
    """Return 1,024 features: 40 trees of depth 2, correlated topics, and 64 isolated features.

    Children fire only where their parents do. Topics correlate features across
    trees through a Gaussian copula of rank 16.
    """
    from sae_lens.synthetic import (
        HierarchyConfig,
        SyntheticModel,
        SyntheticModelConfig,
        ZipfianFiringProbabilityConfig,
        generate_random_low_rank_correlation_matrix,
    )

    topics = generate_random_low_rank_correlation_matrix(N_FEATURES, _RANK, 0.17, seed=SEED)
    topics.correlation_factor[-N_ISOLATED:] = 0
    topics.correlation_diag[-N_ISOLATED:] = 1
    settings = SyntheticModelConfig(
        num_features=N_FEATURES,
        hidden_dim=D_MODEL,
        firing_probability=ZipfianFiringProbabilityConfig(
            exponent=0.5, max_prob=0.15, min_prob=0.01
        ),
        hierarchy=HierarchyConfig(
            total_root_nodes=_ROOTS,
            branching_factor=_BRANCHES,
            max_depth=_DEPTH,
            compensate_probabilities=True,
        ),
        std_firing_magnitudes=0.2,
        seed=SEED,
    )
    model = SyntheticModel(settings, correlation_matrix=topics)
    parent = np.full(N_FEATURES, -1)
    for root in model.hierarchy.roots if model.hierarchy else []:
        _note_parents(root, parent)
    return World(model, _meanings(topics.correlation_factor.numpy(), parent), parent)


def perturbed_saes(world: World, levels: tuple[float, ...], k: int) -> Iterator[tuple[float, Any]]:
    """Yield TopK SAEs that point at the true features, with noise of a length relative to theirs."""
    import torch
    from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig
    from sae_lens.synthetic import init_sae_to_match_feature_dict

    for level in levels:
        torch.manual_seed(SEED)
        sae = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=D_MODEL, d_sae=N_FEATURES, k=k))
        init_sae_to_match_feature_dict(sae, world.model.feature_dict, level / D_MODEL**0.5)
        yield level, sae


def fires_in(sae: Any, x: Any) -> Bits:
    """Return which latents fire, shape (n, latents)."""
    import torch

    with torch.no_grad():
        return np.concatenate([(sae.encode(part) > 0).numpy() for part in x.split(4096)])


def f1_scores(fires: Bits, truth: Bits) -> NDArray[np.float32]:
    """Return the F1 of every latent as a detector of every feature, shape (latents, features)."""
    both = fires.T.astype(np.float32) @ truth.astype(np.float32)
    total = fires.sum(axis=0, dtype=np.float32)[:, None] + truth.sum(axis=0, dtype=np.float32)
    f1: NDArray[np.float32] = np.zeros_like(both)
    np.divide(2 * both, total, out=f1, where=total > 0)
    return f1


def _note_parents(node: Any, parent: NDArray[np.int64]) -> None:
    for child in node.children:
        parent[child.feature_index] = node.feature_index
        _note_parents(child, parent)


def _meanings(topics: NDArray[np.float32], parent: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return vectors whose cosines follow what the generator makes fire together."""
    rng = np.random.default_rng(SEED)
    codes = rng.standard_normal((N_FEATURES, 64)) / 8
    place = codes.copy()
    for feature in np.flatnonzero(parent >= 0):  # parents have lower numbers
        place[feature] = place[parent[feature]] + codes[feature] / 2
    own = rng.standard_normal((N_FEATURES, 64)) / 8
    topic = topics / max(1e-9, float(np.linalg.norm(topics, axis=1).max()))
    return np.concatenate([topic, place, _OWN_WORDS * own], axis=1).astype(np.float32)
