"""A truncated, hooked, batched model gives what the whole model gives document by document."""

import json

import pytest
import torch

import tiny
from collect.model.folders import copy
from sfal.collect.model.hook_points import HookPoint
from sfal.collect.model.load import load_language_model
from sfal.collect.settings import ModelConfig
from sfal.errors import (
    DownloadError,
    InvalidInputError,
    MemoryLimitError,
    UnknownSaeError,
)

RES = [HookPoint(1, "res")]


def whole_model(folder, dtype=torch.float32):
    from transformers import AutoModelForCausalLM

    with tiny.quiet_transformers():
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


@pytest.mark.parametrize("family", ["gemma2", "gemma3", "llama", "qwen3", "gpt_neox", "gpt2"])
def test_a_batch_equals_batches_of_one(folders, family):
    sites = ["res", "res_pre", "mlp", "att", "attn_out"]
    model = load_language_model(folders(family), [HookPoint(2, site) for site in sites])
    ids = [i for i in model.tokenize([*tiny.TEXTS, "a", ""], 40) if i]
    assert len({len(i) for i in ids}) > 3
    together = model.activations(ids)
    for row, document in enumerate(ids):
        alone = model.activations([document])
        for point, acts in together.items():
            torch.testing.assert_close(
                acts[row, : len(document)], alone[point][0], rtol=1e-4, atol=1e-5
            )


def test_a_batch_of_a_family_nobody_knows_equals_batches_of_one(folders):
    points = [HookPoint(1, "res"), HookPoint(2, "custom", "decoder.layers.2.fc1.input")]
    model = load_language_model(folders("opt"), points)
    assert model.metadata["layers_run"] == 3
    assert len(model._decoder.decoder.layers) == 3
    ids = model.tokenize(tiny.TEXTS, 40)
    together = model.activations(ids)
    for row, document in enumerate(ids):
        alone = model.activations([document])
        for point in points:
            torch.testing.assert_close(
                together[point][row, : len(document)], alone[point][0], rtol=1e-4, atol=1e-5
            )


def test_a_model_that_looks_both_ways_is_masked(folders, tmp_path):
    """EmbeddingGemma is a Gemma 3 whose positions see those after them."""
    folder = copy(folders("gemma3"), tmp_path / "m")
    told = json.loads((tmp_path / "m" / "config.json").read_text())
    told["use_bidirectional_attention"] = True
    (tmp_path / "m" / "config.json").write_text(json.dumps(told))
    model = load_language_model(folder, RES)
    ids = model.tokenize(["A river rises", "short"], 40)
    both = model.activations(ids)[RES[0]]
    for row, document in enumerate(ids):
        alone = model.activations([document])[RES[0]][0]
        torch.testing.assert_close(both[row, : len(document)], alone, rtol=1e-4, atol=1e-5)
    causal = load_language_model(folders("gemma3"), RES).activations(ids)[RES[0]]
    assert not torch.allclose(both[0, : len(ids[0])], causal[0, : len(ids[0])], atol=1e-3)


@pytest.mark.parametrize("family", ["gemma2", "gemma3", "llama", "qwen3", "gpt_neox", "gpt2"])
def test_a_truncated_model_gives_the_whole_models_layers(folders, family):
    folder = folders(family)
    model = load_language_model(folder, [HookPoint(0, "res"), HookPoint(1, "res")])
    ids = model.tokenize([tiny.TEXTS[0]], 30)
    with torch.no_grad():
        whole = whole_model(folder)(input_ids=torch.tensor(ids), output_hidden_states=True)
    for layer in (0, 1):
        torch.testing.assert_close(
            model.activations(ids)[HookPoint(layer, "res")], whole.hidden_states[layer + 1]
        )
    assert model.metadata["layers_run"] == 2


