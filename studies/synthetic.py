"""Whether scores agree with the truth, on a synthetic model whose features are known.

Run as ``python -m studies.synthetic``; see studies/README.md.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from studies.results import compute_missing, medians, numbers
from studies.synthetic_world import (
    N_FEATURES,
    N_ISOLATED,
    Bits,
    World,
    f1_scores,
    fires_in,
    make_world,
    perturbed_saes,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from sfal import Occurrences

N_SAMPLES = 20_000
N_TRUE = 200_000
"""Samples whose correlations count as the true ones."""
PER_DOCUMENT = 20
SHARES = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
NOISE = (0.0, 0.3, 0.6, 1.0, 1.5, 2.5)
SIZES = (1_300, 2_500, 5_000, 10_000, 20_000, 40_000)


@dataclass(frozen=True)
class Latents:
    """Latents of an SAE, or stand-ins for them, and the feature that each matches best."""

    occurrences: "Occurrences"
    """One window per sample."""
    f1: NDArray[np.float32]
    """Shape (latents, N_FEATURES)."""
    match: NDArray[np.int64]
    """Shape (latents,)."""

    @classmethod
    def of(cls, fires: Bits, truth: Bits) -> "Latents":
        """Match every latent with the feature that it detects best."""
        import sfal

        f1 = f1_scores(fires, truth)
        return cls(sfal.count_features(fires, 1), f1, f1.argmax(axis=1))

    @property
    def best_f1(self) -> NDArray[np.float32]:
        """F1 of each latent as a detector of the feature that it matches."""
        return self.f1[np.arange(len(self.f1)), self.match]

    def score(self, vectors: NDArray[np.float32]) -> "pa.Table":
        """Score the latents with labels of these vectors; samples come in documents of 20."""
        import sfal

        documents = np.arange(self.occurrences.n_windows) // PER_DOCUMENT
        return sfal.score_features(self.occurrences, vectors, documents=documents)


def quality(latents: Latents, world: World, **which: object) -> dict[str, Any]:
    """Return how the scores of an SAE's latents, labelled by their matches, follow their F1."""
    import sfal

    vectors = world.vectors[latents.match]
    table = latents.score(vectors)
    scored = ~np.isnan(numbers(table, "sfal"))
    planted = sfal.controls(latents.occurrences, vectors, share=0.05).planted
    return {
        **which,
        "scored": int(scored.sum()),
        "f1": float(latents.best_f1[scored].mean()),
        **medians(table),
        "rank_correlation_with_f1": {
            name: spearman(latents.best_f1, sign * numbers(table, name))
            for name, sign in (
                ("sfal", 1),
                ("sfal_corrected", 1),
                ("label_rank", -1),
                ("ceiling", 1),
            )
        },
        "planted": asdict(planted),
    }


def qualities(world: World, x: Any, truth: Bits, k: int) -> Iterator[dict[str, Any]]:
    """Yield the quality of the true features, and of perturbed SAEs."""
    yield quality(Latents.of(truth, truth), world, sae="the true features")
    for level, sae in perturbed_saes(world, NOISE, k):
        yield quality(Latents.of(fires_in(sae, x), truth), world, sae="perturbed", noise=level)


def corrupted(latents: Latents, world: World, n_seeds: int) -> Iterator[dict[str, Any]]:
    """Yield scores as more and more labels are exchanged, beside the F1 of the labels."""
    import sfal
    from sfal.stats.nulls import exchange_pairs

    for share in (0.0, *SHARES):
        for seed in range(n_seeds if share else 1):
            order = np.arange(len(latents.match))
            if share:
                order = exchange_pairs(len(order), share, seed)
            labels = latents.match[order]
            table = latents.score(world.vectors[labels])
            f1 = latents.f1[np.arange(len(labels)), labels]
            row: dict[str, Any] = {"share": share, "seed": seed, "f1": float(f1.mean())}
            row |= medians(table)
            row["rank_correlation_with_f1"] = {
                name: spearman(f1, sign * numbers(table, name))
                for name, sign in (("sfal", 1), ("sfal_corrected", 1), ("label_rank", -1))
            }
            if share:
                vectors = world.vectors[latents.match]
                found = sfal.controls(latents.occurrences, vectors, share=share, seed=seed)
                row["planted"] = asdict(found.planted)
            yield row


def mistakes(latents: Latents, world: World, share: float = 0.05) -> Iterator[dict[str, Any]]:
    """Yield how well label_rank finds wrong labels, by how far they are from the right ones."""
    rng = np.random.default_rng(1)
    match, parent = latents.match, world.parent
    units = world.vectors / np.linalg.norm(world.vectors, axis=1, keepdims=True)
    cosines = units @ units.T
    np.fill_diagonal(cosines, -2)
    nearest = cosines.argmax(axis=1)
    sibling = np.array([_sibling(f, parent, rng) for f in range(N_FEATURES)])
    random = rng.permutation(N_FEATURES)
    for name, other in (
        ("any other label", random),
        ("the parent's label", parent),
        ("a sibling's label", sibling),
        ("the most similar label", nearest),
    ):
        possible = np.flatnonzero((other[match] >= 0) & (latents.best_f1 > 0))
        wrong = rng.choice(possible, round(share * len(match)), replace=False)
        labels = match.copy()
        labels[wrong] = other[match[wrong]]
        table = latents.score(world.vectors[labels])
        rank = numbers(table, "label_rank")
        right = np.setdiff1d(np.flatnonzero(~np.isnan(rank)), wrong)
        p_label = numbers(table, "p_label")[wrong]
        yield {
            "mistake": name,
            "n": len(wrong),
            "auc": auc(rank[wrong], rank[right]),
            "low_p": float((p_label <= 0.05).mean()),
            "sfal_of_wrong": float(np.nanmedian(numbers(table, "sfal")[wrong])),
        }
    general = match.copy()
    has_parent = parent[match] >= 0
    general[has_parent] = parent[match[has_parent]]
    yield {"mistake": "every label its parent's", **medians(latents.score(world.vectors[general]))}


