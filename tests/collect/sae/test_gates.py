"""Every gate says what SAELens' own encode says."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from collect.sae.architectures import (
    ARCHITECTURES,
    D_IN,
    N_FEATURES,
    assert_same,
    encoded,
    inputs,
    local,
)
from sfal.collect.sae.loaders import from_local
from sfal.collect.sae.sae import load_sae
from sfal.collect.settings import SaeConfig
from sfal.errors import InvalidInputError

NORMALISATIONS = [
    "none",
    "layer_norm",
    "constant_norm_rescale",
    "expected_average_only_in",
    "covariance_whitening",
]


CASES = [
    (architecture, config, with_b_dec)
    for architecture, config in ARCHITECTURES
    for with_b_dec in (True, False)
    if not (with_b_dec and "transcoder" in architecture)  # SAELens refuses those
]


@pytest.mark.parametrize("normalize", NORMALISATIONS)
@pytest.mark.parametrize(("architecture", "config", "with_b_dec"), CASES)
def test_gate_of_a_saelens_folder_equals_encode(
    tmp_path, architecture, config, with_b_dec, normalize
):
    tiny.saelens(
        tmp_path,
        architecture,
        D_IN,
        N_FEATURES,
        normalize_activations=normalize,
        **{"apply_b_dec_to_input": with_b_dec, **config},
    )
    x = inputs()
    sae = load_sae(local(tmp_path))
    assert (sae.d_in, sae.n_features, sae.architecture) == (D_IN, N_FEATURES, architecture)
    assert_same(sae, encoded(tmp_path, x), x)


def test_our_reader_was_used_and_took_only_what_the_gate_needs(tmp_path):
    tiny.saelens(tmp_path, "jumprelu", D_IN, N_FEATURES, apply_b_dec_to_input=False)
    loaded = from_local(local(tmp_path), decoder=False)
    assert loaded.encoder is None
    assert set(loaded.arrays) == {"W_enc", "b_enc", "threshold"}


@pytest.mark.parametrize("architecture", ["jumprelu", "standard", "gated"])
def test_gate_of_a_hook_z_sae_takes_flat_heads(tmp_path, architecture):
    told = {"hook_name": "blocks.1.attn.hook_z"}
    tiny.saelens(
        tmp_path, architecture, D_IN, N_FEATURES, metadata=told, reshape_activations="hook_z"
    )
    x = inputs()
    assert_same(load_sae(local(tmp_path)), encoded(tmp_path, x), x)


@pytest.mark.parametrize(("architecture", "config"), ARCHITECTURES[:6])
def test_gates_in_bfloat16_equal_encode_in_bfloat16(tmp_path, architecture, config):
    tiny.saelens(tmp_path, architecture, D_IN, N_FEATURES, **config)
    x = inputs()
    sae = load_sae(local(tmp_path), SaeConfig(sae_dtype="bfloat16"))
    expected = encoded(tmp_path, x, "bfloat16")
    if architecture == "gated":
        # One product instead of two: bfloat16 rounds them differently near the bound.
        assert (sae.fires(x) != expected).float().mean() < 0.01
    elif "topk" in architecture:
        # bfloat16 makes ties, and topk breaks those of equal rows as it likes.
        assert (sae.fires(x) != expected).float().mean() < 0.01
    else:
        assert_same(sae, expected, x)


def test_an_architecture_without_a_gate_of_ours_goes_through_encode(tmp_path):
    tiny.saelens(
        tmp_path, "matching_pursuit", D_IN, N_FEATURES, max_iterations=6, residual_threshold=0.1
    )
    x = inputs(80)
    sae = load_sae(local(tmp_path))
    assert sae.metadata["gate"] == "encode"
    assert_same(sae, encoded(tmp_path, x), x)
    with pytest.raises(InvalidInputError, match="matching_pursuit"):
        load_sae(local(tmp_path), SaeConfig(top_k=3))


def test_a_folder_of_an_old_saelens_is_read_by_saelens(tmp_path):
    tiny.saelens(tmp_path, "standard", D_IN, N_FEATURES)
    old = {
        "d_in": D_IN,
        "d_sae": N_FEATURES,
        "dtype": "float32",
        "hook_name": "blocks.1.hook_resid_post",
        "activation_fn_str": "topk",
        "activation_fn_kwargs": {"k": 6},
        "apply_b_dec_to_input": True,
    }
    (tmp_path / "cfg.json").write_text(json.dumps(old))
    x = inputs()
    sae = load_sae(local(tmp_path))
    assert (sae.architecture, sae.metadata["top_k"]) == ("topk", 6)
    assert_same(sae, encoded(tmp_path, x), x)


@pytest.mark.parametrize("training", ["batchtopk", "matryoshka_batchtopk"])
def test_training_architectures_are_the_jumprelu_that_saelens_saves(tmp_path, training):
    """BatchTopK and Matryoshka SAEs are turned into JumpReLU for inference."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sae_lens import (
            BatchTopKTrainingSAE,
            BatchTopKTrainingSAEConfig,
            MatryoshkaBatchTopKTrainingSAE,
            MatryoshkaBatchTopKTrainingSAEConfig,
        )

        if training == "batchtopk":
            config = BatchTopKTrainingSAEConfig(d_in=D_IN, d_sae=N_FEATURES, k=6)
            sae = BatchTopKTrainingSAE(config)
        else:
            config = MatryoshkaBatchTopKTrainingSAEConfig(
                d_in=D_IN, d_sae=N_FEATURES, k=6, matryoshka_widths=[40, N_FEATURES]
            )
            sae = MatryoshkaBatchTopKTrainingSAE(config)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            torch.nn.init.normal_(sae.W_enc, std=0.3)
            sae.topk_threshold.fill_(0.11)
        sae.save_inference_model(tmp_path)
    x = inputs()
    ours = load_sae(local(tmp_path))
    assert ours.metadata["gate"] == "jumprelu"
    assert_same(ours, encoded(tmp_path, x), x)


