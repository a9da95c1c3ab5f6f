"""Tiny language models, tokenizers and SAEs in the layout of the real repositories.

Every builder is seeded, writes below a folder and imports what it needs when it
is called. The weights are random: norms and biases too, so that hooks at
neighbouring places never give the same numbers by accident.
"""

import json
from contextlib import contextmanager
from pathlib import Path

import numpy as np

BOS, EOS, PAD = "<bos>", "<eos>", "<pad>"
VOCABULARY = 384
TEXTS = (
    "The river rises in the hills north of the town and flows south to the sea.",
    "In 1924 the company built its first engine; by 1930 it employed 400 people.",
    "def mean(values):\n    return sum(values) / len(values)\n",
    "Ein Fluss, zwei Städte und naïve Ideen – 日本 🙂.",
    "She asked whether the train had left, and nobody answered her.",
)


def tokenizer(folder, *, adds_bos=True, has_bos=True, pad_is_eos=False):
    """Byte-level BPE tokenizer that spells any text; ids 0, 1, 2 are PAD, EOS, BOS."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    specials = [PAD, EOS, BOS] if has_bos else [PAD, EOS]
    inner.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY - 8,
            special_tokens=specials,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if adds_bos and has_bos:
        inner.post_processor = processors.TemplateProcessing(
            single=f"{BOS} $A",
            pair=f"{BOS} $A {BOS} $B",
            special_tokens=[(BOS, inner.token_to_id(BOS))],
        )
    tokens = {"eos_token": EOS, "pad_token": EOS if pad_is_eos else PAD}
    if has_bos:
        tokens["bos_token"] = BOS
    PreTrainedTokenizerFast(tokenizer_object=inner, **tokens).save_pretrained(folder)
    return folder


def gemma2(folder, *, layers=4, d_model=16, seed=0, dtype="float32"):
    """Gemma-2 with alternating sliding and full attention."""
    from transformers import Gemma2Config, Gemma2ForCausalLM

    config = Gemma2Config(
        **_sizes(layers, d_model), **_ids(), head_dim=6, sliding_window=8, query_pre_attn_scalar=6
    )
    return _save(folder, Gemma2ForCausalLM, config, seed, dtype)


def gemma3(folder, *, layers=4, d_model=16, seed=0, multimodal=False):
    """Gemma-3: text only like 270m and 1b, or with a vision tower like 4b."""
    from transformers import (
        Gemma3Config,
        Gemma3ForCausalLM,
        Gemma3ForConditionalGeneration,
        Gemma3TextConfig,
        SiglipVisionConfig,
    )

    text = Gemma3TextConfig(
        **_sizes(layers, d_model), **_ids(), head_dim=6, sliding_window=8, query_pre_attn_scalar=6
    )
    if not multimodal:
        return _save(folder, Gemma3ForCausalLM, text, seed)
    vision = SiglipVisionConfig(
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        image_size=8,
        patch_size=4,
        vision_use_head=False,
    )
    config = Gemma3Config(
        text_config=text,
        vision_config=vision,
        mm_tokens_per_image=4,
        boi_token_index=380,
        eoi_token_index=381,
        image_token_index=382,
    )
    return _save(folder, Gemma3ForConditionalGeneration, config, seed)


def llama(folder, *, layers=4, d_model=16, seed=0, dtype="float32", **tokens):
    """Llama with grouped-query attention. `tokens` goes to :func:`tokenizer`."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(**_sizes(layers, d_model), **_ids(**tokens))
    return _save(folder, LlamaForCausalLM, config, seed, dtype, **tokens)


def qwen3(folder, *, layers=3, d_model=16, seed=0):
    """A generic decoder with ``model.layers``; its tokenizer has no BOS, as Qwen's."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(**_sizes(layers, d_model), **_ids(has_bos=False), head_dim=6)
    return _save(folder, Qwen3ForCausalLM, config, seed, has_bos=False)


def gpt_neox(folder, *, layers=3, d_model=16, seed=0):
    """Pythia's architecture: its MLP and attention run in parallel; it adds no BOS."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    sizes = _sizes(layers, d_model)
    del sizes["num_key_value_heads"]
    config = GPTNeoXConfig(**sizes, **_ids())
    return _save(folder, GPTNeoXForCausalLM, config, seed, adds_bos=False)


def gpt2(folder, *, layers=3, d_model=16, seed=0):
    """GPT-2, whose layers are ``h``."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=d_model,
        n_layer=layers,
        n_head=2,
        n_positions=2048,
        initializer_range=d_model**-0.5,
        **_ids(),
    )
    return _save(folder, GPT2LMHeadModel, config, seed, adds_bos=False)


def opt(folder, *, layers=3, d_model=16, seed=0):
    """OPT: no family that SFAL knows the sites of; its positions count the mask's ones."""
    from transformers import OPTConfig, OPTForCausalLM

    config = OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=d_model,
        word_embed_proj_dim=d_model,
        ffn_dim=2 * d_model,
        num_hidden_layers=layers,
        num_attention_heads=2,
        max_position_embeddings=256,
        init_std=d_model**-0.5,
        **_ids(),
    )
    return _save(folder, OPTForCausalLM, config, seed)


def _sizes(layers, d_model):
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": d_model,
        "intermediate_size": 2 * d_model,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        # Far above the usual 0.02: every module's output is then of the order of 1.
        "initializer_range": d_model**-0.5,
    }


def _ids(has_bos=True, pad_is_eos=False, adds_bos=True):
    del adds_bos
    return {
        "bos_token_id": 2 if has_bos else None,
        "eos_token_id": 1,
        "pad_token_id": 1 if pad_is_eos else 0,
    }