@pytest.mark.parametrize("family", ["gemma2", "llama"])
def test_the_last_layer_is_read_before_the_final_norm(folders, family):
    folder = folders(family)
    model = load_language_model(folder, [HookPoint(3, "res")])
    ids = model.tokenize([tiny.TEXTS[0]], 30)
    whole = whole_model(folder).model
    with torch.no_grad():
        normed = whole(input_ids=torch.tensor(ids), output_hidden_states=True).hidden_states[-1]
        here = model.activations(ids)[HookPoint(3, "res")]
        torch.testing.assert_close(whole.norm(here), normed)
    assert (here - normed).abs().max() > 0.1


@pytest.mark.parametrize("family", ["gemma2", "gemma3", "llama", "qwen3", "gpt_neox", "gpt2"])
def test_what_attention_and_mlp_add_makes_up_the_stream(folders, family):
    sites = ("res_pre", "attn_out", "mlp", "res")
    model = load_language_model(folders(family), [HookPoint(1, site) for site in sites])
    acts = model.activations(model.tokenize([tiny.TEXTS[1]], 30))
    before, attention, mlp, after = (acts[HookPoint(1, site)] for site in sites)
    torch.testing.assert_close(before + attention + mlp, after)


def test_gemma_3_with_a_vision_tower_is_its_language_model(folders):
    folder = folders("gemma3", multimodal=True)
    by_path = HookPoint(2, "custom", "model.language_model.layers.2.output")
    model = load_language_model(folder, [HookPoint(2, "res"), by_path])
    ids = model.tokenize([tiny.TEXTS[0], "short"], 30)
    acts = model.activations(ids)
    assert torch.equal(acts[HookPoint(2, "res")], acts[by_path])
    from transformers import AutoModelForImageTextToText

    with tiny.quiet_transformers(), torch.no_grad():
        whole = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        hidden = whole(input_ids=torch.tensor(ids[:1]), output_hidden_states=True).hidden_states
    torch.testing.assert_close(acts[by_path][:1, : len(ids[0])], hidden[3], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("path", "site"),
    [
        ("model.layers.1.output", "res"),
        ("layers.1", "res"),
        ("model.layers.1.input", "res_pre"),
        ("model.layers.1.post_feedforward_layernorm.output", "mlp"),
        ("model.layers.1.self_attn.o_proj.input", "att"),
    ],
)
def test_a_module_path_reads_like_the_site_it_spells(folders, path, site):
    points = [HookPoint(1, "custom", path), HookPoint(1, site)]
    model = load_language_model(folders("gemma2"), points)
    acts = model.activations(model.tokenize([tiny.TEXTS[0]], 20))
    assert torch.equal(acts[points[0]], acts[points[1]])


def test_a_module_outside_the_layers_is_reached(folders):
    points = [HookPoint(0, "custom", "model.norm"), HookPoint(3, "res")]
    model = load_language_model(folders("llama"), points)
    acts = model.activations(model.tokenize([tiny.TEXTS[0]], 20))
    assert model.metadata["layers_run"] == 4
    assert not torch.allclose(acts[points[0]], acts[points[1]])


def test_the_first_element_of_a_tuple_is_read(folders):
    point = HookPoint(0, "custom", "layers.0.self_attn")
    same = HookPoint(0, "attn_out")
    model = load_language_model(folders("llama"), [point, same])
    acts = model.activations([[2, 5, 6]])
    assert torch.equal(acts[point], acts[same])


def test_a_module_that_does_not_run_is_named(folders):
    with pytest.raises(InvalidInputError, match=r"the forward pass of .* does not run h"):
        load_language_model(folders("gpt2"), [HookPoint(0, "custom", "h")])


def test_a_module_that_gives_no_activations_is_named(folders):
    with pytest.raises(InvalidInputError, match=r"embed_tokens\.input has no activations"):
        load_language_model(folders("llama"), [HookPoint(0, "custom", "embed_tokens.input")])


def test_nothing_after_the_deepest_point_runs(folders):
    model = load_language_model(folders("gemma2"), [HookPoint(2, "att")])
    ran = []
    layer = model._decoder.layers[2]
    layer.mlp.register_forward_hook(lambda *_: ran.append("mlp"))
    model._decoder.norm.register_forward_hook(lambda *_: ran.append("norm"))
    layer.input_layernorm.register_forward_hook(lambda *_: ran.append("before"))
    model.activations([[2, 5, 6]])
    assert ran == ["before"]


