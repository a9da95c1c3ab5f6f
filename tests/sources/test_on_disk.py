"""Files of SAEs on the disk say which model and place they were trained on."""

import json
import re

import pytest

import tiny
import tiny_layouts as made
import tiny_rules as rules
from sfal.errors import ArtifactError, InvalidInputError, MissingError
from sfal.sources.configuration.layouts import Layout, layout_of
from sfal.sources.configuration.on_disk import describe as describe_layout
from sfal.sources.entry_places import place_of_entry
from sfal.sources.hooks import place_of_hook
from sfal.sources.local import resolve_local
from sfal.sources.models import hub_model
from sfal.sources.registry import registry

D_IN, N_FEATURES = 8, 24


def describe(path):
    return describe_layout(layout_of(path))


RUN = {"model": "meta-llama/Meta-Llama-3-8B", "sae": {}}


@pytest.mark.parametrize(
    ("folder", "settings", "site", "layer", "module"),
    [
        ("layers.3", {}, "res", 3, None),
        ("layers.3", {"transcode": True}, "res_pre", 3, None),
        ("transformer.h.5", {}, "res", 5, None),
        ("layers.3.mlp", {}, "custom", 3, "layers.3.mlp.output"),
        ("layers.3.mlp", {"transcode": True}, "custom", 3, "layers.3.mlp.input"),
        ("layers.3.mlp/seed1", {}, "custom", 3, "layers.3.mlp.output"),
        ("embed_tokens", {}, "custom", 0, "embed_tokens.output"),
    ],
)
def test_sparsify_says_its_place_in_the_folders_name(
    tmp_path, folder, settings, site, layer, module
):
    path, _ = made.sparsify(tmp_path / folder, D_IN, N_FEATURES, **settings)
    rules.write_json(tmp_path / "config.json", RUN)
    source = resolve_local(path, model="m" if "seed" in folder else None)
    assert (source.site, source.layer, source.hook_module) == (site, layer, module)
    if "seed" not in folder:
        assert source.model == RUN["model"]


def test_a_folder_of_another_name_says_no_place(tmp_path):
    path, _ = made.sparsify(tmp_path / "mine", D_IN, N_FEATURES, parent=RUN)
    assert describe(path) == {"model_name": RUN["model"]}
    with pytest.raises(InvalidInputError, match="does not say where in the model it reads"):
        resolve_local(path)
    assert resolve_local(path, site="res", layer=2).layer == 2


@pytest.mark.parametrize(
    ("submodule", "hook"),
    [
        ("resid_post_layer_1", "blocks.1.hook_resid_post"),
        ("resid_out_layer1", "blocks.1.hook_resid_post"),
        ("resid_pre_layer_1", "blocks.1.hook_resid_pre"),
        ("mlp_out_layer_1", "blocks.1.hook_mlp_out"),
        ("attention_out_layer_1", "blocks.1.hook_attn_out"),
        ("resid_post_layer_2", None),
        ("elsewhere", None),
        (None, None),
    ],
)
def test_dictionary_learning_says_its_place_in_the_trainers_settings(tmp_path, submodule, hook):
    folder, _ = made.dictionary_learning(
        tmp_path, "AutoEncoder", D_IN, N_FEATURES, submodule_name=submodule
    )
    found = {"model_name": "owner/model"} | ({"hook_name": hook} if hook else {})
    assert describe(folder) == found
    assert describe(folder / "ae.pt") == found


def test_gemma_scope_2_says_its_place_in_its_settings_or_in_its_folders(tmp_path):
    folder = tmp_path / "gemma-scope-2-270m-pt" / "attn_out" / "layer_5_width_16k_l0_small"
    made.gemma_scope_2(folder, D_IN, N_FEATURES)
    source = resolve_local(folder)
    assert (source.model, source.site, source.layer) == ("google/gemma-3-1b-pt", "res", 1)
    (folder / "config.json").unlink()
    told = {"model_name": "google/gemma-3-270m", "hook_name": "blocks.5.attn.hook_z"}
    assert describe(folder) == told
    assert describe(folder / "params.safetensors") == told


