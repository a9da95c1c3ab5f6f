"""A source with a run in ten parts, a further run, explanations, embeddings, scores and examples."""

from dataclasses import replace

import numpy as np

from scoring import builders
from sfal.scoring.driver import score_selection
from sfal.scoring.selection import Selection
from sfal.store.layout import source_dir
from sfal.store.manifest import Manifest

SOURCE = "gemma-2-2b/0-gemmascope-res-16k"
REPO = "lab/occurrences"
N_FEATURES = 60
RUN = "other"
PRIVATE = "/home/someone/secret"


def write_tree(data):
    """Write the tree; its manifests say where on this machine things are."""
    builders.write_our_source(data, SOURCE, n_features=N_FEATURES)
    folder = data / SOURCE
    write_run(folder, seed=1)
    write_run(source_dir(data, SOURCE, RUN), seed=2, n_parts=3)
    score_selection(data, Selection())
    return data


def write_run(folder, *, seed, n_parts=10, n_docs=None):
    """Write a run in place of the one that is there."""
    for part in (folder / "occurrences").glob("*"):
        part.unlink()
    rng = np.random.default_rng(seed)
    fired = rng.random((N_FEATURES, 300)) < 0.3
    builders.write_run(folder, fired, n_parts=n_parts, n_docs=n_docs)
    manifest = Manifest.load(folder)
    volatile = {
        "versions": {"sfal": "0.1", "torch": "2.6"},
        "histogram_folder": f"{PRIVATE}/histograms",
        "cache": [f"{PRIVATE}/hub", "as usual"],
        "notes": [f"corpus {PRIVATE}/texts.jsonl ended early; see https://example.org/notes"],
    }
    record = replace(manifest.source, name=SOURCE)
    replace(manifest, source=record, volatile=volatile).save(folder)


def files(data, *, below=SOURCE):
    """Every file below a source's folder, with its bytes."""
    folder = data / below
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def without_manifests(found):
    return {name: content for name, content in found.items() if not name.endswith("manifest.json")}
