"""The golden case, and tiny ones, written out in the published layout and in ours."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from sfal._core import Occurrences

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
STEM = "oai_token-act-pair_gpt-4o-mini"
EMBEDDER = "Qwen/Qwen3-Embedding-0.6B"
NPZ = "pile_google_gemma-2-9b_layer_{}_width_16k_average_l0_105_docs2k_keq256_cooccurrences.npz"


def golden_fired():
    """Return which feature fires in which window: (F, n_windows) of bool."""
    with np.load(GOLDEN / "occurrences.npz") as file:
        n = int(file["n_windows"])
        bits = np.unpackbits(file["packed"], axis=0, bitorder="little")
    return bits[:n].T.astype(bool)


def golden_expected():
    with (GOLDEN / "expected_scores.csv").open() as file:
        return list(csv.DictReader(file))


def histogram(fired):
    """Return co-occurrence counts, computed in another way than the core's."""
    dense = fired.astype(np.float64)
    return (dense @ dense.T).astype(np.int64)


def occurrences(fired):
    windows, features = np.nonzero(fired.T)
    indptr = np.searchsorted(windows, np.arange(fired.shape[1] + 1)).astype(np.int64)
    result = Occurrences(fired.shape[0])
    result.extend(indptr, features.astype(np.uint32))
    return result


def write_npz(folder, counts, n_windows, *, layer=0, dtype=np.int32, save=np.savez):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NPZ.format(layer)
    extra = {} if n_windows is None else {"n_chunks": n_windows}
    save(path, histogram=counts.astype(dtype), **extra)
    return path


def write_golden(data_dir, **npz):
    """Write the golden case in the published layout, and return its folder."""
    source = data_dir / "gemmascope-res-16k" / "0-gemmascope-res-16k"
    fired = golden_fired()
    write_npz(source, histogram(fired), fired.shape[1], **npz)
    target = source / EMBEDDER
    target.mkdir(parents=True)
    shutil.copy(GOLDEN / f"{STEM}_embeddings.pkl", target)
    return source


def write_pickle(folder, features, vectors, *, embedder=EMBEDDER, stem=STEM, layer=0, **columns):
    """Write embeddings as the published scripts pickle them."""
    source_id = f"{layer}-gemmascope-res-16k"
    texts = [f"sense of {i}" for i in features]
    frame = pd.DataFrame(
        {
            "index": features,
            "layer": [source_id] * len(texts),
            "description": [[text] for text in texts],
            "embedding": [list(map(float, v)) for v in vectors],
            "true_description": texts,
            **columns,
        }
    )
    path = folder / embedder / f"{stem}_embeddings.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_pickle(path)
    return path


def write_source(data_dir, *, layer=0, n_features=12, n_windows=40, seed=0, missing=(3,)):
    """Write a tiny published source: feature 0 never fires, feature 1 always, some are unexplained."""
    rng = np.random.default_rng(seed + layer)
    fired = rng.random((n_features, n_windows)) < 0.4
    fired[0] = False
    fired[1] = True
    folder = data_dir / "gemmascope-res-16k" / f"{layer}-gemmascope-res-16k"
    write_npz(folder, histogram(fired), n_windows, layer=layer)
    explained = np.array([i for i in range(n_features) if i not in missing])
    vectors = rng.standard_normal((n_features, 6)).astype(np.float32)
    write_pickle(folder, explained, vectors[explained], layer=layer)
    vectors[list(missing)] = 0
    return folder, fired, vectors


def read_csv(path):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))
