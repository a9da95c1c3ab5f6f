"""What the SAEs compute stays where their weights are: seen without a GPU, by its tensors' shadows."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from sfal.collect.examples.top_activations import TopActivations, max_activations
from sfal.collect.firing import _fired
from sfal.collect.sae.gates import EncodeGate, GatedGate, ThresholdGate, TopKGate
from sfal.collect.sae.sae import Sae

D_IN, FEATURES, TOKENS, WINDOWS = 8, 64, 16, 6
DEVICE = torch.device("cuda", 0)


class Encoder:
    """Stands for an SAE of SAELens."""

    def __init__(self, weight):
        self.cfg = SimpleNamespace(d_sae=FEATURES)
        self.weight = weight

    def encode(self, x):
        return (x @ self.weight).relu()


GATES = {
    "jumprelu": lambda w, b: ThresholdGate(w, b, b, b),
    "relu": lambda w, b: ThresholdGate(w, b),
    "gated": lambda w, b: GatedGate(w, b, b, b),
    "topk": lambda w, b: TopKGate(w, b, 3, b),
    "abstopk": lambda w, b: TopKGate(w, b, 3, by_magnitude=True),
    "encode": lambda w, b: EncodeGate(Encoder(w)),
}


@pytest.fixture(params=GATES)
def sae(request):
    with FakeTensorMode(), DEVICE:
        gate = GATES[request.param](torch.empty(D_IN, FEATURES), torch.empty(FEATURES))
        yield Sae(
            d_in=D_IN, n_features=FEATURES, architecture=request.param, metadata={}, fingerprint={},
            gate=gate, dtype=torch.float32, device=DEVICE, normalize="layer_norm",
            b_dec=torch.empty(D_IN),
        )  # fmt: skip


@pytest.mark.parametrize("per_chunk", [1, 2 * TOKENS, 1000])
def test_windows_are_looked_at_where_the_weights_are(sae, per_chunk):
    # Two documents of two sizes of windows, in as many pieces as memory asks for.
    windows = [np.arange(i * TOKENS, (i + 1) * TOKENS - i % 2) for i in range(WINDOWS)]
    tokens = torch.empty(WINDOWS * TOKENS, D_IN, dtype=torch.bfloat16, device=DEVICE)
    fired = _fired(tokens, windows, sae, per_chunk * FEATURES)
    assert (fired.device, fired.dtype, fired.shape) == (DEVICE, torch.bool, (WINDOWS, FEATURES))


def test_a_tensor_left_on_the_cpu_would_be_seen():
    with FakeTensorMode():
        gate = ThresholdGate(torch.empty(D_IN, FEATURES, device=DEVICE), torch.empty(FEATURES))
        with pytest.raises(RuntimeError, match="cuda:0 and cpu"):
            gate.fires(torch.empty(TOKENS, D_IN, device=DEVICE))


def test_the_strongest_tokens_are_gathered_where_the_weights_are(sae):
    x = torch.empty(TOKENS, D_IN, dtype=torch.bfloat16, device=DEVICE)
    values, rows = max_activations(x, sae, 5 * FEATURES)
    assert {values.device, rows.device, sae.fires(x).device} == {DEVICE}
    strongest = TopActivations(FEATURES, DEVICE)
    assert {strongest.values.device, strongest.documents.device} == {DEVICE}
