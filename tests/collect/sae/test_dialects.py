"""One SAE in the configuration of each version of SAELens that changed it."""

import json
import re

import pytest
import torch

import tiny
from sfal.collect.sae.sae import load_sae
from sfal.collect.settings import SaeConfig
from sfal.errors import ArtifactError, InvalidInputError
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
    "6, a run's": {
        **TRAINING,
        "sae": {
            **COMMON,
            "architecture": "standard",
            "apply_b_dec_to_input": True,
            "normalize_activations": "none",
            "reshape_activations": "none",
            "decoder_init_norm": 0.1,
            "l1_coefficient": 5,
            "metadata": {"sae_lens_version": "6.54.12", "l0": 12.5},
        },
        "hook_name": HOOK,
        "hook_eval": "NOT_IN_USE",
        "seqpos_slice": [None],
        "dtype": "bfloat16",
        "device": "cuda",
        "lr": 3e-4,
        "logger": {"log_to_wandb": True, "wandb_project": "x"},
        "sae_lens_version": "6.54.12",
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


@pytest.mark.parametrize("version", ["2", "5"])
@pytest.mark.parametrize("training", [{"device": "cuda"}, {"dtype": "torch.bfloat16"}])
def test_device_and_precision_of_the_training_do_not_matter(tmp_path, version, training):
    folder = tiny.saelens(tmp_path / "sae", "standard", 16, 48)
    twin = load_sae(SaeRef("local", path=str(folder)))
    (folder / "cfg.json").write_text(json.dumps({**DIALECTS[version], **training}))
    sae = load_sae(SaeRef("local", path=str(folder)))
    assert torch.equal(sae.gate.weight, twin.gate.weight)


def test_a_hook_in_a_list_of_one_is_that_hook(tmp_path):
    folder = tiny.saelens(tmp_path / "sae", "standard", 16, 48)
    (folder / "cfg.json").write_text(json.dumps({**DIALECTS["3"], "hook_name": [HOOK]}))
    assert resolve_local(folder).site == "res_pre"


def test_arrays_that_saelens_misses_are_named(tmp_path):
    folder = tiny.saelens(tmp_path / "sae", "standard", 16, 48)
    (folder / "cfg.json").write_text(json.dumps({**DIALECTS["5"], "architecture": "jumprelu"}))
    with pytest.raises(ArtifactError, match=r'Missing key\(s\).*"threshold"'):
        load_sae(SaeRef("local", path=str(folder)))


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


def test_a_run_of_version_5_inside_of_which_stands_the_sae_is_read_too(tmp_path):
    """SAELens itself loads it, since the version says nothing about the layout."""
    folder = tiny.saelens(tmp_path / "sae", "standard", 16, 48)
    twin = load_sae(SaeRef("local", path=str(folder)))
    settings = {**TRAINING, "hook_name": HOOK, "sae": {**COMMON, "architecture": "standard"}}
    (folder / "cfg.json").write_text(json.dumps(settings))
    assert resolve_local(folder).site == "res_pre"
    x = torch.randn((100, 16), generator=torch.Generator().manual_seed(0))
    assert torch.equal(load_sae(SaeRef("local", path=str(folder))).fires(x), twin.fires(x))


@pytest.mark.parametrize("architecture", ["crosscoder_2", None, 3, ["topk"]])
def test_an_architecture_that_nobody_knows_is_refused_by_name(tmp_path, architecture):
    folder = tiny.saelens(tmp_path, "standard", 16, 48, seed=1)
    settings = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps({**settings, "architecture": architecture}))
    with pytest.raises(
        ArtifactError, match=re.escape(f"architecture is {str(architecture)!r}")
    ) as caught:
        load_sae(SaeRef("local", path=str(folder)))
    assert "they know standard" in str(caught.value)
    assert caught.value.hint is not None


def test_a_setting_that_saelens_needs_is_named(tmp_path):
    folder = tiny.saelens(tmp_path, "matching_pursuit", 16, 48)
    settings = json.loads((folder / "cfg.json").read_text())
    del settings["d_sae"]
    (folder / "cfg.json").write_text(json.dumps(settings))
    with pytest.raises(ArtifactError, match="missing 1 required positional argument: 'd_sae'"):
        load_sae(SaeRef("local", path=str(folder)))