def test_hooks_are_gone_after_a_pass_and_after_a_failed_one(folders):
    model = load_language_model(folders("llama"), RES)

    def hooks():
        return sum(
            len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model._decoder.modules()
        )

    before = hooks()
    model.activations([[2, 5]])
    assert hooks() == before
    broken = model._decoder.layers[0].register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.activations([[2, 5]])
    broken.remove()
    assert hooks() == before


def test_running_out_of_memory_names_the_setting_that_helps(folders):
    model = load_language_model(folders("llama"), RES)

    def full(*_):
        raise torch.OutOfMemoryError

    model._decoder.layers[0].register_forward_pre_hook(full)
    with pytest.raises(MemoryLimitError, match=r"2 documents of 3 tokens.*smaller batch_tokens"):
        model.activations([[2, 5, 6], [2, 5]])


@pytest.mark.parametrize(
    ("asked", "stored", "got"),
    [
        ("auto", "bfloat16", torch.float32),
        ("bfloat16", "float32", torch.bfloat16),
        ("float64", "float32", torch.float64),
    ],
)
def test_dtype_is_the_one_asked_for_and_float32_on_a_cpu(folders, asked, stored, got):
    folder = folders("llama", dtype=stored)
    model = load_language_model(folder, RES, ModelConfig(dtype=asked))
    assert model.activations([[2, 5]])[RES[0]].dtype == got
    assert model.metadata["dtype"] == str(got).removeprefix("torch.")


def test_loading_prints_nothing(folders, capfd):
    load_language_model(folders("gemma2"), RES)
    assert capfd.readouterr() == ("", "")


def test_an_sae_of_another_width_is_refused_by_both_widths(folders):
    point = HookPoint(1, "att")
    model = load_language_model(folders("gemma2"), [point])
    model.check_width(point, 24, "good")
    with pytest.raises(InvalidInputError, match=r"bad takes inputs of width 16.*layer 1 att.*24"):
        model.check_width(point, 16, "bad")


@pytest.mark.parametrize("layer", [4, -1, 99])
def test_a_layer_the_model_lacks_is_refused_with_those_it_has(folders, layer):
    with pytest.raises(UnknownSaeError, match=rf"no layer {layer}.*0 to 3"):
        load_language_model(folders("llama"), [HookPoint(layer, "res")])


def test_a_module_path_to_a_layer_the_model_lacks_is_refused(folders):
    with pytest.raises(UnknownSaeError, match="no layer 7"):
        load_language_model(folders("llama"), [HookPoint(7, "custom", "model.layers.7.output")])


def test_a_module_nobody_knows_is_refused_with_examples(folders):
    with pytest.raises(UnknownSaeError, match=r"layers\.1\.nose.*layers\.0"):
        load_language_model(folders("llama"), [HookPoint(1, "custom", "model.layers.1.nose")])


def test_a_site_nobody_knows_is_refused_with_those_known(folders):
    with pytest.raises(UnknownSaeError, match=r"site 'nose'.*res, res_pre, mlp"):
        load_language_model(folders("llama"), [HookPoint(1, "nose")])


def test_no_point_at_all_is_refused(folders):
    with pytest.raises(InvalidInputError, match="no place"):
        load_language_model(folders("llama"), [])


def test_an_unknown_dtype_is_refused(folders):
    with pytest.raises(InvalidInputError, match="int8"):
        ModelConfig(dtype="int8")


def test_an_id_outside_the_vocabulary_is_refused(folders):
    model = load_language_model(folders("llama"), RES)
    with pytest.raises(InvalidInputError, match=r"400.*384 ids"):
        model.activations([[2, 400]])


def test_a_model_neither_here_nor_in_the_cache_is_a_download_error(tmp_path):
    for name in ("nobody/nothing-at-all", str(tmp_path / "missing")):
        with pytest.raises(DownloadError, match=r"model .*local folder with model"):
            load_language_model(name, RES)
