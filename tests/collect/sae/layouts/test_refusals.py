"""What a library does not write is refused, by the library's own name of it."""

import json

import numpy as np
import pytest

import tiny
import tiny_layouts as made
import tiny_rules as rules
from collect.layout_rules import D_IN, N_FEATURES, assert_fires_by, load
from sfal.errors import ArtifactError, CorruptError, InvalidInputError

REFUSED = [
    ("sparsify", {"activation": "relu"}, "activation is 'relu'"),
    ("sparsify", {"activation": ["topk"]}, "activation is"),
    ("sparsify", {"activation": "groupmax", "signed": True}, "groupmax' with signed"),
    ("sparsify", {"activation": "groupmax", "k": 7}, "not k = 7 groups"),
    ("sparsify", {"k": 0}, "k is '0'"),
    ("sparsify", {"drop": ("k",)}, "k is 'None'"),
    ("sparsify", {"k": True}, "k is 'True'"),
    ("sparsify", {"k": 25}, "top_k 25"),
    ("sparsify", {"transcode": "no"}, "transcode is 'no'"),
    ("sparsify", {"num_latents": 25}, "num_latents is 25"),
    ("open_sae", {"activation": "relu"}, "not the configuration of an SAE"),
    ("open_sae", {"input_normalize_eps": 1e-3}, "input_normalize_eps"),
    ("open_sae", {"activation": "jumprelu", "jumprelu_theta": None}, "jumprelu_theta"),
    ("open_moss", {"sae_type": "crosscoder"}, "sae_type is 'crosscoder'"),
    ("open_moss", {"sae_type": "clt"}, "sae_type is 'clt'"),
    ("open_moss", {"activation": "batchtopk"}, "'batchtopk'"),
    ("open_moss", {"norm_activation": "batch-wise"}, "batch-wise"),
    ("open_moss", {"use_glu_encoder": True}, "use_glu_encoder"),
    ("gemma_scope_2", {"architecture": "relu"}, "architecture is 'relu'"),
]


@pytest.mark.parametrize(("layout", "settings", "named"), REFUSED)
def test_a_setting_that_the_library_does_not_have_is_named(tmp_path, layout, settings, named):
    folder, _ = getattr(made, layout)(tmp_path, D_IN, N_FEATURES, **settings)
    with pytest.raises((ArtifactError, InvalidInputError), match=named):
        load(folder)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"dict_class": "IdentityDict"}, "IdentityDict.*SFAL knows AutoEncoder"),
        ({"dict_class": ["x"]}, "dict_class"),
        ({"activation_dim": 9}, "activation_dim is 9"),
        ({"dict_size": 9}, "dict_size is 9"),
    ],
)
def test_a_trainers_settings_must_fit_its_tensors(tmp_path, settings, named):
    folder, _ = made.dictionary_learning(tmp_path, "AutoEncoderTopK", D_IN, N_FEATURES, **settings)
    with pytest.raises(ArtifactError, match=named):
        load(folder)


@pytest.mark.parametrize(
    ("k", "named"),
    [(5, r"trainer\.k is 5, but ae\.pt has k = 4"), ("4", r"trainer\.k is '4'"), (0, "k is '0'")],
)
def test_a_trainers_k_must_be_that_of_its_tensors(tmp_path, k, named):
    folder, _ = made.dictionary_learning(tmp_path, "AutoEncoderTopK", D_IN, N_FEATURES)
    told = json.loads((folder / "config.json").read_text())
    told["trainer"]["k"] = k
    rules.write_json(folder / "config.json", told)
    with pytest.raises(ArtifactError, match=named):
        load(folder)


def test_sizes_that_sparsify_states_must_be_those_of_its_arrays(tmp_path):
    folder, _ = made.sparsify(tmp_path, D_IN, N_FEATURES)
    told = json.loads((folder / "cfg.json").read_text())
    rules.write_json(folder / "cfg.json", told | {"d_in": 9})
    with pytest.raises(ArtifactError, match="d_in is 9, but the weights have 8"):
        load(folder)


def test_a_class_as_python_prints_it_is_known(tmp_path):
    spelled = "<class 'dictionary_learning.dictionary.AutoEncoder'>"
    folder, rule = made.dictionary_learning(
        tmp_path, "AutoEncoder", D_IN, N_FEATURES, dict_class=spelled
    )
    assert_fires_by(rule, folder)


