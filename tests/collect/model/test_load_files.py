"""Model folders that are incomplete, damaged, or hold code."""

import json

import pytest
import torch

from collect.model.folders import copy
from sfal.collect.model.hook_points import HookPoint
from sfal.collect.model.load import load_language_model
from sfal.collect.settings import ModelConfig
from sfal.errors import (
    ArtifactError,
    InvalidInputError,
)

RES = [HookPoint(1, "res")]


def test_weights_that_are_missing_are_not_made_up(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = copy(folders("llama"), tmp_path / "m")
    file = tmp_path / "m" / "model.safetensors"
    state = load_file(file)
    del state["model.layers.1.mlp.up_proj.weight"]
    save_file(state, file, metadata={"format": "pt"})
    with pytest.raises(ArtifactError, match=r"lacks 1 of its weights.*up_proj"):
        load_language_model(folder, RES)


def test_damaged_weights_are_reported_as_damaged(folders, tmp_path):
    folder = copy(folders("llama"), tmp_path / "m")
    file = tmp_path / "m" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(ArtifactError, match="damaged"):
        load_language_model(folder, RES)


@pytest.mark.parametrize("lost", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_model_folder_without_one_of_its_files_is_refused(folders, tmp_path, lost):
    folder = copy(folders("llama"), tmp_path / "m")
    (tmp_path / "m" / lost).unlink()
    with pytest.raises((ArtifactError, InvalidInputError), match="m"):
        load_language_model(folder, RES)


def test_code_of_a_repository_does_not_run_unasked(folders, tmp_path):
    folder = copy(folders("llama"), tmp_path / "m")
    told = json.loads((tmp_path / "m" / "config.json").read_text())
    told |= {
        "model_type": "evil",
        "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"},
    }
    (tmp_path / "m" / "config.json").write_text(json.dumps(told))
    (tmp_path / "m" / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(InvalidInputError, match="set trust_remote_code"):
        load_language_model(folder, RES)


def test_a_local_model_is_known_by_its_files(folders, tmp_path):
    folder = copy(folders("llama"), tmp_path / "m")
    first = load_language_model(folder, RES).fingerprint
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= set(first)
    with (tmp_path / "m" / "tokenizer_config.json").open("a") as file:
        file.write("\n")
    assert load_language_model(folder, RES).fingerprint != first


def test_a_model_type_nobody_knows_is_refused(folders, tmp_path):
    folder = copy(folders("llama"), tmp_path / "m")
    told = json.loads((tmp_path / "m" / "config.json").read_text()) | {"model_type": "unheard-of"}
    (tmp_path / "m" / "config.json").write_text(json.dumps(told))
    with pytest.raises(InvalidInputError, match=r"cannot be loaded.*unheard-of"):
        load_language_model(folder, RES)


def test_a_missing_gpu_is_refused(folders, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidInputError, match="no CUDA device is available; use device=cpu"):
        load_language_model(folders("llama"), RES, ModelConfig(device="cuda"))
