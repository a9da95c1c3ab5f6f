"""What the rules of SAEs are made of, in plain numpy, and the files that hold their arrays."""

import json

import numpy as np


def relu(x):
    return np.maximum(x, 0)


def top_k(acts, k, by=None):
    """Keep each row's k largest, by the values themselves or by others; no two are equal."""
    order = np.argsort(-(acts if by is None else by), axis=1)[:, :k]
    kept = np.zeros_like(acts)
    np.put_along_axis(kept, order, np.take_along_axis(acts, order, 1), 1)
    return kept


def layer_norm(x):
    x = x - x.mean(axis=1, keepdims=True)
    return x / (x.std(axis=1, keepdims=True, ddof=1) + 1e-5)


def exact(arrays):
    return {name: np.asarray(array, np.float64) for name, array in arrays.items()}


def write_json(path, content):
    path.write_text(json.dumps(content))


def write_safetensors(path, arrays):
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)


def write_torch(path, arrays, *, old=False, **settings):
    import torch

    tensors = {name: torch.tensor(np.asarray(array)) for name, array in arrays.items()}
    torch.save({**tensors, **settings}, path, _use_new_zipfile_serialization=not old)
