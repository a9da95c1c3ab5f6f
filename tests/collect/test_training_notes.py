"""How a run repeats an SAE's training, and what it says where it does not."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import tiny
from collect import oracle
from sfal.collect.driver import collect
from sfal.collect.settings import CollectSettings
from sfal.errors import SettingsMismatchError, UnknownSaeError
from sfal.sources import resolve_local
from sfal.store.manifest import Manifest
from sfal.store.parts import iterate_parts

F = 24


@pytest.fixture
def corpus(tmp_path):
    oracle.write_jsonl(tmp_path / "c.jsonl", oracle.texts(40, longest=120))
    return str(tmp_path / "c.jsonl")


def sae(folder, **metadata):
    return tiny.saelens(folder, "standard", 16, F, metadata=metadata)


def run(path, model, corpus, data, **settings):
    source = resolve_local(path, str(model))
    facts = {"n_docs": 40, "window_size": 8, "device": "cpu", **settings}
    (result,) = collect([source], CollectSettings(corpus, **facts), data)
    if result.error is not None:
        raise result.error
    return result


def notes(result):
    """What was said; the manifest on disk must say the same."""
    assert Manifest.load(result.folder).notes == tuple(map(str, result.notes))
    return [note.message for note in result.notes]


def firing_rates(result):
    windows = list(iterate_parts(result.folder))
    return np.bincount(np.concatenate([w.indices for w in windows]), minlength=F)


def test_a_plain_sae_gives_no_note_and_nothing_new_in_the_manifest(tmp_path, corpus):
    result = run(sae(tmp_path / "sae"), tiny.llama(tmp_path / "lm"), corpus, tmp_path / "data")
    assert notes(result) == []
    manifest = json.loads((result.folder / "manifest.json").read_text())
    assert sorted(manifest["fingerprints"]) == ["corpus", "model", "sae"]
    assert "notes" not in manifest["volatile"]


def test_centred_weights_are_honoured_as_if_the_encoder_were_centred(tmp_path, corpus):
    """x - mean(x) through W is x through W without its columns' means."""
    model = tiny.gpt2(tmp_path / "lm")
    asked = {"model_from_pretrained_kwargs": {"center_writing_weights": True}}
    centred = sae(tmp_path / "centred", **asked)
    plain = sae(tmp_path / "plain")
    for path in (centred, plain):
        weights = load_file(path / "sae_weights.safetensors")
        weights["b_dec"][:] = 0
        if path == plain:
            weights["W_enc"] -= weights["W_enc"].mean(axis=0)
        save_file(weights, path / "sae_weights.safetensors")
    first = run(centred, model, corpus, tmp_path / "data")
    second = run(plain, model, corpus, tmp_path / "data")
    assert notes(first) == []
    assert np.abs(firing_rates(first) - firing_rates(second)).max() <= 1
    assert first.manifest.fingerprints["prepared"] == {"centred": True}


def test_a_run_does_not_go_on_with_other_inputs_than_it_began_with(tmp_path, corpus):
    model, path = tiny.gpt2(tmp_path / "lm"), sae(tmp_path / "sae")
    source = resolve_local(path, str(model))
    settings = CollectSettings(corpus, n_docs=20, window_size=8, device="cpu")
    collect([source], settings, tmp_path / "data")
    centred = replace(source, training=replace(source.training, centred=True))
    (result,) = collect([centred], replace(settings, n_docs=40), tmp_path / "data")
    assert isinstance(result.error, SettingsMismatchError)
    assert "prepared" in str(result.error)


def test_eos_stands_for_a_missing_bos_and_is_in_no_window(tmp_path, corpus):
    model = tiny.qwen3(tmp_path / "lm")
    result = run(sae(tmp_path / "sae"), model, corpus, tmp_path / "data")
    without = run(sae(tmp_path / "without", prepend_bos=False), model, corpus, tmp_path / "data")
    assert result.manifest.fingerprints["prepared"] == {"first_token": "eos"}
    assert "prepared" not in without.manifest.fingerprints
    assert result.manifest.counts.windows == without.manifest.counts.windows
    assert (firing_rates(result) != firing_rates(without)).any()


def test_another_model_than_the_saes_is_counted_and_both_are_named(tmp_path, corpus):
    path = sae(tmp_path / "sae", model_name="google/gemma-2-2b")
    result = run(path, tiny.llama(tmp_path / "gemma-2-2b-it"), corpus, tmp_path / "data")
    (note,) = notes(result)
    assert "google/gemma-2-2b" in note
    assert str(tmp_path / "gemma-2-2b-it") in note
    assert result.manifest.sae["model_name"] == "google/gemma-2-2b"
    assert result.manifest.source.model == "gemma-2-2b-it"
    result = run(path, tiny.llama(tmp_path / "gemma-2-2b"), corpus, tmp_path / "other")
    assert notes(result) == []


