"""One SAE in the configuration of each version of SAELens that changed it."""

import json

import pytest
import torch

import tiny
from sfal.collect.sae.sae import load_sae
from sfal.sources import resolve_local
from sfal.sources.source import SaeRef

COMMON = {"d_in": 16, "d_sae": 48, "dtype": "torch.float32", "device": "cpu"}
TRAINING = {
    "model_name": "gpt2-small",
    "prepend_bos": True,
    "context_size": 64,
    "dataset_path": "apollo-research/Skylion007-openwebtext-tokenizer-gpt2",
}
HOOK = "blocks.2.hook_resid_pre"
DIALECTS = {
    "2": {
        **COMMON,
        **TRAINING,
        "hook_point": HOOK,
        "hook_point_layer": 2,
        "hook_point_head_index": None,
        "use_ghost_grads": False,
        "normalize_sae_decoder": True,
        "noise_factor": 0.0,
        "activation_fn": "relu",
        "normalize_activations": False,
    },
    "3": {
        **COMMON,
        **TRAINING,
        "hook_name": HOOK,
        "hook_layer": 2,
        "hook_head_index": None,
        "activation_fn_str": "relu",
        "apply_b_dec_to_input": True,
        "finetuning_scaling_factor": False,
        "normalize_activations": "none",
        "sae_lens_training_version": "3.9.1",
    },
    "5": {
        **COMMON,
        **TRAINING,
        "architecture": "standard",
        "hook_name": HOOK,
        "hook_layer": 2,
        "hook_head_index": None,
        "activation_fn": "relu",
        "activation_fn_kwargs": {},
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "seqpos_slice": [None],
        "sae_lens_training_version": "5.10.0",
        "model_from_pretrained_kwargs": {"center_writing_weights": True},
    },
    "6": {
        **COMMON,
        "architecture": "standard",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {**TRAINING, "hook_name": HOOK, "sae_lens_version": "6.54.12"},
    },
    "6, of transformers": {
        **COMMON,
        "architecture": "standard",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            **TRAINING,
            "model_class_name": "AutoModelForCausalLM",
            "hook_name": "transformer.h.2.input",
            "sae_lens_version": "6.54.12",
        },
    },
}


@pytest.mark.parametrize("version", DIALECTS)
def test_every_version_gives_the_same_sae_at_the_same_place(tmp_path, version):
    folder = tiny.saelens(tmp_path / "sae", "standard", 16, 48)
    twin = load_sae(SaeRef("local", path=str(folder)))
    (folder / "cfg.json").write_text(json.dumps(DIALECTS[version]))
    source = resolve_local(folder)
    assert source.model == "openai-community/gpt2"
    assert (source.site, source.layer, source.prepend_bos) == ("res_pre", 2, True)
    assert source.training.context_size == 64
    assert source.training.unknown == ()
    assert source.training.centred == (version == "5")
    sae = load_sae(source.sae)
    assert sae.notes == ()
    x = torch.randn((100, 16), generator=torch.Generator().manual_seed(0))
    assert torch.equal(sae.fires(x), twin.fires(x))


@pytest.mark.parametrize(
    "config",
    [
        {"activation_fn": "topk", "activation_fn_kwargs": {"k": 4}},
        {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 4}},
        {"architecture": "topk", "activation_fn_kwargs": {"k": 4}},
    ],
)
def test_top_k_of_the_older_versions_is_top_k(tmp_path, config):
    folder = tiny.saelens(tmp_path / "sae", "topk", 16, 48, k=4)
    twin = load_sae(SaeRef("local", path=str(folder)))
    old = {
        key: value
        for key, value in DIALECTS["5"].items()
        if key not in ("architecture", "activation_fn", "activation_fn_kwargs")
    }
    (folder / "cfg.json").write_text(json.dumps({**old, **config}))
    sae = load_sae(SaeRef("local", path=str(folder)))
    assert (sae.architecture, sae.metadata["gate"], sae.metadata["top_k"]) == ("topk", "topk", 4)
    x = torch.randn((100, 16), generator=torch.Generator().manual_seed(0))
    assert torch.equal(sae.fires(x), twin.fires(x))
