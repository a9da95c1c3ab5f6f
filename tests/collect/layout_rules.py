"""An SAE of another library is compared with that library's rule."""

import numpy as np
import torch

from sfal.collect.sae.sae import load_sae
from sfal.collect.settings import SaeConfig
from sfal.sources.source import SaeRef

D_IN, N_FEATURES = 8, 24


def load(path, **config):
    return load_sae(SaeRef("local", path=str(path)), SaeConfig(sae_dtype="float64", **config))


def assert_fires_by(rule, path, **config):
    """Compare encode, fires and fires_in with the rule."""
    sae = load(path, **config)
    assert (sae.d_in, sae.n_features) == (D_IN, N_FEATURES)
    x = torch.randn(96, D_IN, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    expected = rule(x.numpy())
    assert 0.01 < (expected > 0).mean() < 0.7
    assert np.allclose(sae.encode(x).numpy(), expected, atol=1e-9)
    assert np.array_equal(sae.fires(x).numpy(), expected > 0)
    windows = x.view(12, 8, D_IN)
    found = sae.fires_in(windows, sae.workspace(96)).numpy()
    assert np.array_equal(found, (expected > 0).reshape(12, 8, -1).any(1))
    return sae
