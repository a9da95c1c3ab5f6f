"""A source in our own tree: manifest, parts of occurrences, explanations, embeddings."""

from itertools import pairwise

import numpy as np

from sfal.store.embeddings import write_vectors
from sfal.store.explanations import explanations_sha256, make_table, write_explanations
from sfal.store.layout import embeddings_path
from sfal.store.manifest import Counts, Manifest, Part
from sfal.store.parts import Windows, write_part
from sfal.store.records import SourceRecord

EMBEDDER = "Qwen/Qwen3-Embedding-0.6B"
TYPE, EXPLAINER = "oai_token-act-pair", "gpt-4o-mini"


def write_run(folder, fired, *, layer=0, n_parts=2, n_docs=None):
    """Write parts of occurrences, one window per document, and their manifest."""
    n_features, n_windows = fired.shape
    bounds = np.linspace(0, n_windows, n_parts + 1).astype(int)
    parts = []
    for i, (first, stop) in enumerate(pairwise(bounds)):
        windows, features = np.nonzero(fired[:, first:stop].T)
        n = int(stop - first)
        indptr = np.searchsorted(windows, np.arange(n + 1)).astype(np.int64)
        written = Windows(
            np.arange(first, stop, dtype=np.uint64),
            np.zeros(n, np.uint32),
            indptr,
            features.astype(np.uint32),
        )
        name = f"part-{i:06}.parquet"
        counts = Counts(documents=n, tokens=n, tokens_in_windows=n, windows=n)
        sha256 = write_part(folder, name, written)
        parts.append(Part(name, sha256, int(first), int(stop), counts, "0" * 64))
    Manifest(
        source=SourceRecord(folder.name, model="google/gemma-2-2b", layer=layer),
        n_features=n_features,
        settings={"window_size": 256},
        n_docs=n_docs or n_windows,
        parts=tuple(parts),
    ).save(folder)


def write_texts(folder, features, *, word="sense"):
    table = make_table(
        np.array(features, dtype=np.uint32),
        [(f"{word} of {i}", TYPE, EXPLAINER) for i in features],
    )
    write_explanations(folder, table, {})
    return explanations_sha256(table)


def write_our_vectors(folder, features, vectors, sha256, *, source=None, embedder=EMBEDDER):
    path = embeddings_path(folder, embedder, f"{TYPE}_{EXPLAINER}")
    metadata = {
        "source": source or f"{folder.parent.name}/{folder.name}",
        "explainer": EXPLAINER,
        "type": TYPE,
        "explanations_sha256": sha256,
    }
    write_vectors(path, np.array(features, dtype=np.uint32), vectors, metadata)
    return path


def write_our_source(data_dir, name="gemma-2-2b/0-gemmascope-res-16k", *, n_features=12, seed=0):
    """Write a complete source: feature 0 never fires, feature 1 always, feature 3 is not explained."""
    rng = np.random.default_rng(seed)
    folder = data_dir / name
    fired = rng.random((n_features, 40)) < 0.4
    fired[0], fired[1] = False, True
    write_run(folder, fired)
    features = [i for i in range(n_features) if i != 3]
    vectors = rng.standard_normal((n_features, 6)).astype(np.float32)
    vectors[3] = 0
    write_our_vectors(folder, features, vectors[features], write_texts(folder, features))
    return folder, fired, vectors
