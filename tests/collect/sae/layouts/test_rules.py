"""Each layout's SAE fires by the rule of its own library."""

import json

import numpy as np
import pytest
import torch

import tiny
import tiny_layouts as made
import tiny_rules as rules
from collect.layout_rules import D_IN, N_FEATURES, assert_fires_by, load
from sfal.errors import ArtifactError, InvalidInputError
from sfal.sources.configuration.layouts import sae_fingerprint


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"activation": "groupmax"},
        {"signed": True, "k": 12},
        {"transcode": True},
        {"multi_topk": True},
        {"skip_connection": True, "normalize_decoder": False},
        {"num_latents": 0},
        {"drop": ("num_latents", "activation", "transcode", "skip_connection", "signed")},
    ],
    ids=str,
)
def test_sparsify(tmp_path, settings):
    sae = assert_fires_by(*made.sparsify(tmp_path, D_IN, N_FEATURES, **settings)[::-1])
    assert sae.notes == ()
    assert sae.metadata["layout"] == "sparsify"


CLASSES = (
    "AutoEncoder",
    "AutoEncoderNew",
    "GatedAutoEncoder",
    "JumpReluAutoEncoder",
    "AutoEncoderTopK",
    "BatchTopKSAE",
    "MatryoshkaBatchTopKSAE",
)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("name", CLASSES)
def test_dictionary_learning(tmp_path, name, old):
    folder, rule = made.dictionary_learning(tmp_path, name, D_IN, N_FEATURES, old=old)
    assert_fires_by(rule, folder)
    assert_fires_by(rule, folder / "ae.pt")


@pytest.mark.parametrize(
    "name", [n for n in CLASSES if n not in ("AutoEncoderTopK", "BatchTopKSAE")]
)
def test_a_class_is_told_by_its_tensors_where_the_settings_are_missing(tmp_path, name):
    folder, rule = made.dictionary_learning(tmp_path, name, D_IN, N_FEATURES)
    (folder / "config.json").unlink()
    assert_fires_by(rule, folder)
    (folder / "ae.pt").rename(folder / "other.pt")
    assert_fires_by(rule, folder / "other.pt")
    assert_fires_by(rule, folder)


@pytest.mark.parametrize("name", ["AutoEncoderTopK", "BatchTopKSAE"])
def test_classes_with_the_same_tensors_are_not_told_apart(tmp_path, name):
    folder, _ = made.dictionary_learning(tmp_path, name, D_IN, N_FEATURES)
    (folder / "config.json").unlink()
    with pytest.raises(ArtifactError, match=r"ae\.pt holds .*; keep it beside the config\.json"):
        load(folder)


@pytest.mark.parametrize("threshold", [-1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["BatchTopKSAE", "MatryoshkaBatchTopKSAE"])
def test_a_threshold_that_was_never_set_is_refused_and_top_k_takes_its_place(
    tmp_path, name, threshold
):
    folder, _ = made.dictionary_learning(tmp_path, name, D_IN, N_FEATURES, threshold=threshold)
    with pytest.raises(ArtifactError, match=rf"{name} whose threshold was never set.*top_k=K"):
        load(folder)
    assert load(folder, top_k=3).fires(torch.ones(5, D_IN)).sum(1).max() <= 3


def test_a_threshold_of_zero_is_one(tmp_path):
    assert_fires_by(
        *made.dictionary_learning(tmp_path, "BatchTopKSAE", D_IN, N_FEATURES, threshold=0.0)[::-1]
    )


def test_qwen_scope(tmp_path):
    file, rule = made.qwen_scope(tmp_path, 2, D_IN, N_FEATURES)
    assert_fires_by(rule, file)
    bare = file.rename(tmp_path / file.name)
    with pytest.raises(ArtifactError, match="does not say how many features fire on a token"):
        load(bare)
    assert_fires_by(rule, bare, top_k=4)


def test_goodfire(tmp_path):
    assert_fires_by(*made.goodfire(tmp_path / "a-SAE-l19.pth", D_IN, N_FEATURES)[::-1])


def test_nanda(tmp_path):
    file, rule = made.nanda(tmp_path, D_IN, N_FEATURES)
    assert set(assert_fires_by(rule, file).fingerprint) == {"run1.pt", "run1_cfg.json"}
    (tmp_path / "run1_cfg.json").unlink()
    with pytest.raises(ArtifactError, match="alone does not tell how it encodes"):
        load(file)


@pytest.mark.parametrize("k", [None, 4])
def test_openai(tmp_path, k):
    assert_fires_by(*made.openai(tmp_path / "8.pt", D_IN, N_FEATURES, k=k)[::-1])


@pytest.mark.parametrize("unit_norm", [False, True])
@pytest.mark.parametrize("kind", ["vanilla", "topk", "jumprelu"])
def test_batch_topk(tmp_path, kind, unit_norm):
    folder, rule = made.batch_topk(tmp_path, kind, D_IN, N_FEATURES, unit_norm=unit_norm)
    assert_fires_by(rule, folder)


def test_a_batchtopk_without_a_threshold_is_named_as_what_it_is(tmp_path):
    folder, rule = made.batch_topk(tmp_path, "batchtopk", D_IN, N_FEATURES)
    with pytest.raises(ArtifactError, match=r"BatchTopK SAE without a threshold.*with 4 a token"):
        load(folder)
    assert_fires_by(rule, folder, top_k=4)


def test_gemma_scope_2(tmp_path):
    folder, rule = made.gemma_scope_2(tmp_path, D_IN, N_FEATURES)
    assert_fires_by(rule, folder)
    assert_fires_by(rule, folder / "params.safetensors")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"activation": "jumprelu"},
        {"input_normalize": False},
        {"shards": 3},
    ],
    ids=str,
)
def test_open_sae(tmp_path, settings):
    assert_fires_by(*made.open_sae(tmp_path, D_IN, N_FEATURES, **settings)[::-1])


