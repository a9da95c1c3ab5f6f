"""Generate a case in the published layout: the histogram and embeddings of one SAE.

    python benches/published_case.py DIR [--features 16384] [--windows 70000] [--dimension 1024]

writes DIR/gemmascope-res-16k/0-gemmascope-res-16k with the histogram (with `--compressed` as the
published script stores it, otherwise uncompressed) and the pickled embeddings.
Features occur by topic, in 12 % of the windows on average; 1 % have no explanation.
The script needs pandas, as the published scripts do.
"""

import argparse
import json
from pathlib import Path

import numpy as np

SEED = 20_251_104
TOPICS = 64


def histogram(n_features, n_windows):
    """Count co-occurrences of topical features; return the counts and the topic of each feature."""
    from sfal._core import Occurrences

    rng = np.random.default_rng(SEED)
    topic = rng.integers(0, TOPICS, n_features)
    rate = rng.gamma(1.5, 0.08, n_features).clip(0.0005, 0.9)
    windows = Occurrences(n_features)
    for start in range(0, n_windows, 1024):
        n = min(1024, n_windows - start)
        themes = rng.random((n, TOPICS)) < 0.1
        chance = np.where(themes[:, topic], np.minimum(rate * 3, 0.95), rate * 0.7)
        fired = rng.random((n, n_features), dtype=np.float32) < chance
        window, feature = np.nonzero(fired)
        indptr = np.searchsorted(window, np.arange(n + 1)).astype(np.int64)
        windows.extend(indptr, feature.astype(np.uint32))
    return windows.histogram(), topic


def embeddings(topic, dimension):
    """Draw unit vectors near the centre of their topic; return them and the 99 % that are explained."""
    rng = np.random.default_rng(SEED + 1)
    centres = rng.standard_normal((TOPICS, dimension))
    vectors = centres[topic] + 1.5 * rng.standard_normal((len(topic), dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    explained = np.flatnonzero(rng.random(len(topic)) >= 0.01)
    return explained, vectors.astype(np.float32)


def write_embeddings(path, topic, dimension):
    """Write the pickled frame with the published columns."""
    import pandas as pd

    explained, vectors = embeddings(topic, dimension)
    texts = [f"words about topic {topic[i]}, sense {i}" for i in explained]
    frame = pd.DataFrame(
        {
            "id": [f"x{i}" for i in explained],
            "modelId": "gemma-2-9b",
            "layer": "0-gemmascope-res-16k",
            "index": explained,
            "description": [[text] for text in texts],
            "embedding": vectors[explained].tolist(),
            "typeName": [["oai_token-act-pair"] for _ in texts],
            "explanationModelName": [["gpt-4o-mini"] for _ in texts],
            "true_description": texts,
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_pickle(path)


def main():
    """Write the case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--features", type=int, default=16_384)
    parser.add_argument("--windows", type=int, default=70_000)
    parser.add_argument("--dimension", type=int, default=1_024)
    parser.add_argument("--compressed", action="store_true")
    options = parser.parse_args()
    source = options.directory / "gemmascope-res-16k" / "0-gemmascope-res-16k"
    source.mkdir(parents=True, exist_ok=True)
    counts, topic = histogram(options.features, options.windows)
    save = np.savez_compressed if options.compressed else np.savez
    name = "pile_google_gemma-2-9b_res_layer_0_width_16k_average_l0_129_docs50k_keq256"
    save(
        source / f"{name}_cooccurrences.npz",
        histogram=counts.astype(np.int32),
        n_chunks=np.int64(options.windows),
    )
    stem = "oai_token-act-pair_gpt-4o-mini_embeddings.pkl"
    write_embeddings(source / "Qwen" / "Qwen3-Embedding-0.6B" / stem, topic, options.dimension)
    (options.directory / "case.json").write_text(
        json.dumps({k: str(v) for k, v in vars(options).items()})
    )


if __name__ == "__main__":
    main()