def test_an_sae_that_looks_at_the_tokens_before_is_refused(tmp_path):
    from sae_lens.saes.temporal_sae import TemporalSAE, TemporalSAEConfig

    config = TemporalSAEConfig(
        d_in=8, d_sae=16, n_heads=1, bottleneck_factor=1, sae_diff_type="topk", kval_topk=3
    )
    TemporalSAE(config).save_model(tmp_path)
    with pytest.raises(InvalidInputError, match="temporal"):
        load_sae(local(tmp_path))


def test_gemma_scope_npz_equals_encode_of_the_same_weights(tmp_path):
    path = "layer_0/width_16k/average_l0_105"
    file = tiny.gemma_scope(tmp_path, path, D_IN, N_FEATURES, compressed=True)
    with np.load(file) as arrays:
        state = {key: torch.from_numpy(arrays[key]) for key in arrays}

    def converter(_path, _device, _overrides=None, **_):
        config = {
            "architecture": "jumprelu",
            "d_in": D_IN,
            "d_sae": N_FEATURES,
            "dtype": "float32",
            "device": "cpu",
            "apply_b_dec_to_input": False,
            "hook_name": "blocks.0.hook_resid_post",
        }
        return config, state

    from sae_lens import SAE

    x = inputs()
    theirs = SAE.load_from_disk(tmp_path, converter=converter)
    with torch.no_grad():
        expected = theirs.encode(x) > 0
    for named in (file, file.parent):
        sae = load_sae(local(named))
        assert_same(sae, expected, x)
        assert sae.metadata["gate"] == "jumprelu"
    assert list(sae.fingerprint) == ["params.npz"]