def test_windows_beyond_the_training_contexts_are_counted_and_their_share_is_said(tmp_path, corpus):
    path, model = sae(tmp_path / "sae", context_size=33), tiny.llama(tmp_path / "lm")
    result = run(path, model, corpus, tmp_path / "data")
    (note,) = notes(result)
    ordinals = np.concatenate([w.ordinals for w in iterate_parts(result.folder)])
    assert f"{(ordinals >= 4).mean():.1%} of the windows reach beyond the 33 tokens" in note
    within = run(path, model, corpus, tmp_path / "within", max_length=33)
    assert notes(within) == []


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"seqpos_slice": [5, None]}, "on the positions 5: of its contexts only"),
        ({"exclude_special_tokens": [0, 1, 2, 17]}, "without 1 tokens that are counted here"),
        ({"new_kind_of_gate": 1}, "fields that SFAL does not know: new_kind_of_gate"),
        ({"model_from_pretrained_kwargs": {"dtype": "bfloat16"}}, "on activations in bfloat16"),
        ({"model_from_pretrained_kwargs": {"revision": "step9"}}, "on revision step9"),
    ],
)
def test_what_is_not_repeated_is_said(tmp_path, corpus, metadata, said):
    result = run(
        sae(tmp_path / "sae", **metadata), tiny.llama(tmp_path / "lm"), corpus, tmp_path / "data"
    )
    (note,) = notes(result)
    assert said in note


@pytest.mark.parametrize(
    "metadata",
    [
        {"seqpos_slice": [None]},
        {"exclude_special_tokens": True},
        {"exclude_special_tokens": [0, 1, 2]},
        {"model_from_pretrained_kwargs": {"dtype": "float32", "center_unembed": True}},
        {"context_size": 4096},
    ],
)
def test_what_changes_nothing_is_not_said(tmp_path, corpus, metadata):
    result = run(
        sae(tmp_path / "sae", **metadata), tiny.llama(tmp_path / "lm"), corpus, tmp_path / "data"
    )
    assert notes(result) == []


def test_a_note_is_repeated_to_the_user_but_kept_once(tmp_path, corpus):
    path, model = sae(tmp_path / "sae", seqpos_slice=[5, None]), tiny.llama(tmp_path / "lm")
    run(path, model, corpus, tmp_path / "data", n_docs=20)
    result = run(path, model, corpus, tmp_path / "data", n_docs=40)
    assert len(notes(result)) == 1


def test_a_layer_that_contradicts_the_hook_is_noted(tmp_path, corpus):
    path = sae(tmp_path / "sae", hook_layer=3)
    (note,) = notes(run(path, tiny.llama(tmp_path / "lm"), corpus, tmp_path / "data"))
    assert "names layer 3 (hook_layer) beside the hook blocks.1.hook_resid_post" in note
    assert "layer 1 is read" in note
    source = resolve_local(path, str(tmp_path / "lm"), layer=3)
    settings = CollectSettings(corpus, n_docs=40, window_size=8, device="cpu")
    (result,) = collect([source], settings, tmp_path / "data")
    assert [note for note in result.notes if "hook_layer" in str(note)] == []


@pytest.mark.parametrize("hook", ["transformer.h.1", "gpt_neox.layers.1"])
def test_a_layer_as_another_kind_of_model_spells_it_is_noted(tmp_path, corpus, hook):
    path = sae(tmp_path / "sae", hook_name=hook)
    (note,) = notes(run(path, tiny.llama(tmp_path / "lm"), corpus, tmp_path / "data"))
    assert f"names {hook}, as models of another kind call it; layer 1 of" in note


@pytest.mark.parametrize(
    "hook", ["model.layers.1", "layers.1.output", "model.language_model.layers.1"]
)
def test_a_layer_as_its_own_model_spells_it_is_not_noted(tmp_path, corpus, hook):
    path = sae(tmp_path / "sae", hook_name=hook)
    assert notes(run(path, tiny.llama(tmp_path / "lm"), corpus, tmp_path / "data")) == []


def test_a_module_of_another_kind_of_model_is_refused_with_both_ways_out(tmp_path, corpus):
    path = sae(tmp_path / "sae", hook_name="transformer.h.1.mlp")
    with pytest.raises(UnknownSaeError, match=r"has no module 'transformer\.h\.1\.mlp'") as caught:
        run(path, tiny.llama(tmp_path / "lm"), corpus, tmp_path / "data")
    assert "hook_module" in str(caught.value)
    assert "model" in (caught.value.hint or "")