@pytest.mark.parametrize("named", ["W_E", "encoder.weight"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"activation": "relu"},
        {"activation": "topk"},
        {"norm_activation": "inference"},
        {"norm_activation": "token-wise"},
    ],
    ids=str,
)
def test_open_moss(tmp_path, named, settings):
    folder, rule = made.open_moss(tmp_path, D_IN, N_FEATURES, named=named, **settings)
    assert assert_fires_by(rule, folder).notes == ()


def test_decoder_norms_that_open_moss_states_are_noted_or_counted(tmp_path):
    folder, rule = made.open_moss(tmp_path, D_IN, N_FEATURES, sparsity_include_decoder_norm=True)
    (note,) = assert_fires_by(rule, folder).notes
    assert "decoder norms" in str(note)
    assert "decoder_norm_gate" in str(note)
    norms = np.linalg.norm(rules.exact(tiny.weights(D_IN, N_FEATURES))["W_dec"], axis=1)
    sae = load(folder, decoder_norm_gate=True)
    x = torch.randn(50, D_IN, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert np.array_equal(sae.fires(x).numpy(), rule(x.numpy(), norms) > 0)
    assert sae.notes == ()


@pytest.mark.parametrize("decoder", [False, True])
def test_llama_scopes_transcoders_have_a_threshold_at_their_outputs_scale(tmp_path, decoder):
    folder = tiny.llama_scope(tmp_path, 1, D_IN, N_FEATURES)
    path = folder / "hyperparams.json"
    told = json.loads(path.read_text()) | {
        "hook_point_in": "blocks.1.ln2.hook_normalized",
        "hook_point_out": "blocks.1.hook_mlp_out",
        "dataset_average_activation_norm": {"in": D_IN**0.5 / 2.0, "out": D_IN**0.5 / 5.0},
    }
    path.write_text(json.dumps(told))
    w = rules.exact(tiny.weights(D_IN, N_FEATURES, bias=-0.2))
    norms = np.linalg.norm(w["W_dec"], axis=1) if decoder else 1.0

    def rule(x):
        return ((2.0 * x) @ w["W_enc"] + w["b_enc"]) * norms > 0.35 * 5.0

    sae = load(folder, decoder_norm_gate=decoder)
    x = torch.randn(300, D_IN, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    expected = rule(x.numpy())
    assert 0.01 < expected.mean() < 0.7
    assert np.array_equal(sae.fires(x).numpy(), expected)


def test_decoder_norms_come_from_the_decoder_as_the_library_lays_it_out(tmp_path):
    """W_dec is a row per feature in sparsify, and a column in dictionary_learning."""
    norms = np.linalg.norm(rules.exact(tiny.weights(D_IN, N_FEATURES))["W_dec"], axis=1)
    for at, (folder, rule) in enumerate(
        [
            made.sparsify(tmp_path / "a", D_IN, N_FEATURES, k=N_FEATURES),
            made.dictionary_learning(tmp_path / "b", "AutoEncoderTopK", D_IN, N_FEATURES, k=24),
        ]
    ):
        sae = load(folder, decoder_norm_gate=True)
        x = torch.randn(20, D_IN, generator=torch.Generator().manual_seed(at), dtype=torch.float64)
        assert np.allclose(sae.encode(x).numpy(), rule(x.numpy()) * norms)


@pytest.mark.parametrize("place_out", ["model.layers.1.post_feedforward_layernorm.output"])
def test_a_transcoders_decoder_does_not_scale_its_gate(tmp_path, place_out):
    folder, rule = made.gemma_scope_2(
        tmp_path,
        D_IN,
        N_FEATURES,
        place="model.layers.1.pre_feedforward_layernorm.output",
        hf_hook_point_out=place_out,
    )
    assert_fires_by(rule, folder)
    with pytest.raises(InvalidInputError, match="is a transcoder"):
        load(folder, decoder_norm_gate=True)


def test_every_file_that_decides_what_fires_is_part_of_the_fingerprint(tmp_path):
    folder, _ = made.dictionary_learning(tmp_path, "AutoEncoder", D_IN, N_FEATURES)
    assert set(load(folder).fingerprint) == {"ae.pt", "config.json"}
    assert load(folder / "ae.pt").fingerprint == sae_fingerprint(folder)
    (tmp_path / "x").mkdir()
    file, _ = made.goodfire(tmp_path / "x" / "a.pt", D_IN, N_FEATURES)
    assert set(load(file.parent).fingerprint) == {"a.pt"}