def test_gemma_scope_2s_transcoders_read_behind_the_norm(tmp_path):
    place = "model.layers.1.pre_feedforward_layernorm.output"
    made.gemma_scope_2(tmp_path, D_IN, N_FEATURES, place=place)
    source = resolve_local(tmp_path)
    assert (source.site, source.layer, source.hook_module) == ("custom", 1, place)


def test_llama_scope_says_its_place_and_its_folder_the_model(tmp_path):
    folder = tiny.llama_scope(tmp_path, 1, D_IN, N_FEATURES, site="M")
    source = resolve_local(folder)
    assert (source.model, source.site, source.layer) == ("meta-llama/Llama-3.1-8B", "mlp", 1)


def test_single_files_say_their_place_in_their_names(tmp_path):
    file, _ = made.qwen_scope(tmp_path, 7, D_IN, N_FEATURES)
    hook = {"hook_name": "blocks.7.hook_resid_post"}
    assert describe(file) == {"model_name": "Qwen/Qwen3-1.7B-Base", **hook}
    assert describe(file.rename(tmp_path / file.name)) == hook
    file, _ = made.goodfire(tmp_path / "Llama-3.1-8B-Instruct-SAE-l19.pth", D_IN, N_FEATURES)
    assert describe(file) == {
        "model_name": "meta-llama/Llama-3.1-8B-Instruct",
        "hook_name": "blocks.19.hook_resid_post",
    }
    assert describe(file.rename(tmp_path / "x.pt")) == {}


def test_the_other_layouts_say_their_place_in_their_settings(tmp_path):
    folder, _ = made.open_sae(tmp_path / "a", D_IN, N_FEATURES)
    source = resolve_local(folder)
    assert (source.model, source.site, source.layer) == ("meta-llama/Llama-3.1-8B", "res", 1)
    folder, _ = made.open_moss(tmp_path / "b", D_IN, N_FEATURES)
    assert describe(folder) == {"hook_name": "blocks.1.hook_resid_post"}
    folder, _ = made.batch_topk(tmp_path / "c", "topk", D_IN, N_FEATURES)
    assert describe(folder) == {
        "model_name": "gpt2-small",
        "hook_name": "blocks.8.hook_resid_pre",
    }


def test_settings_beside_a_torch_file_say_its_place(tmp_path):
    file, _ = made.nanda(tmp_path, D_IN, N_FEATURES)
    told = {"model_name": "gpt2-small", "hook_name": "blocks.1.hook_resid_pre"}
    assert describe(file) == describe(tmp_path) == told


def test_a_folder_of_several_saes_lists_them_in_the_order_of_their_layers(tmp_path):
    for layer in (10, 2):
        made.sparsify(tmp_path / f"layers.{layer}", D_IN, N_FEATURES)
    with pytest.raises(ArtifactError, match=r"holds 2 SAEs: layers\.2, layers\.10; name one"):
        layout_of(tmp_path)
    repo = tmp_path / "qwen"
    for layer in (10, 2):
        file, _ = made.qwen_scope(repo, layer, D_IN, N_FEATURES)
    with pytest.raises(ArtifactError, match=r"2 SAEs: layer2\.sae\.pt, layer10\.sae\.pt; name"):
        layout_of(file.parent)


def test_what_is_not_an_sae_is_refused_with_the_layouts_known(tmp_path):
    with pytest.raises(MissingError, match="there is no such file"):
        layout_of(tmp_path / "nothing")
    with pytest.raises(ArtifactError, match=r"is not an SAE.*cfg\.json.*ae\.pt"):
        layout_of(tmp_path)


@pytest.mark.parametrize("value", [3, [], {}, True])
def test_a_name_that_is_not_a_text_is_refused(tmp_path, value):
    folder, _ = made.batch_topk(tmp_path, "topk", D_IN, N_FEATURES, model_name=value)
    with pytest.raises(ArtifactError, match="model_name of an SAE's settings"):
        describe(folder)


