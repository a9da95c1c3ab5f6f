"""A source whose features fire by topic and are labelled by it, with some labels exchanged."""

import numpy as np

from scoring.builders import EMBEDDER, EXPLAINER, TYPE, write_run
from sfal.store.embeddings import write_vectors
from sfal.store.explanations import explanations_sha256, make_table, write_explanations
from sfal.store.layout import embeddings_path

NAME = "gemma-2-2b/0-gemmascope-res-16k"
EXCHANGED = ((3, 40), (11, 57))
"""Features whose labels stand on each other."""
LEAKED, TWINS, EMPTY = 20, (30, 31), 34


def topical(n_features=80, n_windows=600, n_topics=8, seed=0):
    """Return what fires where, the topic of each feature, and vectors of right labels."""
    rng = np.random.default_rng(seed)
    topic = np.arange(n_features) % n_topics
    themes = rng.random((n_topics, n_windows)) < 0.2
    fired = rng.random((n_features, n_windows)) < np.where(themes[topic], 0.5, 0.03)
    centres = rng.standard_normal((n_topics, 12))
    vectors = centres[topic] + 0.4 * rng.standard_normal((n_features, 12))
    return fired, topic, vectors.astype(np.float32)


def write_labelled(data_dir, order=None):
    """Write the source, its labels in this order if one is given, and return its folder."""
    fired, topic, vectors = topical()
    texts = [f"topic {t}, sense {i}" for i, t in enumerate(topic)]
    for i, j in EXCHANGED:
        vectors[[i, j]] = vectors[[j, i]]
        texts[i], texts[j] = texts[j], texts[i]
    texts[LEAKED] = "The user wants a concise explanation of the neuron"
    texts[TWINS[0]] = texts[TWINS[1]] = "numbers"
    texts[EMPTY] = ""
    if order is not None:
        vectors, texts = vectors[order], [texts[i] for i in order]
    folder = data_dir / NAME
    write_run(folder, fired)
    features = np.arange(len(fired), dtype=np.uint32)
    table = make_table(features, [(text, TYPE, EXPLAINER) for text in texts])
    write_explanations(folder, table, {})
    metadata = {
        "source": NAME,
        "explainer": EXPLAINER,
        "type": TYPE,
        "explanations_sha256": explanations_sha256(table),
    }
    path = embeddings_path(folder, EMBEDDER, f"{TYPE}_{EXPLAINER}")
    write_vectors(path, features, vectors, metadata)
    return folder
