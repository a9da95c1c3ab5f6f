"""Exports of explanations as Neuronpedia writes them, in both shapes of records."""

import gzip
import json

MODEL, NAME = "gemma-2-2b", "0-gemmascope-res-16k"
SOURCE = f"{MODEL}/{NAME}"
DIMENSION = 256


def vector(feature):
    """Return a vector from which the feature can be read: (1, feature, 0, …)."""
    return [1.0, float(feature), *[0.0] * (DIMENSION - 2)]


def record(feature, text=None, **fields):
    """Return a record as the database exports it: the index is text, the vector JSON in text."""
    model, _, layer = fields.pop("source", SOURCE).partition("/")
    return {
        "id": f"id-{feature}-{fields.get('typeName', '')}-{fields.get('explanationModelName', '')}",
        "modelId": model,
        "layer": layer,
        "index": str(feature),
        "authorId": "someone",
        "description": f" words about topic {feature}" if text is None else text,
        "embedding": json.dumps(vector(feature)),
        "typeName": "oai_token-act-pair",
        "explanationModelName": "gpt-4o-mini",
        "umap_x": 0.5,
        "umap_y": None,
        "umap_cluster": 3,
        "umap_log_feature_sparsity": -2.5,
        **fields,
    }


def newer_record(feature, text=None, **fields):
    """Return a record of the batch-autointerp writer: the vector is a list."""
    model, _, layer = fields.pop("source", SOURCE).partition("/")
    return {
        "id": f"new-{feature}",
        "modelId": model,
        "layer": layer,
        "index": str(feature),
        "description": f"words about topic {feature}" if text is None else text,
        "authorId": "someone",
        "embedding": vector(feature),
        "triggeredById": None,
        "typeName": "np_max-act-logits",
        "explanationModelName": "gemini-2.0-flash",
        "notes": None,
        "createdAt": "2026-01-01T00:00:00.000Z",
        **fields,
    }


def batch(records):
    """Return gzipped JSON lines; records that are bytes are written unchanged."""
    lines = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in records]
    return gzip.compress(b"\n".join(lines) + b"\n", mtime=0)


def export(batches, source=SOURCE):
    """Return the objects of a bucket with the batches of a source."""
    objects = {
        f"v1/{source}/explanations/batch-{n}.jsonl.gz": b if isinstance(b, bytes) else batch(b)
        for n, b in enumerate(batches)
    }
    objects[f"v1/{source}/source.jsonl"] = b"{}\n"
    return objects
