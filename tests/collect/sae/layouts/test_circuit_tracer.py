"""circuit-tracer's transcoders on the disk and in repositories of the hub."""

import numpy as np
import pytest
import torch

import tiny_rules as rules
from sfal.collect.sae.sae import load_sae
from sfal.collect.settings import SaeConfig
from sfal.errors import ArtifactError, InvalidInputError
from sfal.sources import resolve_local
from sfal.sources.configuration.layouts import layouts_in
from sfal.sources.source import SaeRef
from tiny_circuits import circuit_tracer

D_IN, N_FEATURES = 16, 24


def load(path, **config):
    return load_sae(SaeRef("local", path=str(path)), SaeConfig(**config))


@pytest.mark.parametrize("crosses", [False, True])
@pytest.mark.parametrize("threshold", [None, "threshold", "activation_function.threshold"])
def test_it_fires_by_the_rule_of_its_library(tmp_path, crosses, threshold):
    path, rule = circuit_tracer(tmp_path, 3, D_IN, N_FEATURES, crosses=crosses, threshold=threshold)
    x = np.random.default_rng(1).standard_normal((300, D_IN)) * 1.5
    expected = rule(x) > 0
    assert 0 < expected.mean() < 1
    assert (load(path).fires(torch.tensor(x)).numpy() != expected).mean() < 1e-3
    assert torch.equal(load(tmp_path).fires(torch.tensor(x)), load(path).fires(torch.tensor(x)))


def test_saelens_reads_the_same_of_a_layer(tmp_path):
    from sae_lens.loading.pretrained_sae_loaders import load_safetensors_weights

    path, _ = circuit_tracer(tmp_path, 3, D_IN, N_FEATURES)
    theirs = load_safetensors_weights(path, device="cpu", dtype="float32")["W_enc"].T
    torch.testing.assert_close(load(path, sae_dtype="float32").gate.weight.cpu(), theirs)


@pytest.mark.parametrize(
    ("hook", "site"),
    [
        ("mlp.hook_in", "mlp_input"),
        ("ln2.hook_normalized", "ln2"),
        ("hook_resid_mid", "res_mid"),
        ("blocks.{layer}.hook_resid_pre", "res_pre"),
    ],
)
def test_settings_beside_the_file_say_model_and_place(tmp_path, hook, site):
    for layer in (2, 11):
        path, _ = circuit_tracer(tmp_path, layer, D_IN, N_FEATURES, hook=hook)
        source = resolve_local(path)
        assert (source.model, source.site, source.layer) == ("someone/tiny-model", site, layer)
    with pytest.raises(ArtifactError, match=r"2 SAEs: layer_2\.safetensors, layer_11\.safetens"):
        resolve_local(tmp_path)


def test_without_settings_the_place_is_asked_for(tmp_path):
    path, _ = circuit_tracer(tmp_path, 2, D_IN, N_FEATURES, hook=None)
    with pytest.raises(InvalidInputError, match="does not say which language model"):
        resolve_local(path)
    assert resolve_local(path, "m", site="mlp_input", layer=2).site == "mlp_input"


@pytest.mark.parametrize("content", ["- a", "a: [", "\0", "model_name: [3]"])
def test_damaged_settings_are_refused(tmp_path, content):
    path, _ = circuit_tracer(tmp_path, 2, D_IN, N_FEATURES)
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(ArtifactError):
        resolve_local(path)


def test_what_circuit_tracer_does_not_read_is_refused(tmp_path):
    path, _ = circuit_tracer(tmp_path, 2, D_IN, N_FEATURES, threshold="log_thresholds")
    with pytest.raises(ArtifactError, match="log_thresholds, which circuit-tracer does not read"):
        load(path)
    rules.write_safetensors(path, {"encoder.weight": np.ones((3, 4), np.float32)})
    with pytest.raises(ArtifactError, match=r"lacks 'W_enc', 'b_enc'; it holds encoder\.weight"):
        load(path)
    path, _ = circuit_tracer(tmp_path, 2, D_IN, N_FEATURES)
    with pytest.raises(InvalidInputError, match="is a transcoder, whose decoder writes"):
        load(path, decoder_norm_gate=True)


def test_the_files_of_a_repository_are_its_saes():
    files = ["config.yaml", "W_enc_0.safetensors", "W_dec_0.safetensors", "a/layer_3.safetensors"]
    assert layouts_in(files) == {
        "W_enc_0.safetensors": "circuit_tracer",
        "a/layer_3.safetensors": "circuit_tracer",
    }
