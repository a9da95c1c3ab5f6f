"""SAEs of every architecture of SAELens, and what its own encode says of them."""

import warnings

import torch

from sfal.sources.source import SaeRef

D_IN, N_FEATURES = 24, 160


def inputs(n=400, d_in=D_IN, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d_in, generator=generator) * 1.3 + 0.2


def encoded(folder, x, dtype="float32"):
    """What SAELens' encode makes positive."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sae_lens import SAE

        sae = SAE.load_from_disk(folder, dtype=dtype)
    sae.turn_off_forward_pass_hook_z_reshaping()
    with torch.no_grad():
        return sae.encode(x) > 0


def local(path):
    return SaeRef("local", path=str(path))


def assert_same(sae, expected, x):
    """Token by token and window by window; some features fire and some do not."""
    assert 0.001 < expected.float().mean() < 0.9
    assert torch.equal(sae.fires(x), expected)
    windows = x.view(-1, 8, x.shape[1])
    in_windows = expected.view(-1, 8, expected.shape[1]).any(1)
    assert torch.equal(sae.fires_in(windows), in_windows)
    assert torch.equal(sae.fires_in(windows, sae.workspace(len(x) + 5)), in_windows)


ARCHITECTURES = [
    ("standard", {}),
    ("jumprelu", {}),
    ("gated", {}),
    ("topk", {"k": 7}),
    ("topk", {"k": 7, "rescale_acts_by_decoder_norm": True}),
    ("abstopk", {"k": 60}),
    ("abstopk", {"k": 60, "rescale_acts_by_decoder_norm": True}),
    ("transcoder", {}),
    ("skip_transcoder", {}),
    ("jumprelu_transcoder", {}),
    ("jumprelu_skip_transcoder", {}),
]
