"""Hooks between the layers' parts, and what TransformerLens' processing does to them."""

import pytest
import torch

import tiny
from collect import lens
from sfal.collect.model.hook_points import HookPoint
from sfal.collect.model.load import load_language_model
from sfal.errors import InvalidInputError, UnknownSaeError
from sfal.sources.configuration.training import Training
from sfal.sources.source import SaeRef, Source

LAYERS = 4
THEIR_HOOKS = {
    "res_mid": "blocks.{}.hook_resid_mid",
    "mlp_in": "blocks.{}.hook_mlp_in",
    "ln1": "blocks.{}.ln1.hook_normalized",
    "ln2": "blocks.{}.ln2.hook_normalized",
    "neurons": "blocks.{}.mlp.hook_post",
}
WRITTEN = {
    "res": "blocks.1.hook_resid_post",
    "res_pre": "blocks.1.hook_resid_pre",
    "mlp": "blocks.1.hook_mlp_out",
    "attn_out": "blocks.1.hook_attn_out",
    "mlp_in": "blocks.1.hook_mlp_in",
    "embed": "hook_embed",
}
FAMILIES = ["gemma2", "llama", "gpt2", "gpt_neox"]


def made(folder, family):
    # With 16 dimensions, Pythia's rotary embeddings would turn one dimension of each head.
    return getattr(tiny, family)(folder, layers=LAYERS, d_model=32 if family == "gpt_neox" else 16)


def compare(folder, points, theirs, hooks):
    """Assert that each point gives what TransformerLens has at its hook, on a few texts."""
    model = load_language_model(str(folder), list(points))
    ids = model.tokenize(tiny.TEXTS[:3], 30)
    ours = model.activations(ids)
    for row, document in enumerate(ids):
        cache = lens.cache(theirs, document)
        for point, hook in zip(points, hooks, strict=True):
            here = ours[point][row, : len(document)]
            there = hook(cache)[0].flatten(1) if callable(hook) else cache[hook][0].flatten(1)
            torch.testing.assert_close(here, there, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_other_site_equals_transformerlens(tmp_path, family):
    folder = made(tmp_path, family)
    sites = [site for site in THEIR_HOOKS if (family, site) != ("gpt_neox", "res_mid")]
    points = [HookPoint(layer, site) for layer in (0, 2) for site in sites]
    hooks = [THEIR_HOOKS[point.site].format(point.layer) for point in points]
    compare(
        folder,
        [*points, HookPoint(0, "embed")],
        lens.hooked(folder, family, LAYERS),
        [*hooks, "hook_embed"],
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_the_mlps_input_has_the_norms_gain_unless_that_is_folded_in(tmp_path, family):
    folder = made(tmp_path, family)
    plain = lens.hooked(folder, family, LAYERS)
    norm = plain.blocks[2].ln2

    def with_gain(cache):
        return cache["blocks.2.ln2.hook_normalized"] * norm.w + getattr(norm, "b", 0)

    compare(folder, [HookPoint(2, "mlp_input")], plain, [with_gain])
    compare(
        folder,
        [HookPoint(2, "mlp_input", folded_norms=True)],
        lens.hooked(folder, family, LAYERS, fold_ln=True),
        ["blocks.2.ln2.hook_normalized"],
    )


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox"])
def test_centred_weights_are_the_stream_without_its_mean(tmp_path, family):
    folder = made(tmp_path, family)
    theirs = lens.hooked(folder, family, LAYERS, center_writing_weights=True)
    points = [HookPoint(0 if site == "embed" else 1, site, centred=True) for site in WRITTEN]
    compare(folder, points, theirs, list(WRITTEN.values()))
    compare(folder, [HookPoint(1, "att")], theirs, ["blocks.1.attn.hook_z"])


def test_a_model_with_rms_norms_is_never_centred(tmp_path):
    folder = tiny.llama(tmp_path)
    plain, centred = HookPoint(1, "res"), HookPoint(1, "res", centred=True)
    model = load_language_model(str(folder), [plain, centred])
    found = model.activations([[2, 5, 9]])
    assert torch.equal(found[plain], found[centred])


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox"])
def test_folded_value_biases_are_not_in_the_heads_outputs(tmp_path, family):
    folder = made(tmp_path, family)
    theirs = lens.hooked(folder, family, LAYERS, fold_value_biases=True)
    point = HookPoint(1, "att", folded_value_biases=True)
    compare(
        folder,
        [point, HookPoint(1, "attn_out")],
        theirs,
        ["blocks.1.attn.hook_z", WRITTEN["attn_out"]],
    )


def test_value_biases_of_grouped_queries_are_repeated_for_each_head(tmp_path):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    sizes = {**tiny._sizes(2, 16), **tiny._ids(has_bos=False)}
    tiny._save(tmp_path, Qwen2ForCausalLM, Qwen2Config(**sizes), 0, has_bos=False)
    plain = HookPoint(1, "att")
    folded = HookPoint(1, "att", folded_value_biases=True)
    model = load_language_model(str(tmp_path), [plain, folded])
    bias = model._decoder.layers[1].self_attn.v_proj.bias.view(2, -1)
    found = model.activations([[5, 9, 11]])
    expected = found[plain] - torch.cat([bias[0], bias[0], bias[1], bias[1]])
    torch.testing.assert_close(found[folded], expected)


def test_a_single_head_is_its_part_of_all_heads(tmp_path):
    folder = tiny.gemma2(tmp_path)
    points = [HookPoint(1, "att"), HookPoint(1, "att", head=2)]
    found = load_language_model(str(folder), points).activations([[2, 5, 9]])
    assert torch.equal(found[points[1]], found[points[0]][..., 12:18])
    with pytest.raises(InvalidInputError, match="heads 0 to 3"):
        load_language_model(str(folder), [HookPoint(1, "att", head=4)])


def test_pythia_has_no_place_between_attention_and_mlp(tmp_path):
    with pytest.raises(UnknownSaeError, match="res_mid"):
        load_language_model(str(tiny.gpt_neox(tmp_path)), [HookPoint(1, "res_mid")])


def test_the_normalised_stream_is_the_one_before_the_gain():
    """x = [3, 4] has the root mean square 3.5355."""
    from sfal.collect.model.preparation import _normalisation

    norm = torch.nn.RMSNorm(2, eps=1e-6)
    norm.weight.data = torch.tensor([2.0, 0.5])
    x = torch.tensor([[[3.0, 4.0]]])
    torch.testing.assert_close(
        _normalisation(norm)(x), torch.tensor([[[0.8485, 1.1314]]]), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(norm(x), torch.tensor([[[1.6971, 0.5657]]]), atol=1e-4, rtol=0)


def test_training_decides_how_a_place_is_read():
    def point(site, **training):
        source = Source("s", "m", site, 3, SaeRef("local"), training=Training(**training))
        return HookPoint.of(source)

    everything = {
        "centred": True,
        "folded_norms": True,
        "folded_value_biases": True,
        "head": 1,
    }
    assert point("res", **everything).prepared == {"centred": True}
    assert point("ln2", **everything).prepared == {}
    assert point("mlp_input", **everything).prepared == {"folded_norms": True}
    assert point("att", **everything).prepared == {"head": 1, "folded_value_biases": True}
    assert point("res").prepared == {}
