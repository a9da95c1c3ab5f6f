"""SAE files are read as they are, or refused by file and key."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from sfal.collect.sae.files import read_npz
from sfal.collect.sae.sae import load_sae
from sfal.collect.settings import SaeConfig
from sfal.errors import ArtifactError, DownloadError, MemoryLimitError, UnknownSaeError
from sfal.io import fingerprints
from sfal.sources.source import SaeRef

D_IN, N_FEATURES = 8, 20


def local(path):
    return SaeRef("local", path=str(path))


def good_arrays():
    return {**tiny.weights(D_IN, N_FEATURES), "threshold": tiny.thresholds(N_FEATURES)}


def npz(folder, arrays):
    np.savez(folder / "params.npz", **arrays)
    return local(folder)


def test_shapes_come_from_the_arrays_not_from_the_names(tmp_path):
    file = tiny.gemma_scope(tmp_path, "layer_0/width_16k/average_l0_105", D_IN, N_FEATURES)
    sae = load_sae(local(file))
    assert (sae.d_in, sae.n_features) == (D_IN, N_FEATURES)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_of_any_float_and_order_are_read(tmp_path, save, dtype, order):
    array = np.asarray(np.arange(12).reshape(3, 4), dtype, order=order)
    save(tmp_path / "a.npz", a=array)
    assert read_npz(tmp_path / "a.npz", ["a"])["a"].tolist() == array.tolist()


@pytest.mark.parametrize("key", ["W_enc", "b_enc", "threshold"])
def test_a_missing_array_is_named_with_its_file(tmp_path, key):
    arrays = good_arrays()
    del arrays[key]
    with pytest.raises(ArtifactError, match=rf"params\.npz lacks '{key}'; it holds"):
        load_sae(npz(tmp_path, arrays))


def test_the_decoder_need_not_be_there_unless_its_norms_are_asked_for(tmp_path):
    arrays = good_arrays()
    del arrays["W_dec"], arrays["b_dec"]
    load_sae(npz(tmp_path, arrays))
    with pytest.raises(ArtifactError, match="lacks 'W_dec'"):
        load_sae(npz(tmp_path, arrays), SaeConfig(decoder_norm_gate=True))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("W_enc", np.zeros(D_IN, np.float32)),
        ("W_enc", np.zeros((D_IN, 0), np.float32)),
        ("W_enc", np.zeros((D_IN, N_FEATURES + 1), np.float32)),
        ("b_enc", np.zeros(N_FEATURES + 1, np.float32)),
        ("threshold", np.zeros((1, N_FEATURES), np.float32)),
        ("threshold", np.float32(1)),
        ("b_enc", np.zeros(N_FEATURES, np.int64)),
        ("b_enc", np.array(["a"] * N_FEATURES)),
        ("b_enc", np.full(N_FEATURES, np.nan, np.float32)),
        ("b_enc", np.full(N_FEATURES, np.inf, np.float32)),
        ("threshold", np.full(N_FEATURES, np.nan, np.float32)),
    ],
)
def test_an_array_of_wrong_shape_or_type_is_named(tmp_path, key, value):
    named = "b_enc" if value.shape == (D_IN, N_FEATURES + 1) else key
    with pytest.raises(ArtifactError, match=rf"params\.npz: array '{named}'"):
        load_sae(npz(tmp_path, good_arrays() | {key: value}))


def test_an_infinite_threshold_shuts_a_feature_off(tmp_path):
    arrays = good_arrays()
    arrays["b_enc"][:] = 5
    arrays["threshold"][3] = np.inf
    sae = load_sae(npz(tmp_path, arrays))
    assert sae.fires(torch.zeros(1, D_IN))[0].logical_not().nonzero().tolist() == [[3]]
    assert np.isfinite(sae.metadata["threshold_max"])


def test_an_array_of_objects_is_never_unpickled(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.write_text, (tmp_path / "ran", "")

    np.savez(tmp_path / "params.npz", **good_arrays() | {"b_enc": np.array([Evil()], object)})
    with pytest.raises(ArtifactError, match="b_enc"):
        load_sae(local(tmp_path))
    assert not (tmp_path / "ran").exists()


def with_member(folder, data):
    """A good npz with other bytes as its ``b_enc.npy``."""
    arrays = good_arrays()
    del arrays["b_enc"]
    np.savez(folder / "params.npz", **arrays)
    with zipfile.ZipFile(folder / "params.npz", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b_enc.npy", data)
    return local(folder)


def header(shape):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no npy at all",
        header((N_FEATURES,)),
        header((N_FEATURES,)) + b"\0" * (4 * N_FEATURES - 1),
        header((N_FEATURES,)) + b"\0" * (4 * N_FEATURES + 1),
        header((10**15,)) + b"\0" * 80,
        header((10**12, 10**12)) + b"\0" * 80,
        header((-1,)) + b"\0" * 80,
    ],
    ids=["empty", "foreign", "no data", "short", "long", "huge", "overflow", "negative"],
)
def test_an_array_that_lies_about_its_length_is_refused_before_it_is_allocated(tmp_path, data):
    with pytest.raises(ArtifactError, match="b_enc"):
        load_sae(with_member(tmp_path, data))


def test_an_array_beyond_the_memory_there_is_is_refused_before_it_is_inflated(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("sfal.collect.sae.files.available_memory", lambda: 1 << 20)
    arrays = good_arrays() | {"W_enc": np.zeros((D_IN, 1 << 16), np.float32)}
    np.savez_compressed(tmp_path / "params.npz", **arrays)
    with pytest.raises(MemoryLimitError, match=r"params\.npz: array 'W_enc' needs 2,097,152 bytes"):
        load_sae(local(tmp_path))


def test_a_flipped_byte_is_noticed(tmp_path):
    file = tiny.gemma_scope(tmp_path, "l", D_IN, N_FEATURES)
    data = bytearray(file.read_bytes())
    at = data.find(good_arrays()["b_enc"].tobytes()[:16])
    data[at + 5] ^= 64
    file.write_bytes(data)
    with pytest.raises(ArtifactError, match=r"params\.npz: array 'b_enc' is damaged"):
        load_sae(local(file))


@pytest.mark.parametrize("keep", [0, 10, 300])
def test_a_file_cut_short_is_named(tmp_path, keep):
    file = tiny.gemma_scope(tmp_path, "l", D_IN, N_FEATURES)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ArtifactError, match=r"params\.npz is not a readable"):
        load_sae(local(file))


def test_what_is_no_sae_is_refused_with_the_layouts_known(tmp_path):
    with pytest.raises(ArtifactError, match="there is no such file"):
        load_sae(local(tmp_path / "nothing"))
    with pytest.raises(ArtifactError, match=r"cfg\.json.*params\.npz.*hyperparams\.json"):
        load_sae(local(tmp_path))
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(ArtifactError, match="is not an SAE"):
        load_sae(local(tmp_path / "x.txt"))


def llama(folder, **changes):
    made = tiny.llama_scope(folder, 0, D_IN, N_FEATURES)
    path = made / "hyperparams.json"
    told = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in told.items() if value is not None}))
    return local(made)


@pytest.mark.parametrize(
    "changes",
    [
        {"d_model": 9},
        {"d_model": "8"},
        {"jump_relu_threshold": None},
        {"jump_relu_threshold": True},
        {"jump_relu_threshold": float("nan")},
        {"dataset_average_activation_norm": 3},
        {"dataset_average_activation_norm": {"in": 0}},
        {"dataset_average_activation_norm": {"in": -1}},
        {"act_fn": "relu"},
        {"norm_activation": "token-wise"},
        {"use_glu_encoder": True},
        {"apply_decoder_bias_to_pre_encoder": True},
    ],
    ids=str,
)
def test_settings_that_do_not_fit_are_named_with_their_file(tmp_path, changes):
    with pytest.raises(ArtifactError, match=rf"hyperparams\.json.*{next(iter(changes))[:7]}"):
        load_sae(llama(tmp_path, **changes))


@pytest.mark.parametrize("text", ["", "[1]", "{", "\x00"])
def test_settings_that_are_no_json_object_are_named(tmp_path, text):
    ref = llama(tmp_path)
    (Path(ref.path) / "hyperparams.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"hyperparams\.json"):
        load_sae(ref)


@pytest.mark.parametrize("data", [b"", b"\xff" * 40, None])
def test_safetensors_that_are_damaged_or_gone_are_named(tmp_path, data):
    ref = llama(tmp_path)
    file = Path(ref.path) / "checkpoints" / "final.safetensors"
    file.write_bytes(data) if data is not None else file.unlink()
    with pytest.raises(ArtifactError, match=r"final\.safetensors"):
        load_sae(ref)


def test_safetensors_without_an_array_are_named(tmp_path):
    from safetensors.torch import save_file

    ref = llama(tmp_path)
    file = Path(ref.path) / "checkpoints" / "final.safetensors"
    save_file({"encoder.weight": torch.zeros(N_FEATURES, D_IN)}, file)
    with pytest.raises(ArtifactError, match=r"final\.safetensors lacks 'encoder\.bias'"):
        load_sae(ref)


def test_saelens_weights_that_lack_an_array_are_named(tmp_path):
    from safetensors.torch import save_file

    tiny.saelens(tmp_path, "gated", D_IN, N_FEATURES)
    save_file({"W_enc": torch.zeros(D_IN, N_FEATURES)}, tmp_path / "sae_weights.safetensors")
    with pytest.raises(ArtifactError, match=r"sae_weights\.safetensors lacks 'b_gate'"):
        load_sae(local(tmp_path))


def test_an_architecture_nobody_knows_is_named(tmp_path):
    tiny.saelens(tmp_path, "standard", D_IN, N_FEATURES)
    told = json.loads((tmp_path / "cfg.json").read_text()) | {"architecture": "unheard-of"}
    (tmp_path / "cfg.json").write_text(json.dumps(told))
    with pytest.raises(ArtifactError, match="unheard-of"):
        load_sae(local(tmp_path))


def test_a_topk_without_its_k_is_refused(tmp_path):
    tiny.saelens(tmp_path, "topk", D_IN, N_FEATURES)
    with pytest.raises(ArtifactError, match="k"):
        load_sae(local(tmp_path))


@pytest.mark.parametrize(
    "ref",
    [
        SaeRef("gemma_scope", "google/gemma-scope-2b-pt-res", "layer_0/width_16k/average_l0_105"),
        SaeRef("llama_scope", "fnlp/Llama3_1-8B-Base-LXR-8x", "Llama3_1-8B-Base-L0R-8x"),
        SaeRef("saelens", "jbloom/GPT2-Small-SAEs-Reformatted", "blocks.0.hook_resid_pre",
               "gpt2-small-res-jb", "blocks.0.hook_resid_pre"),
    ],
    ids=lambda ref: ref.kind,
)  # fmt: skip
def test_an_sae_out_of_reach_is_a_download_error_that_names_it(ref, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE"):
        load_sae(ref)


@pytest.mark.parametrize(
    ("release", "sae_id"), [("no-such-release", "x"), ("gpt2-small-res-jb", "no-such-id")]
)
def test_a_release_or_id_nobody_knows_is_refused(release, sae_id):
    with pytest.raises(UnknownSaeError, match=f"{release} {sae_id}"):
        load_sae(SaeRef("saelens", release=release, sae_id=sae_id))


def test_local_files_are_known_by_their_hashes(tmp_path):
    folder = tiny.saelens(tmp_path, "standard", D_IN, N_FEATURES)
    first = load_sae(local(folder)).fingerprint
    assert set(first) == {"cfg.json", "sae_weights.safetensors"}
    tiny.saelens(tmp_path, "standard", D_IN, N_FEATURES, seed=1)
    changed = load_sae(local(folder)).fingerprint
    assert changed["cfg.json"] == first["cfg.json"]
    assert changed["sae_weights.safetensors"] != first["sae_weights.safetensors"]


def test_a_hub_file_is_known_by_the_commit_of_its_snapshot(tmp_path):
    file = tmp_path / "models--a--b" / "snapshots" / "c0ffee" / "x" / "params.npz"
    found = fingerprints.of_hub_file("a/b", "x/params.npz", file)
    assert found == {"repo": "a/b", "path": "x/params.npz", "revision": "c0ffee"}
