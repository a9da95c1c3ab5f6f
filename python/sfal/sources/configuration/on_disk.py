"""Where an SAE on the disk reads, as far as its files and their names say."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sfal.errors import ArtifactError, CorruptError
from sfal.io.atomic import read_json
from sfal.io.first_line import first_line
from sfal.sources.configuration.layouts import CIRCUIT_FILE, Layout
from sfal.sources.configuration.saelens import unnested

_GEMMA_2 = {
    "res": "hook_resid_post",
    "mlp": "hook_mlp_out",
    "att": "attn.hook_z",
    "transcoders": "ln2.hook_normalized",
}
"""Places of Gemma Scope, by the end of a repository's name."""
_GEMMA_3 = {
    "self_attn.o_proj.input": "attn.hook_z",
    "post_feedforward_layernorm.output": "hook_mlp_out",
}
_SUBMODULES = {
    "resid_post": "hook_resid_post",
    "resid_out": "hook_resid_post",
    "resid_pre": "hook_resid_pre",
    "mlp_out": "hook_mlp_out",
    "attn_out": "hook_attn_out",
    "attention_out": "hook_attn_out",
}
"""Names that the examples of dictionary_learning give to the places of a layer."""
_MAX_YAML = 1 << 20
_OWNERS = {"llama": "meta-llama", "deepseek": "deepseek-ai", "qwen": "Qwen", "gemma": "google"}


def describe(layout: Layout) -> dict[str, Any]:
    """Return what an SAE's files say about the model and place that it was trained on.

    Parameters
    ----------
    layout : Layout
        Its layout, and its folder or file. Only settings are read.

    Returns
    -------
    dict
        In SAELens' terms: ``model_name``, and ``hook_name`` as TransformerLens
        names places, or else ``hf_hook_name``, a module's path. What the files do
        not say is missing. In SAELens' own layout: all of its configuration.

    Raises
    ------
    ArtifactError
        If its settings cannot be read.
    """
    found = _READERS[layout.name](layout.path.absolute())
    return {key: value for key, value in found.items() if value is not None}


def is_saelens(folder: Path) -> bool:
    """Return whether a ``cfg.json`` is SAELens', since other libraries write files of that name."""
    ours = {"architecture", "d_sae", "hook_name", "hook_point", "metadata"}
    return not ours.isdisjoint(unnested(_settings(folder / "cfg.json")))


def is_open_sae(folder: Path) -> bool:
    """Return whether a ``config.json`` is OpenSAE's, since language models have one too."""
    return "input_hookpoint" in _settings(folder / "config.json")


def _saelens(folder: Path) -> dict[str, Any]:
    """Read ``cfg.json``, unless it is of a library that SFAL does not know."""
    return _settings(folder / "cfg.json") if is_saelens(folder) else {}


def _sparsify(folder: Path) -> dict[str, Any]:
    """Read the hook point from the folder's name, as sparsify names folders."""
    config = _settings(folder / "cfg.json")
    if re.fullmatch(r"seed\d+", folder.name):
        folder = folder.parent
    end = "input" if config.get("transcode") is True else "output"
    # A folder's last component may be the hook point below the run's folder.
    is_module = re.search(r"(?:^|\.)(?:layers|h|blocks)\.\d+(?:\.|$)|embed", folder.name)
    place = module_place(f"{folder.name}.{end}") if is_module else {}
    run = folder.parent / "config.json"
    return {**place, "model_name": _text(_settings(run), "model") if run.is_file() else None}


