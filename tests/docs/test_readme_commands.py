"""Every shell block of the README, run as it stands: the hub and Neuronpedia are local servers."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

import tiny
import tiny_embedders
from collect import oracle
from servers import exports, hub_content, s3
from servers import hub as hub_server

README = Path(__file__).parents[2] / "README.md"
L0 = {0: 105, 5: 68, 10: 77, 15: 78, 25: 116}
"""L0 of the SAEs that Neuronpedia explains, of the layers that `sfal cooc gemma` takes."""
DOCUMENTS = oracle.texts(40, seed=3, longest=900)
pytestmark = pytest.mark.slow


BLOCKS = re.findall(r"^```bash\n(.*?)^```", README.read_text("utf-8"), re.DOTALL | re.MULTILINE)
ELSEWHERE = (
    "pip install . && sfal demo --keep demo --report demo.html",
    "pip install '.[dev]' && just test",
)
"""Blocks that `.ci/run` and the demo's own tests run."""


def sae(folder, model):
    """Make an SAE whose features fire on one token in 300, so that they differ between windows."""
    tiny.saelens(folder, "standard", 16, hub_content.N_FEATURES, apply_b_dec_to_input=False)
    path = folder / "sae_weights.safetensors"
    arrays = load_file(path)
    found = oracle.activations(model, DOCUMENTS, [(3, "res")])
    x = np.concatenate([residuals[3, "res"][at] for at, residuals in found])
    edges = np.quantile(x @ arrays["W_enc"], 1 - 1 / 300, axis=0)
    save_file({**arrays, "b_enc": -edges.astype(np.float32)}, path)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Return a folder with a user's files, and an environment whose hub is a local server."""
    root, folder = tmp_path_factory.mktemp("hub"), tmp_path_factory.mktemp("desk")
    program = root / "bin" / "sfal"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m sfal "$@"\n')
    program.chmod(0o755)

    tiny.gemma2(folder / "my-model")
    sae(folder / "my-sae", folder / "my-model")
    lines = [json.dumps({"text": text}) for text in DOCUMENTS]
    (folder / "my-text.jsonl").write_text("\n".join(lines) + "\n")
    features = range(hub_content.N_FEATURES)
    for name in ("mine", "theirs"):
        labels = {"feature": features, "explanation": [f"{name} label {i}" for i in features]}
        pd.DataFrame(labels).to_csv(folder / f"{name}.csv", index=False)

    tiny.gemma2(root / "gemma-2-2b", layers=26)
    scope = root / "gemma-scope-2b-pt-res"
    for layer, l0 in L0.items():
        path = f"layer_{layer}/width_16k/average_l0_{l0}"
        tiny.gemma_scope(scope, path, 16, hub_content.N_FEATURES, seed=layer)
    objects = {}
    for layer in L0:
        source = f"gemma-2-2b/{layer}-gemmascope-res-16k"
        records = [exports.record(i, source=source) for i in features]
        objects.update(exports.export([records], source=source))
    with hub_server.serve() as hub, s3.serve(objects) as bucket:
        hub.add("google/gemma-2-2b", root / "gemma-2-2b")
        hub.add("google/gemma-scope-2b-pt-res", scope)
        hub.add("Qwen/Qwen3-Embedding-0.6B", tiny_embedders.qwen3_embedder(root / "qwen"))
        hub_content.pile(hub, root, DOCUMENTS)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "SFAL_"))}
        yield (
            folder,
            {
                **kept,
                **hub.environment(root / "hf-home"),
                "PATH": f"{program.parent}:{os.environ['PATH']}",
                "SFAL_NEURONPEDIA_URL": bucket.url,
                "OMP_NUM_THREADS": "1",
            },
        )


def test_the_blocks_that_run_elsewhere_are_these():
    assert [block.strip() for block in BLOCKS if block.startswith("pip")] == [*ELSEWHERE]


@pytest.mark.parametrize("block", [block for block in BLOCKS if not block.startswith("pip")])
def test_a_shell_block_runs_as_it_stands(block, desk):
    folder, environment = desk
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "scoring_results.csv").exists()
