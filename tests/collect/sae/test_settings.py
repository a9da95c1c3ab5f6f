"""Settings of an SAE that act before its gate: scales, biases, normalisations."""

import json

import pytest
import torch
from safetensors.numpy import load_file

import tiny
from sfal.collect.sae.sae import load_sae
from sfal.collect.settings import SaeConfig
from sfal.errors import ArtifactError
from sfal.sources.source import SaeRef

F = 48


def inputs(n=200):
    return torch.randn((n, 16), generator=torch.Generator().manual_seed(1)) * 1.5


def load(folder, **config):
    return load_sae(SaeRef("local", path=str(folder)), SaeConfig(**config))


def test_an_input_scale_leaves_the_decoder_bias_as_it_is(tmp_path):
    """(s x - b_dec) W + b, as SAELens folds a scale into an SAE."""
    folder = tiny.saelens(tmp_path, "standard", 16, F, apply_b_dec_to_input=True)
    arrays = {k: torch.tensor(v) for k, v in load_file(folder / "sae_weights.safetensors").items()}
    x, s = inputs(), 3.0
    expected = (s * x - arrays["b_dec"]) @ arrays["W_enc"] + arrays["b_enc"]
    sae = load(folder, input_scale=s)
    torch.testing.assert_close(sae.encode(x), expected.relu(), rtol=1e-4, atol=1e-4)
    wrong = (s * (x - arrays["b_dec"])) @ arrays["W_enc"] + arrays["b_enc"]
    assert ((wrong > 0) != sae.fires(x)).any()


def test_an_input_scale_is_what_saelens_folds(tmp_path):
    from sae_lens import SAE

    folder = tiny.saelens(tmp_path, "jumprelu", 16, F, apply_b_dec_to_input=True)
    theirs = SAE.load_from_disk(folder)
    theirs.fold_activation_norm_scaling_factor(0.4)
    x = inputs()
    torch.testing.assert_close(
        load(folder, input_scale=0.4).encode(x), theirs.encode(x), rtol=1e-4, atol=1e-5
    )


def test_a_factor_beside_a_checkpoint_is_applied(tmp_path):
    folder = tiny.saelens(
        tmp_path, "standard", 16, F, normalize_activations="expected_average_only_in"
    )
    (note,) = load(folder).notes
    assert "do not say by which factor" in str(note)
    assert load(folder, input_scale=2.0).notes == ()
    (folder / "activation_scaler.json").write_text('{"scaling_factor": 2.0}')
    sae, x = load(folder), inputs()
    assert sae.notes == ()
    assert sae.metadata["input_scale"] == 2.0
    assert torch.equal(sae.fires(x), load(folder, input_scale=2.0).fires(x))
    assert (sae.fires(x) != load(folder, input_scale="none").fires(x)).any()


@pytest.mark.parametrize("version", ["6.54.12", "2.1.0"])
def test_normalised_activations_by_their_old_spelling_are_noted(tmp_path, version):
    metadata = {"sae_lens_version": version}
    folder = tiny.saelens(
        tmp_path, "standard", 16, F, normalize_activations=True, metadata=metadata
    )
    (note,) = load(folder).notes
    assert "do not say by which factor" in str(note)


@pytest.mark.parametrize("factor", ['"x"', "-1", "NaN", "true", "[]"])
def test_a_factor_that_is_no_factor_is_refused(tmp_path, factor):
    folder = tiny.saelens(
        tmp_path, "standard", 16, F, normalize_activations="expected_average_only_in"
    )
    (folder / "activation_scaler.json").write_text(f'{{"scaling_factor": {factor}}}')
    with pytest.raises(ArtifactError, match="scaling_factor"):
        load(folder)


def test_whitened_inputs_are_noted(tmp_path):
    folder = tiny.saelens(tmp_path, "standard", 16, F, normalize_activations="covariance_whitening")
    assert "whitening is not folded" in str(load(folder).notes[0])


@pytest.mark.parametrize(
    "setting",
    [
        {"normalize_activations": "batch_norm"},
        {"normalize_activations": ["none"]},
        {"activation_fn": "gelu"},
        {"activation_fn_str": "softplus"},
        {"activation_fn": "topk", "activation_fn_kwargs": {"k": 4}},
    ],
)
def test_settings_that_would_be_ignored_are_refused_by_name(tmp_path, setting):
    folder = tiny.saelens(tmp_path, "standard", 16, F, **setting)
    with pytest.raises(ArtifactError, match=next(iter(setting))):
        load(folder)


@pytest.mark.parametrize("norms", [(2.0, 0.5), (1.0, 1.0)])
def test_llama_scopes_own_rule_weighs_features_by_their_decoder(tmp_path, norms):
    """(s x W + b) * norm > t * s: 2.4 > 1 and 0.6 < 1 for norms of 2 and 0.5."""
    folder = llama_scope(tmp_path, norms)
    x = torch.tensor([[0.6, 0, 0, 0]])  # s = sqrt(4) / 1 = 2, before the gate 1.2
    assert load(folder).fires(x).tolist() == [[True, True]]
    weighed = load(folder, decoder_norm_gate=True).fires(x).tolist()
    assert weighed == [[1.2 * norm > 1.0 for norm in norms]]


def test_a_transcoders_threshold_is_scaled_by_its_output(tmp_path):
    folder = llama_scope(tmp_path, (1.0, 1.0), out=0.5, point_out="blocks.1.hook_mlp_out")
    x = torch.tensor([[0.9, 0, 0, 0], [1.1, 0, 0, 0]])  # s_out = 4: 1.8 and 2.2 against 0.5 * 4
    assert load(folder).fires(x).tolist() == [[False, False], [True, True]]


def llama_scope(root, norms, out=1.0, point_out="blocks.1.hook_resid_post"):
    from safetensors.torch import save_file

    encoder, decoder = torch.zeros(2, 4), torch.zeros(4, 2)
    encoder[:, 0] = 1.0
    decoder[0] = torch.tensor(norms)
    save_file(
        {"encoder.weight": encoder, "encoder.bias": torch.zeros(2), "decoder.weight": decoder},
        root / "final.safetensors",
    )
    settings = {
        "hook_point_in": "blocks.1.hook_resid_post",
        "hook_point_out": point_out,
        "d_model": 4,
        "norm_activation": "dataset-wise",
        "dataset_average_activation_norm": {"in": 1.0, "out": out},
        "act_fn": "jumprelu",
        "jump_relu_threshold": 0.5,
        "sparsity_include_decoder_norm": True,
    }
    (root / "hyperparams.json").write_text(json.dumps(settings))
    return root
