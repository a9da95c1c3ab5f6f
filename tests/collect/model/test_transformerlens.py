"""Hooks on plain transformers give what TransformerLens gives at its own hooks."""

import warnings

import pytest
import torch

import tiny
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
GEMMA = {
    "act_fn": "gelu_pytorch_tanh",
    "use_attn_scale": True,
    "window_size": 8,
    "use_local_attn": True,
    "attn_types": ["local", "global"] * (LAYERS // 2),
    "attn_scores_soft_cap": 50.0,
    "output_logits_soft_cap": 30.0,
    "use_normalization_before_and_after": True,
    "rotary_base": 10000.0,
}
LLAMA = {"act_fn": "silu", "rotary_adjacent_pairs": False, "rotary_base": 10000.0}


def hooked(folder, family):
    """The same weights in TransformerLens, converted by its own code, as they are."""
    with warnings.catch_warnings(), tiny.quiet_transformers():
        warnings.simplefilter("ignore")
        from transformer_lens import HookedTransformer, HookedTransformerConfig
        from transformer_lens.pretrained.weight_conversions import (
            convert_gemma_weights,
            convert_llama_weights,
        )
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        theirs = model.config
        d_head = getattr(theirs, "head_dim", None) or theirs.hidden_size // 4
        config = HookedTransformerConfig(
            d_model=theirs.hidden_size,
            d_head=d_head,
            n_heads=4,
            n_key_value_heads=2,
            d_mlp=theirs.intermediate_size,
            n_layers=LAYERS,
            n_ctx=64,
            eps=theirs.rms_norm_eps,
            d_vocab=theirs.vocab_size,
            normalization_type="RMS",
            positional_embedding_type="rotary",
            rotary_dim=d_head,
            gated_mlp=True,
            final_rms=True,
            device="cpu",
            **(GEMMA if family == "gemma2" else LLAMA),
        )
        convert = convert_gemma_weights if family == "gemma2" else convert_llama_weights
        lens = HookedTransformer(config)
        lens.load_state_dict(convert(model, config), strict=False)
    return lens.eval()


@pytest.mark.parametrize("family", ["gemma2", "llama"])
def test_every_site_of_every_layer_equals_transformerlens(tmp_path, family):
    folder = getattr(tiny, family)(tmp_path, layers=LAYERS)
    points = [HookPoint(layer, site) for layer in range(LAYERS) for site in THEIR_HOOKS]
    model = load_language_model(str(folder), points)
    # Longer than the sliding window, so that local and global layers differ.
    ids = model.tokenize(tiny.TEXTS, 30)
    ours = model.activations(ids)
    lens = hooked(folder, family)
    for row, document in enumerate(ids):
        with torch.no_grad():
            _, cache = lens.run_with_cache(torch.tensor([document]), prepend_bos=False)
        for point in points:
            theirs = cache[THEIR_HOOKS[point.site].format(point.layer)][0].flatten(1)
            here = ours[point][row, : len(document)]
            assert here.shape == theirs.shape
            torch.testing.assert_close(here, theirs, rtol=1e-4, atol=2e-5)


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
