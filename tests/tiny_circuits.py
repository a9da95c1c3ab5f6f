"""Tiny transcoders in circuit-tracer's layout, and their rule in plain numpy."""

from pathlib import Path

import numpy as np

import tiny
from tiny_rules import exact, relu, write_safetensors

CONFIG = """\
model_name: "someone/tiny-model"
feature_input_hook: "{hook}"
feature_output_hook: "hook_mlp_out"
"""


def circuit_tracer(
    folder, layer, d_in, n_features, *, crosses=False, threshold=None, hook="mlp.hook_in"
):
    """A layer's file in a folder with ``config.yaml``; `threshold` is the name of its array."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if hook is not None:
        (folder / "config.yaml").write_text(CONFIG.replace("{hook}", hook))
    w = tiny.weights(d_in, n_features, seed=layer)
    arrays = {"W_enc": w["W_enc"].T, "b_enc": w["b_enc"], "b_dec": w["b_dec"]}
    if threshold is not None:
        arrays[threshold] = tiny.thresholds(n_features, layer)
    if crosses:
        decoder = np.stack([w["W_dec"]] * 2, axis=1)
        write_safetensors(folder / f"W_dec_{layer}.safetensors", {f"W_dec_{layer}": decoder})
        arrays = {f"{name}_{layer}": array for name, array in arrays.items()}
    else:
        arrays |= {"W_dec": w["W_dec"], "W_skip": np.eye(d_in, dtype=np.float32)}
    path = folder / f"{'W_enc' if crosses else 'layer'}_{layer}.safetensors"
    write_safetensors(path, arrays)
    w = exact(w)

    def rule(x):
        before = x @ w["W_enc"] + w["b_enc"]
        if threshold is None:
            return relu(before)
        return np.where(before > tiny.thresholds(n_features, layer), relu(before), 0)

    return path, rule
