"""Hooks on plain transformers give what TransformerLens gives at its own hooks."""

import pytest
import torch

import tiny
from collect import lens
from sfal.collect.model.hook_points import HookPoint
from sfal.collect.model.load import load_language_model

LAYERS = 4
THEIR_HOOKS = {
    "res_pre": "blocks.{}.hook_resid_pre",
    "res": "blocks.{}.hook_resid_post",
    "mlp": "blocks.{}.hook_mlp_out",
    "att": "blocks.{}.attn.hook_z",
    "attn_out": "blocks.{}.hook_attn_out",
}


@pytest.mark.parametrize("family", ["gemma2", "llama"])
def test_every_site_of_every_layer_equals_transformerlens(tmp_path, family):
    folder = getattr(tiny, family)(tmp_path, layers=LAYERS)
    points = [HookPoint(layer, site) for layer in range(LAYERS) for site in THEIR_HOOKS]
    model = load_language_model(str(folder), points)
    # Longer than the sliding window, so that local and global layers differ.
    ids = model.tokenize(tiny.TEXTS, 30)
    ours = model.activations(ids)
    theirs = lens.hooked(folder, family, LAYERS)
    for row, document in enumerate(ids):
        cache = lens.cache(theirs, document)
        for point in points:
            there = cache[THEIR_HOOKS[point.site].format(point.layer)][0].flatten(1)
            here = ours[point][row, : len(document)]
            assert here.shape == there.shape
            torch.testing.assert_close(here, there, rtol=1e-4, atol=2e-5)


def test_neighbouring_sites_differ_by_far_more_than_the_tolerance(tmp_path):
    """Else the test above could not tell a wrong hook from the right one."""
    folder = tiny.gemma2(tmp_path, layers=LAYERS)
    paths = [
        "layers.1.output",
        "layers.1.mlp.output",
        "layers.1.post_feedforward_layernorm.output",
        "layers.1.self_attn.o_proj.output",
        "layers.1.post_attention_layernorm.output",
    ]
    points = [HookPoint(1, "custom", path) for path in paths]
    model = load_language_model(str(folder), points)
    found = list(model.activations(model.tokenize(["A river"], 9)).values())
    for i, one in enumerate(found):
        for other in found[:i]:
            assert (one - other).abs().max() > 0.05
