"""The case that `collect.py` measures: a random model in a real one's shape, SAEs, a corpus."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import tiny

SHAPES = {
    "tiny": ("llama", {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4,
                       "num_attention_heads": 4, "num_key_value_heads": 2}, 1024),
    "smollm2": ("llama", {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
                          "num_attention_heads": 9, "num_key_value_heads": 3}, 16_384),
    "gemma-2-2b": ("gemma2", {"hidden_size": 2304, "intermediate_size": 9216,
                              "num_hidden_layers": 26, "num_attention_heads": 8,
                              "num_key_value_heads": 4, "head_dim": 256}, 16_384),
    "llama-3.1-8b": ("llama", {"hidden_size": 4096, "intermediate_size": 14_336,
                               "num_hidden_layers": 32, "num_attention_heads": 32,
                               "num_key_value_heads": 8}, 32_768),
}  # fmt: skip
"""Family, sizes, and features of an SAE."""

WINDOW, LENGTH = 256, 1024
"""Tokens of a window, and of a document at most."""


def build(folder, shape, layers, documents, device):
    """Model, SAEs and corpus, unless they are there."""
    from transformers import AutoModel, Gemma2Config, Gemma2Model, LlamaConfig, LlamaModel

    family, sizes, n_features = SHAPES[shape]
    config_class, model_class = (
        (Gemma2Config, Gemma2Model) if family == "gemma2" else (LlamaConfig, LlamaModel)
    )
    asked = {"shape": shape, "layers": layers, "documents": documents}
    if (folder / "case.json").exists() and json.loads((folder / "case.json").read_text()) == asked:
        return
    shutil.rmtree(folder, ignore_errors=True)
    config = config_class(
        **sizes, vocab_size=49_152, max_position_embeddings=2048,
        bos_token_id=2, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    with tiny.quiet_transformers(), torch.device(device):
        model = model_class(config).to(torch.bfloat16 if device == "cuda" else torch.float32)
        model.save_pretrained(folder / "lm")
        tiny.tokenizer(folder / "lm")
        model = AutoModel.from_pretrained(folder / "lm").eval().to(device)
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("etaoinshrdlu"), rng.integers(2, 9))) for _ in range(3_000)]
    with (folder / "corpus.jsonl").open("w") as file:
        for _ in range(documents):
            text = " ".join(rng.choice(words, 900))
            file.write(json.dumps({"text": text}) + "\n")
    ids = torch.randint(3, 300, (2, 256), device=device)
    with torch.no_grad():
        hidden = model(ids, output_hidden_states=True).hidden_states
    for layer in layers:
        d_model, spread = sizes["hidden_size"], hidden[layer + 1].float().std().item()
        arrays = tiny.weights(d_model, n_features, layer, bias=-3.2)
        arrays["W_enc"] /= spread
        arrays["threshold"] = tiny.thresholds(n_features, layer, scale=0.1)
        (folder / f"sae{layer}").mkdir()
        np.savez(folder / f"sae{layer}" / "params.npz", **arrays)
    (folder / "case.json").write_text(json.dumps(asked))


def sources(folder, layers):
    """The SAEs as the command line would name them."""
    from sfal.sources import resolve_local

    return [resolve_local(folder / f"sae{n}", str(folder / "lm"), "res", n) for n in layers]
