"""Many windows through the collector, and its memory; test_load.py runs this as a process.

The driver, the planning of batches, the gate, the counting, the parts and the
manifest are the real ones; only texts and activations are synthetic.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

import tiny
from sfal.collect import driver
from sfal.collect.model.hook_points import HookPoint
from sfal.collect.session import loading
from sfal.collect.settings import CollectSettings
from sfal.sources import SaeRef, Source
from sfal.store.run_writer import RunWriter

D, F = 8, 64
WINDOW, DOCUMENT = 4, 256
POINT = HookPoint(0, "res")


class Texts:
    """An endless corpus, in which each document is its own ordinal."""

    name = "synthetic"
    notes = ()

    def __init__(self):
        self.fingerprint = {"sha256": "none"}

    def documents(self, start):
        while True:
            yield str(start)
            start += 1


class Model:
    """A model whose activations depend on the document alone."""

    name = "synthetic"
    device = torch.device("cpu")
    tokenizer = SimpleNamespace(
        special_ids=frozenset(), chat=None, first_token=lambda prepend_bos: None
    )

    def __init__(self):
        self.fingerprint = {"sha256": "none"}
        self.metadata = {"dtype": "float32", "layers_run": 1}
        self._rows = torch.randn(1 << 16, D, generator=torch.Generator().manual_seed(0))

    def special_ids_in(self, document):
        return frozenset()

    def tokenize(self, texts, max_length, prepend_bos=None):
        return [[int(text)] * DOCUMENT for text in texts]

    def check_width(self, point, d_in, name):
        assert d_in == D

    def activations(self, batch):
        starts = torch.tensor([ids[0] * 4999 % (len(self._rows) - DOCUMENT) for ids in batch])
        return {POINT: self._rows[starts[:, None] + torch.arange(len(batch[0]))]}


def resident():
    """Return the bytes of memory in use."""
    return 4096 * int(Path("/proc/self/statm").read_text().split()[1])


def main(folder, n_windows):
    tiny.gemma_scope(folder / "sae", ".", D, F)
    samples = []
    append = RunWriter.append

    def sampling(self, *args):
        append(self, *args)
        samples.append(resident())

    RunWriter.append = sampling
    driver.open_corpus = lambda config: Texts()
    loading.load_model = lambda readers, config: Model()
    n_docs = n_windows * WINDOW // DOCUMENT
    source = Source("m/0-sae", "m", "res", 0, SaeRef("local", path=str(folder / "sae")))
    settings = CollectSettings(
        "synthetic",
        n_docs=n_docs,
        window_size=WINDOW,
        max_length=DOCUMENT,
        device="cpu",
        histogram="none",
    )
    [result] = driver.collect([source], settings, folder / "data")
    assert result.error is None, result.error
    manifest = result.manifest
    assert manifest.complete
    assert HookPoint.of(source) == POINT
    report = {"n_windows": manifest.n_windows, "n_parts": len(manifest.parts)}
    report["occurrences"] = manifest.counts.occurrences
    quarter = len(samples) // 4
    report["first"] = int(np.median(samples[quarter // 2 : quarter]))
    report["last"] = int(np.median(samples[-quarter:]))
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), int(sys.argv[2]))