def _save(folder, model_class, config, seed, dtype="float32", **tokens):
    """Build the model with random weights everywhere, and save it with a tokenizer."""
    import torch

    with torch.random.fork_rng(devices=[]), quiet_transformers():
        torch.manual_seed(seed)
        model = model_class(config)
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:  # norms and biases, which start as constants
                centre = 1.0 if "norm" in name and "gemma" not in config.model_type else 0.0
                parameter.data.normal_(centre, 0.3)
        model.to(getattr(torch, dtype)).save_pretrained(folder)
        tokenizer(folder, **tokens)
    return Path(folder)


@contextmanager
def quiet_transformers():
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def weights(d_in, n_features, seed=0, bias=-1.0):
    """Encoder and decoder of a random SAE, float32; about one feature in six fires.

    W_enc [d_in, F] keeps the variance of its input, so `bias` counts in standard
    deviations of inputs whose entries are about 1.
    """
    rng = np.random.default_rng(seed)
    return {
        "W_enc": _normal(rng, (d_in, n_features), d_in**-0.5),
        "b_enc": bias + _normal(rng, (n_features,), 0.3),
        "W_dec": _normal(rng, (n_features, d_in), 1.5 * d_in**-0.5),
        "b_dec": _normal(rng, (d_in,), 0.5),
    }


def thresholds(n_features, seed=0, scale=0.5):
    """JumpReLU thresholds, float32, some of them zero as in untrained features."""
    rng = np.random.default_rng([seed, 1])
    found = np.abs(_normal(rng, (n_features,), scale))
    found[::7] = 0
    return found


def _normal(rng, shape, scale):
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def gemma_scope(repo, path, d_in, n_features, *, seed=0, compressed=False, bias=-1.0):
    """``{path}/params.npz`` of a Gemma Scope repository, such as ``layer_0/width_16k/average_l0_105``."""
    file = Path(repo) / path / "params.npz"
    file.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        **weights(d_in, n_features, seed, bias),
        "threshold": thresholds(n_features, seed),
    }
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file


def llama_scope(
    repo, layer, d_in, n_features, *, site="R", expansion="8x", scale=2.0, seed=0, dtype="float32"
):
    """One SAE of a Llama Scope repository; `scale` is sqrt(d_model) / average norm of the input."""
    import torch
    from safetensors.torch import save_file

    folder = Path(repo) / f"Llama3_1-8B-Base-L{layer}{site}-{expansion}"
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    found = weights(d_in, n_features, seed, bias=-0.2)
    tensors = {
        "encoder.weight": found["W_enc"].T,
        "encoder.bias": found["b_enc"],
        "decoder.weight": found["W_dec"].T,
        "decoder.bias": found["b_dec"],
    }
    save_file(
        {
            name: torch.tensor(np.ascontiguousarray(array)).to(getattr(torch, dtype))
            for name, array in tensors.items()
        },
        folder / "checkpoints" / "final.safetensors",
    )
    point = {"R": "hook_resid_post", "M": "hook_mlp_out", "A": "hook_attn_out"}[site]
    hyperparams = {
        "hook_point_in": f"blocks.{layer}.{point}",
        "hook_point_out": f"blocks.{layer}.{point}",
        "use_decoder_bias": True,
        "use_glu_encoder": False,
        "apply_decoder_bias_to_pre_encoder": False,
        "expansion_factor": n_features // d_in,
        "d_model": d_in,
        "d_sae": n_features,
        "norm_activation": "dataset-wise",
        "dataset_average_activation_norm": {
            "in": d_in**0.5 / scale,
            "out": d_in**0.5 / scale,
        },
        "act_fn": "jumprelu",
        "jump_relu_threshold": 0.35,
        "sparsity_include_decoder_norm": True,
        "top_k": 50,
    }
    (folder / "hyperparams.json").write_text(json.dumps(hyperparams))
    return folder


def saelens(folder, architecture, d_in, n_features, *, seed=0, metadata=None, **config):
    """SAELens' own folder: ``cfg.json`` and ``sae_weights.safetensors``."""
    from safetensors.numpy import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = weights(d_in, n_features, seed)
    rng = np.random.default_rng([seed, 2])
    if "jumprelu" in architecture:
        arrays["threshold"] = thresholds(n_features, seed)
    if architecture == "gated":
        del arrays["b_enc"]
        arrays["b_gate"] = -1 + _normal(rng, (n_features,), 0.3)
        arrays["b_mag"] = -1 + _normal(rng, (n_features,), 0.3)
        arrays["r_mag"] = _normal(rng, (n_features,), 0.3)
    if architecture == "matching_pursuit":
        arrays = {name: arrays[name] for name in ("W_dec", "b_dec")}
    if "transcoder" in architecture:
        config = {"d_out": d_in, "apply_b_dec_to_input": False, **config}
    if "skip" in architecture:
        arrays["W_skip"] = _normal(rng, (d_in, d_in), 0.1)
    save_file(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()},
        folder / "sae_weights.safetensors",
    )
    told = {
        "sae_lens_version": "6.54.12",
        "hook_name": "blocks.1.hook_resid_post",
        "model_name": "tiny",
        "prepend_bos": True,
        **(metadata or {}),
    }
    full = {
        "architecture": architecture,
        "d_in": d_in,
        "d_sae": n_features,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": told,
        **config,
    }
    (folder / "cfg.json").write_text(json.dumps(full))
    return folder