def llama_encode(folder, x, scale, input_scale, dtype=torch.float32):
    """SAELens' loader and fold, on local files."""
    from safetensors.torch import load_file

    state = load_file(Path(folder) / "checkpoints" / "final.safetensors")
    weight = state["encoder.weight"].T.to(dtype) * input_scale
    before = x.to(dtype) @ weight + state["encoder.bias"].to(dtype)
    threshold = torch.ones(weight.shape[1], dtype=dtype) * (0.35 * scale)
    return before, torch.relu(before) * (before > threshold) > 0, state["decoder.weight"]


@pytest.mark.parametrize("weights_dtype", ["float32", "bfloat16"])
def test_llama_scope_scales_its_input_and_its_threshold(tmp_path, weights_dtype):
    folder = tiny.llama_scope(tmp_path, 3, D_IN, N_FEATURES, scale=2.5, dtype=weights_dtype)
    x = inputs() * 0.4
    sae = load_sae(local(folder))
    _, expected, _ = llama_encode(folder, x, 2.5, 2.5)
    assert_same(sae, expected, x)
    assert sae.metadata["input_scale"] == pytest.approx(2.5)
    assert sae.metadata["threshold_max"] == pytest.approx(0.35 * 2.5)


@pytest.mark.parametrize(("asked", "factor"), [("none", 1.0), (3.0, 3.0)])
def test_input_scale_replaces_the_saes_own(tmp_path, asked, factor):
    folder = tiny.llama_scope(tmp_path, 3, D_IN, N_FEATURES, scale=2.5)
    x = inputs() * 0.4
    sae = load_sae(local(folder), SaeConfig(input_scale=asked))
    _, expected, _ = llama_encode(folder, x, factor, factor)
    assert_same(sae, expected, x)


@pytest.mark.parametrize(("asked", "factor"), [("auto", 2.5), ("none", 1.0)])
def test_top_k_takes_the_largest_of_the_scaled_input(tmp_path, asked, factor):
    folder = tiny.llama_scope(tmp_path, 3, D_IN, N_FEATURES, scale=2.5)
    x = inputs() * 0.4
    before, _, _ = llama_encode(folder, x, factor, factor)
    order = np.argsort(-before.numpy(), axis=1)[:, :12]
    expected = torch.zeros_like(before, dtype=torch.bool)
    for token, chosen in enumerate(order):
        for feature in chosen:
            expected[token, feature] = bool(before[token, feature] > 0)
    sae = load_sae(local(folder), SaeConfig(top_k=12, input_scale=asked))
    assert_same(sae, expected, x)
    assert (sae.metadata["gate"], sae.metadata["top_k"]) == ("topk", 12)


def test_decoder_norms_go_before_the_threshold_when_asked(tmp_path):
    folder = tiny.llama_scope(tmp_path, 3, D_IN, N_FEATURES, scale=2.5)
    x = inputs() * 0.4
    before, plain, decoder = llama_encode(folder, x, 2.5, 2.5)
    expected = before * decoder.norm(dim=0) > 0.35 * 2.5
    assert not torch.equal(plain, expected)
    assert_same(load_sae(local(folder), SaeConfig(decoder_norm_gate=True)), expected, x)


def test_a_threshold_below_zero_lets_nothing_negative_fire():
    from sfal.collect.sae.gates import ThresholdGate

    gate = ThresholdGate(torch.eye(2), torch.zeros(2), torch.tensor([-1.0, 0.5]))
    x = torch.tensor([[-0.5, 0.5], [0.5, 0.6]])
    assert gate.fires(x).tolist() == [[False, False], [True, True]]


def test_top_k_beyond_the_features_is_refused(tmp_path):
    folder = tiny.llama_scope(tmp_path, 3, D_IN, N_FEATURES)
    with pytest.raises(InvalidInputError, match=r"161.*160 features"):
        load_sae(local(folder), SaeConfig(top_k=161))


@pytest.mark.parametrize(
    "options",
    [
        {"sae_dtype": "int8"},
        {"top_k": 0},
        {"input_scale": -1.0},
        {"input_scale": float("nan")},
        {"input_scale": "half"},
    ],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(InvalidInputError):
        SaeConfig(**options)
