"""Counting in plain loops: one document at a time through the whole model, one window at a time.

Nothing here is shared with what it checks, but the weights on disk.
"""

import json
import math
from pathlib import Path

import numpy as np

import tiny

CLOSE = 2e-5
"""Distance from the threshold within which float32 may decide either way."""


def gemma_scope_margin(folder):
    """Activation -> how far each feature is above its threshold, for Gemma Scope's npz."""
    arrays = {k: v.astype(np.float64) for k, v in np.load(Path(folder) / "params.npz").items()}

    def margin(x):
        before = x @ arrays["W_enc"] + arrays["b_enc"]
        return np.minimum(before - arrays["threshold"], before)

    return margin


def llama_scope_margin(folder, scale, top_k=None):
    """The same for a Llama Scope folder; `scale` goes on the input, 1.0 for none."""
    from safetensors.numpy import load_file

    settings = json.loads((Path(folder) / "hyperparams.json").read_text())
    own = math.sqrt(settings["d_model"]) / settings["dataset_average_activation_norm"]["in"]
    tensors = load_file(Path(folder) / "checkpoints" / "final.safetensors")
    weights = tensors["encoder.weight"].astype(np.float64)
    bias = tensors["encoder.bias"].astype(np.float64)

    def margin(x):
        before = np.array([(scale * row) @ weights.T + bias for row in x])
        if top_k is None:
            return np.minimum(before - settings["jump_relu_threshold"] * own, before)
        # The k-th largest fires and the next one does not: the threshold lies between them.
        ordered = np.sort(before, axis=1)[:, ::-1]
        edge = (ordered[:, top_k - 1] + ordered[:, top_k]) / 2
        return np.minimum(before - edge[:, None], before)

    return margin


def load(folder):
    """The whole model with its head, and its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with tiny.quiet_transformers():
        model = AutoModelForCausalLM.from_pretrained(folder).eval().float()
        return model, AutoTokenizer.from_pretrained(folder)


def _hook(model, layer, site, found):
    """Keep in `found` what passes a site."""

    def keep(value):
        found[layer, site] = (value[0] if isinstance(value, tuple) else value)[0].double().numpy()

    module = model.model.layers[layer]
    if site == "att":
        return module.self_attn.o_proj.register_forward_pre_hook(lambda m, args: keep(args[0]))
    if site == "mlp":
        is_llama = model.config.model_type == "llama"
        module = module.mlp if is_llama else module.post_feedforward_layernorm
    return module.register_forward_hook(lambda m, args, out: keep(out))


def activations(folder, texts, places, max_length=1024):
    """Of each document: where its tokens are, and the activations at each place."""
    import torch

    model, tokenizer = load(folder)
    special = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
    result = []
    for text in texts:
        ids = tokenizer.encode(text)
        if ids[:1] != [tokenizer.bos_token_id]:
            ids = [tokenizer.bos_token_id, *ids]
        ids = ids[:max_length]
        found = {}
        handles = [_hook(model, layer, site, found) for layer, site in places]
        with torch.no_grad():
            model(torch.tensor([ids]))
        for handle in handles:
            handle.remove()
        result.append(([i for i, token in enumerate(ids) if token not in special], found))
    return result


def move_thresholds(folder, documents, place):
    """Put a Gemma Scope SAE's thresholds where no token of the documents is near them."""
    path = Path(folder) / "params.npz"
    arrays = dict(np.load(path))
    x = np.concatenate([found[place][positions] for positions, found in documents])
    before = np.sort(x @ arrays["W_enc"].astype(np.float64) + arrays["b_enc"], axis=0)
    top = before[int(0.9 * len(before)) : int(0.99 * len(before))]
    # Up to a positive value, so that the rectifier decides nothing by itself.
    arrays["b_enc"] = arrays["b_enc"] + np.maximum(0, 0.1 - top[0]).astype(np.float32)
    top = top + np.maximum(0, 0.1 - top[0])
    widest = np.diff(top, axis=0).argmax(axis=0)
    features = np.arange(top.shape[1])
    middle = (top[widest, features] + top[widest + 1, features]) / 2
    arrays["threshold"] = middle.astype(np.float32)
    np.savez(path, **arrays)


def windows(documents, place, margin, *, window_size, tail="drop"):
    """(document, window, features) of every window, in order."""
    rows = []
    for number, (positions, found) in enumerate(documents):
        pieces = [positions[i : i + window_size] for i in range(0, len(positions), window_size)]
        if pieces and len(pieces[-1]) < window_size:
            rest = pieces.pop()
            if tail == "keep" and 2 * len(rest) >= window_size:
                pieces.append(rest)
        for ordinal, piece in enumerate(pieces):
            highest = margin(found[place][piece]).max(axis=0)
            # Else the test would be one of float32's last bits.
            assert np.abs(highest).min() > CLOSE, (number, ordinal)
            rows.append((number, ordinal, tuple(np.flatnonzero(highest > 0).tolist())))
    return rows


def histogram(rows, n_features):
    """c_ij and the number of windows."""
    counts = np.zeros((n_features, n_features), np.int64)
    for _, _, features in rows:
        for i in features:
            for j in features:
                counts[i, j] += 1
    return counts, len(rows)


def texts(n_docs, seed=0, longest=80):
    """Documents of real words, some empty, some of one token, some long."""
    rng = np.random.default_rng(seed)
    words = " ".join(tiny.TEXTS).split()
    made = [" ".join(rng.choice(words, rng.integers(0, longest))) for _ in range(n_docs)]
    for i in range(0, n_docs, 11):
        made[i] = ["", "a", " "][i % 3]
    return made


def write_jsonl(path, documents, key="text"):
    lines = [json.dumps({key: text, "meta": {"n": i}}) for i, text in enumerate(documents)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines))
    return path