def test_a_setting_that_nobody_knows_is_noted(tmp_path):
    folder, _ = made.sparsify(tmp_path, D_IN, N_FEATURES, novel=3)
    assert "novel" in str(load(folder).notes[0])


@pytest.mark.parametrize("drop", ["encoder.bias", "b_dec"])
def test_a_missing_array_is_named_as_the_library_names_it(tmp_path, drop):
    folder, _ = made.dictionary_learning(
        tmp_path, "AutoEncoderTopK", D_IN, N_FEATURES, drop=(drop,)
    )
    with pytest.raises(ArtifactError, match=rf"ae\.pt lacks '{drop}'"):
        load(folder)


def test_arrays_that_do_not_fit_each_other_are_named_as_the_library_names_them(tmp_path):
    w = tiny.weights(D_IN, N_FEATURES)
    arrays = {"encoder_linear.weight": w["W_enc"].T, "encoder_linear.bias": w["b_enc"][1:]}
    rules.write_torch(tmp_path / "a.pt", arrays)
    with pytest.raises(ArtifactError, match=r"a\.pt: array 'encoder_linear\.bias' has shape"):
        load(tmp_path / "a.pt")


def test_a_crosscoder_is_named_as_one_in_every_layout(tmp_path):
    weight = np.zeros((2, D_IN, N_FEATURES), np.float32)
    flat = {"b_enc": np.zeros(N_FEATURES, np.float32), "b_dec": np.zeros((2, D_IN), np.float32)}
    rules.write_torch(tmp_path / "cc.pt", {"W_enc": weight, **flat})
    folder, _ = made.dictionary_learning(tmp_path / "a", "AutoEncoder", D_IN, N_FEATURES)
    rules.write_torch(folder / "ae.pt", {"encoder.weight": weight})
    tiny.saelens(tmp_path / "b", "standard", D_IN, N_FEATURES)
    rules.write_safetensors(tmp_path / "b" / "sae_weights.safetensors", {"W_enc": weight, **flat})
    # As crosscoders are published: SAELens' name of the settings, beside a torch file.
    (tmp_path / "d").mkdir()
    rules.write_torch(tmp_path / "d" / "cc_weights.pt", {"W_enc": weight, **flat})
    rules.write_json(tmp_path / "d" / "cfg.json", {"hook_point": "blocks.1.hook_resid_pre"})
    tiny.saelens(tmp_path / "e", "standard", D_IN, N_FEATURES, metadata={"sae_lens_version": "3"})
    rules.write_safetensors(tmp_path / "e" / "sae_weights.safetensors", {"W_enc": weight, **flat})
    np.savez(tmp_path / "f.npz", W_enc=weight, threshold=flat["b_enc"], **flat)
    open_sae, _ = made.open_sae(tmp_path / "c", D_IN, N_FEATURES)
    rules.write_safetensors(open_sae / "model.safetensors", {"encoder.weight": weight})
    others = [tmp_path / name for name in ("cc.pt", "b", "d", "e", "f.npz")]
    for path in (folder, open_sae, *others):
        with pytest.raises(ArtifactError, match="is a crosscoder"):
            load(path)


def test_an_index_cannot_name_files_elsewhere(tmp_path):
    folder, _ = made.open_sae(tmp_path / "sae", D_IN, N_FEATURES, shards=2)
    rules.write_json(
        folder / "model.safetensors.index.json", {"weight_map": {"a": "../secret.safetensors"}}
    )
    with pytest.raises(CorruptError, match="is not a file beside it"):
        load(folder)


def test_a_layer_of_gemma_scope_2s_crosscoders_is_refused(tmp_path):
    folder, _ = made.gemma_scope_2(tmp_path / "crosscoder" / "layers_7_13", D_IN, N_FEATURES)
    path = (folder / "params.safetensors").rename(folder / "params_layer_0.safetensors")
    with pytest.raises(ArtifactError, match="is a layer of a crosscoder"):
        load(path)
    folder, rule = made.gemma_scope_2(tmp_path / "clt" / "width_262k", D_IN, N_FEATURES)
    path = (folder / "params.safetensors").rename(folder / "params_layer_0.safetensors")
    assert_fires_by(rule, path)
