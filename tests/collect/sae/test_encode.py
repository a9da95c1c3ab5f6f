"""Activations of every gate equal those of SAELens."""

import warnings

import numpy as np
import pytest
import torch

import tiny
from collect.sae.architectures import ARCHITECTURES, D_IN, N_FEATURES, inputs, local
from sfal.collect.sae.sae import load_sae


def encode_of(folder, x):
    """SAELens' own activations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sae_lens import SAE

        sae = SAE.load_from_disk(folder)
    with torch.no_grad():
        return sae.encode(x)


@pytest.mark.parametrize("normalize", ["none", "layer_norm"])
@pytest.mark.parametrize(
    ("architecture", "config"),
    [*ARCHITECTURES, ("matching_pursuit", {"max_iterations": 6, "residual_threshold": 0.1})],
)
def test_activations_equal_those_of_saelens(tmp_path, architecture, config, normalize):
    with_b_dec = "transcoder" not in architecture
    config = {"apply_b_dec_to_input": with_b_dec, "normalize_activations": normalize, **config}
    tiny.saelens(tmp_path, architecture, D_IN, N_FEATURES, **config)
    x = inputs(120)
    sae = load_sae(local(tmp_path))
    found, expected = sae.encode(x), encode_of(tmp_path, x)
    assert 0.001 < (expected > 0).float().mean() < 0.9
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(found > 0, sae.fires(x))


def test_activations_of_a_gemma_scope_sae_equal_their_definition(tmp_path):
    tiny.gemma_scope(tmp_path, ".", D_IN, N_FEATURES)
    arrays = np.load(tmp_path / "params.npz")
    x = inputs(50)
    before = x.double().numpy() @ arrays["W_enc"].astype(np.float64) + arrays["b_enc"]
    expected = np.maximum(before, 0) * (before > arrays["threshold"])
    found = load_sae(local(tmp_path)).encode(x)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)
