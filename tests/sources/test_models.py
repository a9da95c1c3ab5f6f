"""Which repository of the hub a model's name means, and whether two names are one model."""

import json

import pytest

from sfal.sources import registry
from sfal.sources.models import hub_model, is_other_model


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("gpt2-small", "openai-community/gpt2"),
        ("gpt2", "openai-community/gpt2"),
        ("gpt2-xl", "openai-community/gpt2-xl"),
        ("mistral-7b", "mistralai/Mistral-7B-v0.1"),
        ("pythia-70m-deduped", "EleutherAI/pythia-70m-deduped"),
        ("gemma-2-2b", "google/gemma-2-2b"),
        ("qwen3-4b", "Qwen/Qwen3-4B"),
        ("someone/their-model", "someone/their-model"),
        ("tiny", None),
    ],
)
def test_names_mean_repositories(name, repository):
    assert hub_model(name) == repository


def test_every_model_of_the_registry_has_a_repository():
    assert all("/" in (hub_model(e.model) or "") for e in registry())


@pytest.mark.parametrize(
    ("stated", "counted", "other"),
    [
        ("gpt2-small", "openai-community/gpt2", False),
        ("gpt2-small", "gpt2", False),
        ("meta-llama/Meta-Llama-3.1-8B", "meta-llama/Llama-3.1-8B", False),
        ("google/gemma-2-2b", "google/gemma-2-2b-it", True),
        ("gemma-2-2b", "someone/gemma-2-2b", True),
        ("tiny", "someone/tiny", False),
        ("tiny", "someone/large", True),
    ],
)
def test_two_names_are_compared_by_what_they_mean(stated, counted, other):
    assert is_other_model(stated, counted) is other


def test_a_local_folder_is_known_by_its_name_or_its_origin(tmp_path):
    def folder(name, origin=None):
        path = tmp_path / name
        path.mkdir(parents=True)
        if origin is not None:
            (path / "config.json").write_text(json.dumps({"_name_or_path": origin}))
        return str(path)

    assert not is_other_model("gemma-2-2b", folder("Gemma-2-2b"))
    assert not is_other_model("gpt2-small", folder("gpt2"))
    assert not is_other_model("google/gemma-2-2b", folder("mine", "google/gemma-2-2b"))
    assert not is_other_model(
        "google/gemma-2-2b", folder("models--google--gemma-2-2b/snapshots/0123")
    )
    assert is_other_model("google/gemma-2-2b", folder("gemma-2-2b-it"))
    assert not is_other_model("tiny", folder("anything"))  # means nothing on the hub