@pytest.mark.parametrize(("name", "size"), [("d_in", 17), ("d_sae", 96)])
@pytest.mark.parametrize("version", ["6.54.12", "5.0.0"])
def test_sizes_that_are_not_those_of_the_weights_are_refused(tmp_path, name, size, version):
    metadata = {"sae_lens_version": version}
    folder = tiny.saelens(tmp_path, "standard", 16, 48, metadata=metadata)
    settings = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps({**settings, name: size}))
    with pytest.raises(ArtifactError, match=f"{name} is {size}, but the weights have"):
        load_sae(SaeRef("local", path=str(folder)))


@pytest.mark.parametrize("rescaled", [True, False])
@pytest.mark.parametrize("architecture", ["batchtopk", "matryoshka_batchtopk"])
def test_a_checkpoint_of_batch_topk_fires_as_what_saelens_saves_of_it(
    tmp_path, architecture, rescaled
):
    from sae_lens import SAE
    from sae_lens.registry import get_sae_training_class

    kind, settings = get_sae_training_class(architecture)
    more = {"matryoshka_widths": [8, 48]} if "matryoshka" in architecture else {}
    theirs = kind(settings(d_in=16, d_sae=48, k=4, rescale_acts_by_decoder_norm=rescaled, **more))
    rng = torch.Generator().manual_seed(3)
    for parameter in theirs.parameters():
        parameter.data = torch.randn(parameter.shape, generator=rng)
    theirs.topk_threshold = torch.tensor(2.5, dtype=torch.double)
    theirs.save_model(tmp_path / "checkpoint")
    theirs.save_inference_model(tmp_path / "saved")
    saved = SAE.load_from_disk(tmp_path / "saved")
    x = torch.randn((300, 16), generator=rng)
    sae = load_sae(SaeRef("local", path=str(tmp_path / "checkpoint")))
    expected = saved.encode(x) > 0
    assert 0 < expected.float().mean() < 1
    assert (sae.fires(x) != expected).float().mean() < 1e-4
    assert sae.metadata["gate"] == "jumprelu"
    # The run's settings beside the weights that were saved in the end.
    run = json.loads((tmp_path / "checkpoint" / "cfg.json").read_text())
    (tmp_path / "saved" / "cfg.json").write_text(json.dumps({"sae": run, "hook_name": HOOK}))
    final = load_sae(SaeRef("local", path=str(tmp_path / "saved")))
    assert torch.equal(final.fires(x), expected)


def test_batch_topk_without_a_threshold_is_refused(tmp_path):
    folder = tiny.saelens(tmp_path, "batchtopk", 16, 48, k=4)
    with pytest.raises(ArtifactError, match="BatchTopK SAE without a threshold"):
        load_sae(SaeRef("local", path=str(folder)))


@pytest.mark.parametrize("rescaled", [True, False])
def test_batch_topk_without_a_threshold_is_counted_with_a_number_of_features(tmp_path, rescaled):
    folder = tiny.saelens(
        tmp_path / "b", "batchtopk", 16, 48, k=4.0, rescale_acts_by_decoder_norm=rescaled
    )
    twin = tiny.saelens(
        tmp_path / "t", "topk", 16, 48, k=4.0, rescale_acts_by_decoder_norm=rescaled
    )
    sae = load_sae(SaeRef("local", path=str(folder)), SaeConfig(top_k=4))
    expected = load_sae(SaeRef("local", path=str(twin)))
    assert expected.metadata["top_k"] == 4
    x = torch.randn((100, 16), generator=torch.Generator().manual_seed(0))
    assert torch.equal(sae.fires(x), expected.fires(x))


def test_a_temporal_sae_is_refused_by_what_it_is(tmp_path):
    from sae_lens import TemporalSAE, TemporalSAEConfig

    TemporalSAE(TemporalSAEConfig(d_in=16, d_sae=48, bottleneck_factor=1)).save_model(tmp_path)
    with pytest.raises(InvalidInputError, match="depend on earlier tokens"):
        load_sae(SaeRef("local", path=str(tmp_path)))
