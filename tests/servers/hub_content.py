"""Content of the hub for ``sfal cooc gemma`` and ``sfal cooc llama``, in miniature.

The repositories have the real names and the real layout; models and SAEs are tiny.
"""

import json

import numpy as np
import zstandard

import tiny
from collect import oracle

LLAMA_LAYERS = (0, 8)
N_FEATURES = 24
L0 = {
    ("res", 0): 105,
    ("res", 5): 68,
    ("mlp", 0): 119,
    ("mlp", 5): 114,
    ("att", 0): 104,
    ("att", 5): 135,
}
"""L0 of the variants that Neuronpedia explains, by site and layer."""


def gemma(hub, root, documents):
    """Add gemma-2-2b, the three Gemma Scope repositories, and the Pile."""
    tiny.gemma2(root / "gemma-2-2b", layers=7)
    hub.add("google/gemma-2-2b", root / "gemma-2-2b")
    for site in ("res", "mlp", "att"):
        repo = root / f"gemma-scope-2b-pt-{site}"
        for (at, layer), l0 in L0.items():
            if at == site:
                width = 24 if site == "att" else 16
                path = f"layer_{layer}/width_16k/average_l0_{l0}"
                tiny.gemma_scope(repo, path, width, N_FEATURES, seed=layer + len(site))
                tiny.gemma_scope(repo, f"layer_{layer}/width_16k/average_l0_9", width, 8, seed=9)
        (repo / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n")
        hub.add(f"google/gemma-scope-2b-pt-{site}", repo)
    places = [(layer, site) for site, layer in L0]
    found = oracle.activations(root / "gemma-2-2b", documents, places)
    for (site, layer), l0 in L0.items():
        folder = root / f"gemma-scope-2b-pt-{site}" / f"layer_{layer}/width_16k/average_l0_{l0}"
        oracle.move_thresholds(folder, found, (layer, site))
    pile(hub, root, documents)
    return found


def pile(hub, root, documents):
    """Add the Pile in three files, as ``train/NN.jsonl.zst``."""
    third = len(documents) // 3
    pieces = [documents[:third], documents[third : 2 * third], documents[2 * third :]]
    for i, texts in enumerate(pieces):
        _compressed(root / "pile" / "train" / f"{i:02d}.jsonl.zst", texts)
    _compressed(root / "pile" / "val.jsonl.zst", ["never to be read"] * 5)
    hub.add("monology/pile-uncopyrighted", root / "pile", "datasets")


def llama(hub, root, documents):
    """Add Llama-3.1-8B, Llama Scope's residual and MLP repositories, and SlimPajama."""
    tiny.llama(root / "Llama-3.1-8B", layers=10)
    hub.add("meta-llama/Llama-3.1-8B", root / "Llama-3.1-8B")
    for letter in "RM":
        repo = root / f"Llama3_1-8B-Base-LX{letter}-8x"
        for layer in LLAMA_LAYERS:
            tiny.llama_scope(repo, layer, 16, N_FEATURES, site=letter, seed=layer + ord(letter))
        hub.add(f"fnlp/Llama3_1-8B-Base-LX{letter}-8x", repo)
    half = len(documents) // 2
    first = root / "slimpajama" / "train" / "chunk1"
    _compressed(first / "example_train_0.jsonl.zst", documents[:half])
    _compressed(first / "example_train_1.jsonl.zst", documents[half:])
    _compressed(
        root / "slimpajama" / "train" / "chunk2" / "example_train_0.jsonl.zst", ["later"] * 5
    )
    _compressed(
        root / "slimpajama" / "validation" / "chunk1" / "example_holdout_0.jsonl.zst", ["other"] * 5
    )
    hub.add("cerebras/SlimPajama-627B", root / "slimpajama", "datasets")


def _compressed(path, texts):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps({"text": t, "meta": {"set": "x"}}) + "\n" for t in texts)
    path.write_bytes(zstandard.compress(lines.encode()))


def change_one_weight(folder):
    """Replace a weight of a Gemma Scope SAE in place."""
    path = folder / "params.npz"
    arrays = dict(np.load(path))
    arrays["b_enc"] = arrays["b_enc"] + np.float32(0.25)
    np.savez(path, **arrays)