def defects(truth: Bits, world: World) -> Iterator[dict[str, Any]]:
    """Yield the scores of a quarter of the features after a defect, with right labels throughout."""
    rng = np.random.default_rng(2)
    chosen = rng.choice(N_FEATURES - N_ISOLATED, N_FEATURES // 4, replace=False)
    child_fires = np.zeros_like(truth)
    for feature in np.flatnonzero(world.parent >= 0):
        child_fires[:, world.parent[feature]] |= truth[:, feature]
    others = rng.permutation(N_FEATURES)
    noise = rng.random(truth.shape) < truth.mean(axis=0)
    for name, changed in (
        ("none", truth),
        ("fires on half of its samples", truth & (rng.random(truth.shape) < 0.5)),
        ("fires on a tenth of its samples", truth & (rng.random(truth.shape) < 0.1)),
        ("also fires at random, as often", truth | noise),
        ("also fires for an unrelated feature", truth | truth[:, others]),
        ("silent where a child fires (absorption)", truth & ~child_fires),
    ):
        of = chosen
        if "absorption" in name:
            of = chosen[child_fires[:, chosen].any(axis=0)]
        fires = truth.copy()
        fires[:, of] = changed[:, of]
        latents = Latents.of(fires, truth)
        table = latents.score(world.vectors)
        yield {
            "defect": name,
            "n": len(of),
            "f1": float(latents.f1[of, of].mean()),
            **{
                column: float(np.nanmedian(numbers(table, column)[of]))
                for column in ("sfal", "ceiling", "sfal_corrected", "label_rank")
            },
        }
    table = Latents.of(truth, truth).score(world.vectors)
    isolated = np.arange(N_FEATURES - N_ISOLATED, N_FEATURES)
    yield {
        "defect": "none, but it fires independently of all others",
        "n": N_ISOLATED,
        "f1": 1.0,
        **{
            column: float(np.nanmedian(numbers(table, column)[isolated]))
            for column in ("sfal", "ceiling", "sfal_corrected", "label_rank")
        },
    }


def perfect(world: World, sizes: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """Yield the scores of labels whose cosines are the true correlations, for corpora of any size."""
    import sfal

    _x, truth = world.sample(N_TRUE, seed=3)
    counts = sfal.count_features(truth, 1).histogram()
    values, vectors = np.linalg.eigh(sfal.phi(counts, N_TRUE))
    labels = (vectors * np.sqrt(np.maximum(values, 0))).astype(np.float32)
    for n in sizes:
        _x, fires = world.sample(n, seed=4)
        table = Latents.of(fires, fires).score(labels)
        root = float(np.nanmedian(np.sqrt(np.maximum(numbers(table, "ceiling"), 0))))
        yield {"samples": n, **medians(table), "root_of_ceiling": root}


def spearman(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Return the rank correlation over the latents that have both."""
    from scipy.stats import spearmanr

    known = ~(np.isnan(a) | np.isnan(b))
    return float(spearmanr(a[known], b[known]).statistic)


def auc(wrong: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Return the probability that a wrong one ranks higher; ties count half."""
    from scipy.stats import mannwhitneyu

    wrong = wrong[~np.isnan(wrong)]
    return float(mannwhitneyu(wrong, right).statistic / (len(wrong) * len(right)))


def _sibling(feature: int, parent: NDArray[np.int64], rng: np.random.Generator) -> int:
    siblings = np.flatnonzero((parent == parent[feature]) & (parent >= 0))
    siblings = siblings[siblings != feature]
    return int(rng.choice(siblings)) if len(siblings) else -1


def main() -> None:
    """Run everything and write ``results/synthetic.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    world = make_world()
    x, truth = world.sample(N_SAMPLES, seed=1)
    k = round(float(truth.sum(axis=1).mean()))
    (undisturbed, sae), *_ = perturbed_saes(world, NOISE, k)
    latents = Latents.of(fires_in(sae, x), truth)
    parts: dict[str, Callable[[], Any]] = {
        "samples": lambda: {"samples": N_SAMPLES, "features_per_sample": k, "noise": undisturbed},
        "defects": lambda: list(defects(truth, world)),
        "mistakes": lambda: list(mistakes(latents, world)),
        "perfect": lambda: list(perfect(world, SIZES)),
        "quality": lambda: list(qualities(world, x, truth, k)),
        "corrupted": lambda: list(corrupted(latents, world, 2)),
    }
    compute_missing("synthetic", parts)


if __name__ == "__main__":
    main()
