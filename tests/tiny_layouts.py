"""Tiny SAEs in the layouts of other libraries, and each library's rule in plain numpy.

Every builder returns the folder or file, and the rule: a function from inputs
[tokens, d_in] to activations [tokens, features], in float64.
"""

from pathlib import Path

import numpy as np

import tiny
from tiny_rules import (
    exact,
    layer_norm,
    relu,
    top_k,
    write_json,
    write_safetensors,
    write_torch,
)


def sparsify(folder, d_in, n_features, *, k=4, parent=None, drop=(), **changes):
    """A folder of sparsify; `changes` are settings, `parent` those of the run."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    w = tiny.weights(d_in, n_features)
    arrays = {
        "encoder.weight": w["W_enc"].T,
        "encoder.bias": w["b_enc"],
        "W_dec": w["W_dec"],
        "b_dec": w["b_dec"],
    }
    write_safetensors(folder / "sae.safetensors", arrays)
    settings = {
        "activation": "topk",
        "expansion_factor": n_features // d_in,
        "normalize_decoder": True,
        "num_latents": n_features,
        "k": k,
        "multi_topk": False,
        "skip_connection": False,
        "transcode": False,
        "d_in": d_in,
        **changes,
    }
    write_json(folder / "cfg.json", {key: settings[key] for key in settings if key not in drop})
    if parent is not None:
        write_json(folder.parent / "config.json", parent)
    w = exact(w)

    def rule(x):
        x = x if settings["transcode"] else x - w["b_dec"]
        before = x @ w["W_enc"] + w["b_enc"]
        if settings.get("signed"):
            return top_k(before, k, np.abs(before))
        acts = relu(before)
        if settings["activation"] == "groupmax":
            grouped = acts.reshape(len(x), k, -1)
            return np.where(grouped == grouped.max(-1, keepdims=True), grouped, 0).reshape(
                acts.shape
            )
        return top_k(acts, k)

    return folder, rule


def dictionary_learning(
    folder, name, d_in, n_features, *, k=4, threshold=0.3, old=False, drop=(), **changes
):
    """A trainer's folder; `name` is the class, `changes` are settings of the trainer."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    w = tiny.weights(d_in, n_features)
    each = np.random.default_rng(5).normal(0, 0.3, (3, n_features)).astype(np.float32)
    linear = {
        "encoder.weight": w["W_enc"].T,
        "encoder.bias": w["b_enc"],
        "decoder.weight": w["W_dec"].T,
    }
    batch = {"k": np.int32(k), "threshold": np.float32(threshold)}
    jump = tiny.thresholds(n_features)
    b_gate, b_mag = w["b_enc"] + each[1], w["b_enc"] + each[2]
    arrays = {
        "AutoEncoder": {**linear, "bias": w["b_dec"]},
        "AutoEncoderNew": {**linear, "decoder.bias": w["b_dec"]},
        "GatedAutoEncoder": {
            "encoder.weight": w["W_enc"].T,
            "decoder.weight": w["W_dec"].T,
            "decoder_bias": w["b_dec"],
            "r_mag": each[0],
            "gate_bias": b_gate,
            "mag_bias": b_mag,
        },
        "JumpReluAutoEncoder": {**w, "threshold": jump},
        "AutoEncoderTopK": {**linear, "b_dec": w["b_dec"], **batch},
        "BatchTopKSAE": {**linear, "b_dec": w["b_dec"], **batch},
        "MatryoshkaBatchTopKSAE": {
            **w,
            **batch,
            "group_sizes": np.array([n_features // 2, n_features - n_features // 2]),
        },
    }[name]
    write_torch(folder / "ae.pt", {n: a for n, a in arrays.items() if n not in drop}, old=old)
    trainer = {
        "dict_class": name,
        "activation_dim": d_in,
        "dict_size": n_features,
        "layer": 1,
        "lm_name": "owner/model",
        "submodule_name": "resid_post_layer_1",
        **({"k": k} if "k" in arrays else {}),
        **changes,
    }
    write_json(folder / "config.json", {"trainer": trainer, "buffer": {"ctx_len": 128}})
    w, jump, each = exact(w), jump.astype(np.float64), each.astype(np.float64)
    b_gate, b_mag = b_gate.astype(np.float64), b_mag.astype(np.float64)

    def rule(x):
        if name not in ("AutoEncoderNew", "JumpReluAutoEncoder"):
            x = x - w["b_dec"]
        product = x @ w["W_enc"]
        acts = relu(product + w["b_enc"])
        if name == "GatedAutoEncoder":
            opened = product + b_gate > 0
            return opened * relu(np.exp(each[0]) * product + b_mag)
        if name == "JumpReluAutoEncoder":
            return acts * (acts > jump)
        if name == "AutoEncoderTopK":
            return top_k(acts, k)
        return acts if name.startswith("AutoEncoder") else acts * (acts > np.float32(threshold))

    return folder, rule


def qwen_scope(repo, layer, d_in, n_features, k=4):
    """``layer{n}.sae.pt`` in a repository whose name says k."""
    repo = Path(repo) / f"SAE-Res-Qwen3-1.7B-Base-W32K-L0_{k}"
    repo.mkdir(parents=True, exist_ok=True)
    w = tiny.weights(d_in, n_features)
    write_torch(repo / f"layer{layer}.sae.pt", {**w, "W_enc": w["W_enc"].T, "W_dec": w["W_dec"].T})
    w = exact(w)
    return repo / f"layer{layer}.sae.pt", lambda x: relu(top_k(x @ w["W_enc"] + w["b_enc"], k))


def goodfire(path, d_in, n_features):
    w = tiny.weights(d_in, n_features)
    names = ("encoder_linear.weight", "encoder_linear.bias", "decoder_linear.weight")
    arrays = dict(zip(names, (w["W_enc"].T, w["b_enc"], w["W_dec"].T), strict=True))
    write_torch(path, {**arrays, "decoder_linear.bias": w["b_dec"]})
    w = exact(w)
    return Path(path), lambda x: relu(x @ w["W_enc"] + w["b_enc"])


def nanda(folder, d_in, n_features, **changes):
    """``run1.pt`` with ``run1_cfg.json``, as Neel Nanda's trainer writes them."""
    w = tiny.weights(d_in, n_features)
    write_torch(Path(folder) / "run1.pt", w)
    settings = {
        "act_name": "blocks.1.hook_resid_pre",
        "act_size": d_in,
        "dict_size": n_features,
        "model_name": "gpt2-small",
        **changes,
    }
    write_json(Path(folder) / "run1_cfg.json", settings)
    w = exact(w)
    rule = lambda x: relu((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"])  # noqa: E731
    return Path(folder) / "run1.pt", rule


def openai(path, d_in, n_features, *, k=None, **settings):
    """OpenAI's file: ReLU, or with `k` TopK on normalised inputs."""
    w = tiny.weights(d_in, n_features)
    arrays = {
        "pre_bias": w["b_dec"],
        "encoder.weight": w["W_enc"].T,
        "latent_bias": w["b_enc"],
        "stats_last_nonzero": np.zeros(n_features, np.int64),
    }
    top = {"activation": "TopK", "activation_state_dict": {"k": k, "postact_fn": "ReLU"}}
    write_torch(path, arrays, **({"activation": "ReLU"} if k is None else top) | settings)
    w = exact(w)

    def rule(x):
        x = x if k is None else layer_norm(x)
        acts = relu((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"])
        return acts if k is None else top_k(acts, k)

    return Path(path), rule


def batch_topk(folder, kind, d_in, n_features, *, k=4, unit_norm=True, **changes):
    """A checkpoint of Bart Bussmann's trainer."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    w = tiny.weights(d_in, n_features)
    log = np.log(tiny.thresholds(n_features) + np.float32(0.01))
    extra = {"jumprelu.log_threshold": log} if kind == "jumprelu" else {}
    write_torch(folder / "sae.pt", {**w, **extra})
    settings = {
        "sae_type": kind,
        "model_name": "gpt2-small",
        "hook_point": "blocks.8.hook_resid_pre",
        "act_size": d_in,
        "dict_size": n_features,
        "top_k": k,
        "input_unit_norm": unit_norm,
        "dtype": "torch.float32",
        **changes,
    }
    write_json(folder / "config.json", settings)
    w = exact(w)

    def rule(x):
        x = layer_norm(x) if unit_norm else x
        if kind == "jumprelu":
            acts = relu(x @ w["W_enc"] + w["b_enc"])
            return acts * (acts > np.exp(log.astype(np.float64)))
        product = (x - w["b_dec"]) @ w["W_enc"]
        return relu(product + w["b_enc"]) if kind == "vanilla" else top_k(relu(product), k)

    return folder, rule


def gemma_scope_2(folder, d_in, n_features, *, place="model.layers.1.output", **changes):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    w, threshold = tiny.weights(d_in, n_features), tiny.thresholds(n_features)
    arrays = {name.lower(): array for name, array in w.items()} | {"threshold": threshold}
    write_safetensors(folder / "params.safetensors", arrays)
    settings = {
        "architecture": "jump_relu",
        "model_name": "gemma-v3-1b-pt",
        "hf_hook_point_in": place,
        "width": n_features,
        **changes,
    }
    write_json(folder / "config.json", settings)
    w = exact(w)

    def rule(x):
        acts = x @ w["W_enc"] + w["b_enc"]
        return acts * (acts > threshold.astype(np.float64))

    return folder, rule


def open_sae(folder, d_in, n_features, *, activation="topk", k=4, shards=1, **changes):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    w = tiny.weights(d_in, n_features)
    arrays = {
        "encoder.weight": w["W_enc"].T,
        "encoder.bias": w["b_enc"],
        "W_dec": w["W_dec"],
        "b_dec": w["b_dec"],
    }
    if shards == 1:
        write_safetensors(folder / "model.safetensors", arrays)
    else:
        places = {key: f"model-{i % shards:05}.safetensors" for i, key in enumerate(arrays)}
        for name in set(places.values()):
            write_safetensors(folder / name, {k: arrays[k] for k in arrays if places[k] == name})
        write_json(folder / "model.safetensors.index.json", {"weight_map": places})
    settings = {
        "hidden_size": d_in,
        "feature_size": n_features,
        "input_normalize": True,
        "input_normalize_eps": 1e-5,
        "input_hookpoint": "layers.1",
        "output_hookpoint": "layers.1",
        "model_name": "meta-llama/Llama-3.1-8B",
        "activation": activation,
        "k": k,
        "jumprelu_theta": 0.5,
        **changes,
    }
    write_json(folder / "config.json", settings)
    w = exact(w)

    def rule(x):
        x = layer_norm(x) if settings["input_normalize"] else x
        acts = relu((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"])
        return top_k(acts, k) if activation == "topk" else acts * (acts > 0.5)

    return folder, rule


def open_moss(folder, d_in, n_features, *, activation="jumprelu", named="W_E", k=4, **changes):
    """The later layout of OpenMOSS, with weights named W_E or encoder.weight."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    w, threshold = tiny.weights(d_in, n_features), tiny.thresholds(n_features) + np.float32(0.1)
    point = "blocks.1.hook_resid_post"
    norm = d_in**0.5 / 2  # the input is scaled by 2
    arrays = {
        "log_jumprelu_threshold": np.log(threshold),
        f"dataset_average_activation_norm.{point}": np.float32([norm]),
    }
    if named == "W_E":
        arrays |= {"W_E": w["W_enc"], "b_E": w["b_enc"], "W_D": w["W_dec"], "b_D": w["b_dec"]}
    else:
        arrays |= {
            "encoder.weight": w["W_enc"].T,
            "encoder.bias": w["b_enc"],
            "decoder.weight": w["W_dec"].T,
        }
    write_safetensors(folder / "sae_weights.safetensors", arrays)
    settings = {
        "sae_type": "sae",
        "act_fn": activation,
        "norm_activation": "dataset-wise",
        "d_model": d_in,
        "top_k": k,
        "hook_point_in": point,
        "hook_point_out": point,
        "sparsity_include_decoder_norm": False,
        **changes,
    }
    write_json(folder / "config.json", settings)
    w = exact(w)

    def rule(x, norms=1.0):
        how = settings["norm_activation"]
        scale = {"dataset-wise": 2.0, "inference": 1.0}.get(how)
        if how == "token-wise":
            scale = d_in**0.5 / np.linalg.norm(x, axis=1, keepdims=True)
        acts = ((x * scale) @ w["W_enc"] + w["b_enc"]) * norms
        if activation == "topk":
            return top_k(relu(acts), k) / norms
        floor = threshold.astype(np.float64) if activation == "jumprelu" else 0
        return relu(acts) * (acts > floor) / norms

    return folder, rule