@pytest.mark.parametrize("text", ["", "[1]", "{", "\x00", "null"])
@pytest.mark.parametrize("layout", ["open_sae", "open_moss", "gemma_scope_2"])
def test_settings_that_are_not_a_json_object_are_named(tmp_path, layout, text):
    folder, _ = getattr(made, layout)(tmp_path, D_IN, N_FEATURES)
    (folder / "config.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"config\.json"):
        describe(folder)


def test_a_trainer_that_is_not_an_object_says_nothing(tmp_path):
    folder, _ = made.dictionary_learning(tmp_path, "AutoEncoder", D_IN, N_FEATURES)
    (folder / "config.json").write_text(json.dumps({"trainer": [1]}))
    assert describe(folder) == {}


@pytest.mark.parametrize(
    ("folder", "model", "hook"),
    [
        (
            "gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71",
            "google/gemma-2-2b",
            "blocks.20.hook_resid_post",
        ),
        (
            "gemma-scope-9b-it-res/layer_9/width_16k/average_l0_88",
            "google/gemma-2-9b-it",
            "blocks.9.hook_resid_post",
        ),
        (
            "models--google--gemma-scope-9b-pt-att/snapshots/0/layer_3/width_16k/average_l0_8",
            "google/gemma-2-9b",
            "blocks.3.attn.hook_z",
        ),
        (
            "gemma-scope-2b-pt-transcoders/layer_3/width_16k/average_l0_8",
            "google/gemma-2-2b",
            "blocks.3.ln2.hook_normalized",
        ),
        (
            "gemma-scope-2b-pt-res/embedding/width_4k/average_l0_6",
            "google/gemma-2-2b",
            "hook_embed",
        ),
        ("gemma-scope-2b-pt-mlp/other", "google/gemma-2-2b", None),
    ],
)
def test_gemma_scope_says_its_place_where_its_folders_kept_their_names(
    tmp_path, folder, model, hook
):
    path = tiny.gemma_scope(tmp_path, folder, D_IN, N_FEATURES)
    told = {"model_name": model} | ({} if hook is None else {"hook_name": hook})
    assert describe(path) == told
    assert describe(path.parent) == told
    path = tiny.gemma_scope(tmp_path, "mine", D_IN, N_FEATURES)
    assert describe(path) == {}


def test_every_sae_of_two_scopes_reads_on_the_disk_where_the_registry_says(tmp_path):
    """9,328 paths of Gemma Scope 2 and Qwen-Scope, as their repositories spell them."""
    compared = 0
    for entry in registry():
        if entry.layout not in ("gemma_3", "qwen_scope"):
            continue
        path = tmp_path / entry.repo_id.split("/")[1] / entry.path
        kind = "torch" if entry.layout == "qwen_scope" else "gemma_scope_2"
        told = describe_layout(Layout(kind, path))
        place = place_of_hook(told.get("hook_name"), told.get("hf_hook_name"))
        assert place == place_of_entry(entry), entry
        assert told["model_name"] == hub_model(entry.model), entry
        compared += 1
    assert compared > 9000


@pytest.mark.parametrize("name", ["sae_weights.safetensors", "cfg.json"])
def test_a_file_of_a_folder_stands_for_the_folder(tmp_path, name):
    folder = tiny.saelens(tmp_path / "sae", "standard", D_IN, N_FEATURES)
    assert layout_of(folder / name) == layout_of(folder)


def test_another_place_than_the_saes_own_is_noted(tmp_path):
    folder = tiny.saelens(tmp_path / "sae", "standard", D_IN, N_FEATURES)
    assert resolve_local(folder).notes == ()
    assert resolve_local(folder, layer=1, site="res").notes == ()
    assert resolve_local(folder, hook_module="model.layers.1.output").notes == ()
    for place, words in (
        ({"layer": 2}, "site res of layer 2"),
        ({"site": "mlp"}, "site mlp of layer 1"),
        ({"hook_module": "model.layers.1.mlp"}, r"model\.layers\.1\.mlp"),
    ):
        (note,) = resolve_local(folder, **place).notes
        assert re.search(rf"trained at site res of layer 1, but is read at {words}", note.message)


def test_a_module_outside_the_layer_that_is_named_is_refused(tmp_path):
    folder = tiny.saelens(tmp_path / "sae", "standard", D_IN, N_FEATURES)
    with pytest.raises(InvalidInputError, match=r"module model\.layers\.7 is not in layer 3"):
        resolve_local(folder, layer=3, hook_module="model.layers.7")
    assert resolve_local(folder, layer=3, hook_module="model.norm").layer == 3
