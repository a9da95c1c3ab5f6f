"""What the driver's tests count: a tiny model, SAEs, a corpus, and what plain loops make of them."""

import json

import tiny
from collect import oracle
from sfal.collect.settings import CollectSettings
from sfal.sources import SaeRef, Source
from sfal.store.parts import iterate_parts

F = 24
D = 16
PLACES = [(0, "res"), (2, "res"), (1, "mlp"), (1, "att")]


def make(root):
    """Make a model, an SAE for each place, a corpus of 300 documents, and what plain loops count."""
    tiny.gemma2(root / "lm", layers=3, d_model=D)
    oracle.write_jsonl(root / "corpus.jsonl", oracle.texts(300, longest=30))
    documents = oracle.activations(root / "lm", oracle.texts(300, longest=30), PLACES)
    sources, rows = [], {}
    for seed, (layer, site) in enumerate(PLACES):
        folder = root / f"sae-{layer}-{site}"
        tiny.gemma_scope(folder, ".", 24 if site == "att" else D, F, seed=seed)
        oracle.move_thresholds(folder, documents, (layer, site))
        sources.append(source(root, layer, site))
        margin = oracle.gemma_scope_margin(folder)
        rows[sources[-1].name] = oracle.windows(documents, (layer, site), margin, window_size=16)
    return root, sources, rows


def source(root, layer, site, **other):
    facts = {
        "name": f"lm/{layer}-{site}",
        "model": str(root / "lm"),
        "site": site,
        "layer": layer,
        "sae": SaeRef("local", path=str(root / f"sae-{layer}-{site}")),
    }
    return Source(**{**facts, **other})


def settings(root, **other):
    facts = {
        "corpus": str(root / "corpus.jsonl"),
        "n_docs": 300,
        "window_size": 16,
        "batch_tokens": 512,
        "device": "cpu",
        "part_windows": 80,
    }
    return CollectSettings(**{**facts, **other})


def rows_of(folder):
    return [
        (int(d), int(o), tuple(w.indices[w.indptr[i] : w.indptr[i + 1]].tolist()))
        for w in iterate_parts(folder)
        for i, (d, o) in enumerate(zip(w.documents, w.ordinals, strict=True))
    ]


def snapshot(folder):
    """Everything that must not depend on how a run came about."""
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["volatile"]
    files = {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != "manifest.json"
    }
    return manifest, files
