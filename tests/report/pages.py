"""Pages to test: a reader of their data in Python, and sources of any size without counts."""

import base64
import json
import re
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sfal.report.lists import LONGEST, BothLists, Lists
from sfal.report.opposites import N_OPPOSITES
from sfal.report.source_data import EmbeddingData, SourceData
from sfal.scoring.selection import EmbeddingsFile, SourceInput
from sfal.scoring.settings import ScoreSettings
from sfal.store.examples import Example
from sfal.store.scores import ScoreSet

TYPES = {"u8": "<u1", "u16": "<u2", "u32": "<u4", "f32": "<f4", "f64": "<f8"}
HOSTILE = (
    "</script><img src=x onerror=\"document.body.dataset.hacked='yes'\">",
    "<b onmouseover=alert(1)>bold</b>",
    "\u202eright to left\u202c",
    "nul \x00 inside",
    "😀 a family 👨‍👩‍👧",
    "=HYPERLINK(1)",
    "long " * 2000,
    "{{SCRIPT}} --> <!-- ]]>",
)


class Decoded:
    """The data of a page, read as the page's script reads it."""

    def __init__(self, html):
        pattern = r'<script type="application/octet-stream" id="block-(\w+)">([^<]*)</script>'
        self._blocks = dict(re.findall(pattern, html))
        self.index = json.loads(self._raw("index"))

    def _raw(self, name):
        return zlib.decompress(base64.b64decode(self._blocks[str(name)], validate=True))

    def array(self, spec, *shape):
        raw = self._raw(spec["block"])
        if spec["type"] == "json":
            return json.loads(raw)
        kind = np.dtype(TYPES[spec["type"]])
        planes = np.frombuffer(raw, np.uint8).reshape(kind.itemsize, -1)
        values = np.ascontiguousarray(planes.T).view(kind).reshape(-1)
        assert len(values) == spec["length"]
        return values.reshape(shape or -1)


def add_trust(path, *, seed=0):
    """Give scores on disk the columns of label ranks and intervals, and return the table."""
    table = pq.read_table(path)
    rng = np.random.default_rng(seed)
    n = len(table)
    scored = np.array(table.column("status").to_pylist()) == "scored"
    rank = rng.integers(1, max(2, scored.sum()), n)
    better = [
        [{"feature": int(rng.integers(n)), "sfal": float(np.float32(0.5))}] if one else None
        for one in scored
    ]
    kind = pa.list_(pa.struct([("feature", pa.uint32()), ("sfal", pa.float32())]))
    added = {
        "p_chance": pa.array(rng.random(n), mask=~scored),
        "label_rank": pa.array(rank.astype(np.uint32), mask=~scored),
        "p_label": pa.array(rank / scored.sum(), mask=~scored),
        "better_labels": pa.array(better, kind),
        "low": pa.array(rng.random(n), mask=~scored),
        "high": pa.array(rng.random(n), mask=~scored),
        "ceiling": pa.array(rng.random(n), mask=~scored),
        "sfal_corrected": pa.array([None] * n, pa.float64()),
    }
    table = table.drop_columns([name for name in added if name in table.column_names])
    for name, column in added.items():
        table = table.append_column(name, column)
    pq.write_table(table, path)
    return table


def without_trust(path):
    """Leave scores on disk the columns of earlier versions alone, and return the table."""
    table = pq.read_table(path)
    first = "layer feature embedding explainer ndcg sfal chance windows status"
    table = table.select(first.split())
    pq.write_table(table, path)
    return table


def synthetic_source(
    n=32768,
    *,
    name="made/0-made-res",
    labels=None,
    seed=0,
    trusted=True,
    with_examples=False,
    functional=None,
):
    """Return a source with random scores and lists, as wide as one likes."""
    rng = np.random.default_rng(seed)
    words = np.array([f"word{i}" for i in range(3000)])
    if labels is None:
        labels = [" ".join(words[rng.integers(0, 3000, 6)]) for _ in range(n)]
    n = len(labels)
    shown = min(LONGEST, n - 1)

    def lists():
        near = (np.arange(n)[:, None] + 1 + np.cumsum(rng.integers(1, 3, (n, shown)), 1)) % n
        value = -np.sort(-rng.random((n, shown)).astype(np.float32), axis=1)
        pad = ((0, 0), (0, LONGEST - shown))
        near, value = np.pad(near, pad), np.pad(value, pad)
        return Lists(np.full(n, shown, np.uint8), near.astype(np.uint32), value)

    functional, semantic = functional or lists(), lists()
    semantic_place, functional_place = _places(functional, semantic, rng)
    places = BothLists(functional, semantic, functional_place, semantic_place)
    avoided = Lists(
        rng.integers(0, min(N_OPPOSITES, n - 1) + 1, n).astype(np.uint8),
        (np.arange(n)[:, None] + 1 + np.arange(N_OPPOSITES)).astype(np.uint32) % n,
        np.sort(-rng.uniform(0.001, 0.2, (n, N_OPPOSITES)).astype(np.float32), axis=1),
    )
    sfal = rng.normal(0.3, 0.2, n)
    columns = {
        "feature": np.arange(n, dtype=np.uint32),
        "embedding": ["made"] * n,
        "explainer": ["nobody"] * n,
        "ndcg": sfal * 0.7 + 0.3,
        "sfal": sfal,
        "chance": np.full(n, 0.3),
        "status": ["scored"] * n,
    }
    if trusted:
        rank = rng.integers(1, n, n).astype(np.uint32)
        columns |= {"label_rank": rank, "p_label": rank / n}
        columns |= {"low": sfal - 0.1, "high": sfal + 0.1, "ceiling": rng.random(n)}
    table = pa.table(columns)
    file = EmbeddingsFile("made", "short_nobody", Path("made"))
    one = EmbeddingData(
        file,
        "nobody",
        dict(enumerate(labels)),
        ScoreSet("made", "nobody", "short_nobody", table),
        places,
        (),
    )
    source = SourceInput(name, "made", 0, Path("made"), Path("made"), (file,))
    windows = rng.integers(1, 99_999, n).astype(np.uint64)
    examples = {
        i: [Example(i, 0, 1.0, 0, 0, label, "before ", " after")] for i, label in enumerate(labels)
    }
    return SourceData(
        source,
        windows,
        100_000,
        None,
        ScoreSettings(),
        (one,),
        avoided,
        examples if with_examples else None,
    )


def with_second_embedder(source, labels, *, seed=1):
    """Return a source with another set of embeddings beside its own."""
    functional = source.embeddings[0].lists.functional
    other = synthetic_source(labels=labels, seed=seed, functional=functional).embeddings[0]
    file = replace(other.file, embedder="other")
    return replace(source, embeddings=(*source.embeddings, replace(other, file=file)))


def _places(functional, semantic, rng):
    """Return places that agree with the lists, for the semantic and the functional one."""
    n = len(functional.n)
    places = []
    for mine, other in ((semantic, functional), (functional, semantic)):
        dense = rng.integers(51, 1024, (n, LONGEST)).astype(np.uint16)
        for at in range(int(other.n[0])):
            hit = mine.feature == other.feature[:, at : at + 1]
            dense[hit] = at + 1
        dense[:, int(mine.n[0]) :] = 0
        places.append(dense)
    return places
