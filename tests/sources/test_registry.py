"""Every SAE that ``sfal sources`` lists can be counted, or is marked with why not."""

from collections import Counter

import pytest

from sfal.errors import InvalidInputError
from sfal.sources import hooks, registry, resolve_saelens
from sfal.sources.entry_places import place_of_entry

ONLY_FILES_SAY = {"mntss_clt_layer_transcoder"}
"""Layouts whose hook is in a file of the repository."""


def test_every_sae_is_countable_or_says_why_not():
    marked = Counter(e.obstacle for e in registry() if e.obstacle)
    assert set(marked) == {"its features depend on earlier tokens"}
    unknown = {e.layout for e in registry() if not e.obstacle and place_of_entry(e) is None}
    assert unknown <= ONLY_FILES_SAY
    assert sum(marked.values()) < 0.001 * len(registry())


def test_the_place_is_the_one_that_saelens_gives():
    """The loaders that need no network, each with its own way from a name to a hook."""
    from sae_lens.loading import pretrained_sae_loaders as loaders

    getters = {
        "gemma_2": loaders.get_gemma_2_config_from_hf,
        "gemma_2_transcoder": loaders.get_gemma_2_transcoder_config_from_hf,
        "qwen_scope": loaders.get_qwen_scope_config_from_hf,
        "deepseek_r1": loaders.get_deepseek_r1_config_from_hf,
        "goodfire": loaders.get_goodfire_config_from_hf,
    }
    compared = Counter()
    for entry in registry():
        if entry.layout in getters:
            config = getters[entry.layout](entry.repo_id, entry.path, "cpu")
            theirs = hooks.place_of_hook(config["hook_name"], config.get("hf_hook_name"))
            assert place_of_entry(entry) == theirs, entry
            compared[entry.layout] += 1
        elif entry.layout == "gemma_3":
            raw = loaders._infer_gemma_3_raw_cfg_dict(entry.repo_id, entry.path)
            module = hooks.place_of_module(raw["hf_hook_point_in"])
            here = place_of_entry(entry)
            assert here.layer == module.layer
            assert here.site == module.site or module.site == "custom"
            compared[entry.layout] += 1
    assert set(compared) == {*getters, "gemma_3"}


@pytest.mark.parametrize(
    ("release", "sae_id", "model", "place"),
    [
        (
            "gemma-scope-2b-pt-transcoders",
            "layer_0/width_16k/average_l0_76",
            "google/gemma-2-2b",
            ("ln2", 0, None),
        ),
        (
            "gemma-scope-2b-pt-res",
            "embedding/width_4k/average_l0_6",
            "google/gemma-2-2b",
            ("embed", 0, None),
        ),
        (
            "gemma-scope-9b-it-res",
            "layer_20/width_131k/average_l0_13",
            "google/gemma-2-9b-it",
            ("res", 20, None),
        ),
        ("qwen-scope-3-8b-base-w64k-l50", "layer3", "Qwen/Qwen3-8B-Base", ("res", 3, None)),
    ],
)
def test_saes_at_other_hooks_are_resolved_without_a_network(release, sae_id, model, place):
    source = resolve_saelens(release, sae_id)
    assert source.model == model
    assert (source.site, source.layer, source.hook_module) == place


def test_a_place_may_be_named_beside_a_release():
    release, sae_id = "gemma-scope-2b-pt-transcoders", "layer_3/width_16k/average_l0_54"
    path = "model.layers.3.pre_feedforward_layernorm.output"
    source = resolve_saelens(release, sae_id, hook_module=path)
    assert (source.site, source.layer, source.hook_module) == ("custom", 3, path)
    source = resolve_saelens(release, sae_id, site="mlp_in")
    assert (source.site, source.layer, source.hook_module) == ("mlp_in", 3, None)
    with pytest.raises(InvalidInputError, match="both a site and a module"):
        resolve_saelens(release, sae_id, site="mlp_in", hook_module=path)
    with pytest.raises(InvalidInputError, match="site 'nose' is not one of res, res_pre"):
        resolve_saelens(release, sae_id, site="nose")


def test_an_sae_that_reads_earlier_tokens_is_refused_before_anything_is_fetched():
    with pytest.raises(InvalidInputError, match="depend on earlier tokens"):
        resolve_saelens("temporal-sae-gemma-2-2b", "blocks.12.hook_resid_post")


@pytest.mark.parametrize(
    ("hook", "module", "place"),
    [
        ("blocks.3.hook_resid_post", "model.layers.3.output", ("res", 3, None)),
        (
            "blocks.3.hook_mlp_in",
            "model.layers.3.norm.output",
            ("custom", 3, "model.layers.3.norm.output"),
        ),
        ("blocks.3.hook_mlp_in", None, ("mlp_in", 3, None)),
        ("blocks.0.hook_z", None, ("att", 0, None)),
        ("model.layers.7", None, ("res", 7, None)),
        ("transformer.h.7.input", None, ("res_pre", 7, None)),
        ("gpt_neox.layers.2.mlp", None, ("custom", 2, "gpt_neox.layers.2.mlp")),
        (None, "model.layers.3.mlp.output", ("custom", 3, "model.layers.3.mlp.output")),
        ("hook_embed", None, ("embed", 0, None)),
    ],
)
def test_hooks_of_both_spellings_are_places(hook, module, place):
    assert hooks.place_of_hook(hook, module) == hooks.Place(*place)


@pytest.mark.parametrize(
    "hook", ["", None, "blocks.3.attn.hook_q", "ln_final.hook_normalized", "hook_pos_embed"]
)
def test_other_hooks_are_no_place(hook):
    assert hooks.place_of_hook(hook) is None
