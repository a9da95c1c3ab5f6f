"""Quantised checkpoints: one line says what they need."""

import json
from types import SimpleNamespace

import pytest

import tiny
from sfal.collect.model import quantised
from sfal.collect.model.hook_points import HookPoint
from sfal.collect.model.load import load_language_model
from sfal.errors import InvalidInputError, MissingDependencyError

CONFIGS = {
    "bitsandbytes": {"quant_method": "bitsandbytes", "load_in_4bit": True},
    "gptq": {"quant_method": "gptq", "bits": 4, "group_size": 8},
    "awq": {"quant_method": "awq", "bits": 4},
    "compressed-tensors": {"quant_method": "compressed-tensors", "config_groups": {}},
    "hqq": {"quant_method": "hqq"},
    "quanto": {"quant_method": "quanto", "weights": "int8"},
    "aqlm": {"quant_method": "aqlm"},
}


def checkpoint(folder, config):
    path = tiny.llama(folder, layers=1) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "quantization_config": config}))
    return str(folder)


@pytest.mark.parametrize("method", CONFIGS)
def test_a_missing_package_is_named_with_the_model_and_the_method(tmp_path, monkeypatch, method):
    monkeypatch.setattr(quantised, "_is_installed", lambda module: module == "accelerate")
    with pytest.raises(MissingDependencyError) as e:
        load_language_model(checkpoint(tmp_path / "lm", CONFIGS[method]), [HookPoint(0, "res")])
    text = str(e.value)
    assert f"lm is quantised by {method}, which needs " in text
    assert "; pip install " in text
    assert "\n" not in text


def test_old_configurations_of_bitsandbytes_name_no_method():
    old = SimpleNamespace(quantization_config={"load_in_8bit": True})
    assert quantised.quantisation(old) == "bitsandbytes"
    assert quantised.quantisation(SimpleNamespace()) is None
    assert quantised.quantisation(SimpleNamespace(quantization_config={})) == "an unnamed method"


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (ImportError("needs x>=2\nor so"), MissingDependencyError),
        (RuntimeError("GPU is required"), InvalidInputError),
        (NotImplementedError(), InvalidInputError),
        (ValueError("unknown type"), InvalidInputError),
    ],
)
def test_what_the_packages_raise_is_one_line_with_the_model(raised, error):
    with (
        pytest.raises(error, match="lm is quantised by gptq") as e,
        quantised.loading_quantised("lm", "gptq"),
    ):
        raise raised
    assert "\n" not in str(e.value)


def test_an_unknown_method_is_refused_in_one_line(tmp_path):
    folder = checkpoint(tmp_path / "lm", {"quant_method": "of-tomorrow"})
    with pytest.raises(InvalidInputError, match="of-tomorrow") as e:
        load_language_model(folder, [HookPoint(0, "res")])
    assert "\n" not in str(e.value)