def _dictionary_learning(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    trainer = _settings(path).get("trainer") if path.is_file() else None
    if not isinstance(trainer, dict):
        return {}
    layer, submodule = trainer.get("layer"), trainer.get("submodule_name")
    match = re.fullmatch(r"([a-z_]+?)_?layer_?(\d+)", str(submodule))
    agrees = match and match[1] in _SUBMODULES and match[2] == str(layer)
    return {
        "model_name": _text(trainer, "lm_name"),
        "hook_name": f"blocks.{layer}.{_SUBMODULES[match[1]]}" if match and agrees else None,
    }


def _gemma_scope(path: Path) -> dict[str, Any]:
    """Read the names of Gemma Scope's repository and folders, if they were kept."""
    named = re.search(r"gemma-scope-(\d+b)-(pt|it)-(res|mlp|att|transcoders)\b", str(path))
    layer = re.search(r"(?:^|/)layer_(\d+)/", path.as_posix())
    if named is None:
        return {}
    hook = f"blocks.{layer[1]}.{_GEMMA_2[named[3]]}" if layer else None
    if named[3] == "res" and "/embedding/" in path.as_posix():
        hook = "hook_embed"
    tuned = "-it" if named[2] == "it" else ""
    return {"model_name": f"google/gemma-2-{named[1]}{tuned}", "hook_name": hook}


def _gemma_scope_2(path: Path) -> dict[str, Any]:
    """Read Gemma Scope 2's settings, or else the names of its folders."""
    folder = path if path.is_dir() else path.parent
    config = _settings(folder / "config.json") if (folder / "config.json").is_file() else {}
    place = _text(config, "hf_hook_point_in") or _gemma_3_place("/".join(path.parts[-4:]))
    model = _text(config, "model_name")
    if model is None and (named := re.search(r"gemma-scope-2-(\w+-(?:pt|it))", str(path))):
        model = f"gemma-3-{named[1]}"
    if model is not None:
        model = model.replace("-v3", "-3")
        model = model if "/" in model else f"google/{model}"
        # The hub has gemma-3-270m without the suffix of the pretrained models.
        model = model.removesuffix("-pt") if "270m" in model else model
    return {"model_name": model, **(module_place(place) if place else {})}


def _gemma_3_place(spelled: str) -> str | None:
    layer = re.search(r"layer_(\d+)", spelled)
    places = {
        "resid_post": "output",
        "attn_out": "self_attn.o_proj.input",
        "mlp_out": "post_feedforward_layernorm.output",
        "transcoder": "pre_feedforward_layernorm.output",
        "clt": "pre_feedforward_layernorm.output",
    }
    place = next((place for name, place in places.items() if name in spelled), None)
    return f"model.layers.{layer[1]}.{place}" if layer and place else None


def _llama_scope(folder: Path) -> dict[str, Any]:
    config = _settings(folder / "hyperparams.json")
    scope = "meta-llama/Llama-3.1-8B" if folder.name.startswith("Llama3_1-8B-Base-") else None
    return {
        "hook_name": _text(config, "hook_point_in"),
        "model_name": _text(config, "model_name") or scope,
    }


def _open_moss(folder: Path) -> dict[str, Any]:
    config = _settings(folder / "config.json")
    return {
        "hook_name": _text(config, "hook_point_in"),
        "model_name": _text(config, "model_name"),
    }


def _open_sae(folder: Path) -> dict[str, Any]:
    config = _settings(folder / "config.json")
    place = _text(config, "input_hookpoint")
    return {
        "model_name": _text(config, "model_name"),
        **(module_place(f"{place}.output") if place else {}),
    }


def _circuit_tracer(path: Path) -> dict[str, Any]:
    """Read ``config.yaml`` beside the file, whose name says the layer."""
    import yaml

    beside = path.with_name("config.yaml")
    if not beside.is_file():
        return {}
    try:
        config = yaml.safe_load(beside.read_bytes()[:_MAX_YAML])
    except (yaml.YAMLError, ValueError, RecursionError) as e:
        raise CorruptError(f"{beside} cannot be read: {first_line(e)}") from e
    if not isinstance(config, dict):
        raise CorruptError(f"{beside} is not a mapping")
    named = CIRCUIT_FILE.fullmatch(path.name)
    hook = _text(config, "feature_input_hook")
    if hook is not None and named is not None:
        hook = hook.replace("{layer}", named[1])
        hook = hook if hook.startswith("blocks.") else f"blocks.{named[1]}.{hook}"
    return {"model_name": _text(config, "model_name"), "hook_name": hook}


def _batch_topk(folder: Path) -> dict[str, Any]:
    config = _settings(folder / "config.json")
    return {"model_name": _text(config, "model_name"), "hook_name": _text(config, "hook_point")}


def _torch(path: Path) -> dict[str, Any]:
    """Read the names of Qwen-Scope's and Goodfire's files, or the settings beside the file."""
    beside = settings_beside(path)
    if beside is not None:
        config = _settings(beside)
        return {
            "hook_name": _text(config, "act_name"),
            "model_name": _text(config, "model_name"),
        }
    if layer := re.fullmatch(r"layer(\d+)\.sae\.pt", path.name):
        repo = qwen_repo(path)
        return {
            "hook_name": f"blocks.{layer[1]}.hook_resid_post",
            "model_name": f"Qwen/{repo[1]}" if repo else None,
        }
    if named := re.fullmatch(r"(.+)-SAE-l(\d+)", path.stem):
        owner = _OWNERS.get(named[1].split("-")[0].lower())
        return {
            "hook_name": f"blocks.{named[2]}.hook_resid_post",
            "model_name": f"{owner}/{named[1]}" if owner else None,
        }
    return {}


def settings_beside(path: Path) -> Path | None:
    """Return ``NAME_cfg.json`` beside ``NAME.pt``, as Neel Nanda's trainers write it."""
    beside = path.with_name(f"{path.stem}_cfg.json")
    return beside if beside.is_file() else None


def qwen_repo(path: Path) -> re.Match[str] | None:
    """Find Qwen-Scope's name of a repository in a path: the model, the width in K, and k."""
    found = list(re.finditer(r"SAE-Res-([^/\\]+)-W(\d+)K-L0_(\d+)", str(path)))
    return found[-1] if found else None


def module_place(spelled: str) -> dict[str, Any]:
    """Return the place that a module's path names, in SAELens' terms."""
    gemma = re.fullmatch(r"(?:.+\.)?layers\.(\d+)\.(.+)", spelled)
    if gemma and gemma[2] in _GEMMA_3:
        return {"hook_name": f"blocks.{gemma[1]}.{_GEMMA_3[gemma[2]]}"}
    return {"hf_hook_name": spelled}


def _settings(path: Path) -> dict[str, Any]:
    found = read_json(path)
    if not isinstance(found, dict):
        raise CorruptError(f"{path} is not a JSON object")
    return found


def _text(settings: dict[str, Any], key: str) -> str | None:
    value = settings.get(key)
    if value is not None and not isinstance(value, str):
        raise ArtifactError(f"{key} of an SAE's settings is {str(value)[:80]!r}, not a text")
    return value or None


_READERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "batch_topk": _batch_topk,
    "circuit_tracer": _circuit_tracer,
    "dictionary_learning": _dictionary_learning,
    "gemma_scope": _gemma_scope,
    "gemma_scope_2": _gemma_scope_2,
    "llama_scope": _llama_scope,
    "open_moss": _open_moss,
    "open_sae": _open_sae,
    "saelens": _saelens,
    "sparsify": _sparsify,
    "torch": _torch,
}
