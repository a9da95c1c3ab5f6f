"""Code that a model brings along does not run, unless it is allowed to by name."""

import contextlib
import json
import os

import pytest
import torch

import tiny
import tiny_embedders
from sfal.collect.model.hook_points import HookPoint
from sfal.collect.model.load import load_language_model
from sfal.embeddings.embedders import SentenceEmbedder, resolve_embedder
from sfal.errors import ArtifactError, InvalidInputError, SfalError

CODE = """
from pathlib import Path
Path({ran!r}).write_text("")
from transformers import PretrainedConfig
class Own(PretrainedConfig):
    model_type = "own"
"""


@pytest.fixture
def ran(tmp_path):
    """A file that stands where foreign code has run."""
    path = tmp_path / "ran"
    yield path
    assert not path.exists()


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def with_code(folder, ran, file="config.json", **values):
    (folder / "own.py").write_text(CODE.format(ran=str(ran)))
    change(folder / file, **values)
    return folder


def load(folder):
    return load_language_model(str(folder), [HookPoint(1, "res")])


def language_model(tmp_path):
    tiny.gemma2(tmp_path / "model", layers=2)
    return tmp_path / "model"


def test_a_language_models_own_code_needs_a_flag(tmp_path, ran):
    names = {"AutoConfig": "own.Own", "AutoModel": "own.Own"}
    folder = with_code(language_model(tmp_path), ran, model_type="own", auto_map=names)
    with pytest.raises(InvalidInputError, match="--trust-remote-code"):
        load(folder)


def test_a_tokenizers_own_code_needs_a_flag(tmp_path, ran):
    folder = language_model(tmp_path)
    names = {"AutoTokenizer": ["own.Own", "own.Own"]}
    with_code(folder, ran, "tokenizer_config.json", tokenizer_class="Own", auto_map=names)
    # The tokenizer may be read without that code.
    with contextlib.suppress(SfalError):
        load(folder)


def test_an_embedders_own_module_needs_a_flag(tmp_path, ran):
    folder = tiny_embedders.embedder(tmp_path)
    (folder / "own.py").write_text(CODE.format(ran=str(ran)))
    path = folder / "modules.json"
    modules = json.loads(path.read_text())
    for name in ("own.Own", "os.system", "subprocess.Popen"):
        modules[-1]["type"] = name
        path.write_text(json.dumps(modules))
        with pytest.raises(InvalidInputError, match="--trust-remote-code"):
            SentenceEmbedder(resolve_embedder(str(folder)), "cpu")


class Evil:
    """Unpickles as a command of the shell."""

    def __init__(self, ran):
        self.ran = ran

    def __reduce__(self):
        return os.system, (f"touch {self.ran}",)


def test_pickled_weights_are_data_only(tmp_path, ran):
    folder = language_model(tmp_path)
    (folder / "model.safetensors").unlink()
    torch.save({"embed_tokens.weight": Evil(ran)}, folder / "pytorch_model.bin")
    with pytest.raises(ArtifactError, match="model are a pickle"):
        load(folder)
    folder = tiny_embedders.embedder(tmp_path / "embedder")
    (folder / "model.safetensors").unlink()
    torch.save({"embeddings.weight": Evil(ran)}, folder / "pytorch_model.bin")
    with pytest.raises(ArtifactError, match="model are a pickle"):
        SentenceEmbedder(resolve_embedder(str(folder)), "cpu")
