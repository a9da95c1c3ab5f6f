"""Tiny models in TransformerLens, converted by its own code."""

import warnings

import torch

import tiny

_GEMMA = {
    "act_fn": "gelu_pytorch_tanh",
    "use_attn_scale": True,
    "window_size": 8,
    "use_local_attn": True,
    "attn_scores_soft_cap": 50.0,
    "output_logits_soft_cap": 30.0,
    "use_normalization_before_and_after": True,
    "rotary_base": 10000.0,
}
_LLAMA = {"act_fn": "silu", "rotary_adjacent_pairs": False, "rotary_base": 10000.0}
_NEOX = {
    "act_fn": "gelu",
    "parallel_attn_mlp": True,
    "positional_embedding_type": "rotary",
    "rotary_adjacent_pairs": False,
    "rotary_base": 10000,
    "rotary_dim": 2,
    "normalization_type": "LN",
}
_GPT2 = {"act_fn": "gelu_new", "normalization_type": "LN"}


def hooked(folder, family, layers, **processing):
    """The same weights in TransformerLens; `processing` as its from_pretrained takes it."""
    with warnings.catch_warnings(), tiny.quiet_transformers():
        warnings.simplefilter("ignore")
        from transformer_lens import HookedTransformer, HookedTransformerConfig
        from transformer_lens.pretrained import weight_conversions as convert
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        facts = _facts(model.config, family, layers)
        if processing.get("fold_ln"):
            facts["normalization_type"] += "Pre"
        config = HookedTransformerConfig(**facts)
        converters = {
            "gemma2": convert.convert_gemma_weights,
            "llama": convert.convert_llama_weights,
            "gpt2": convert.convert_gpt2_weights,
            "gpt_neox": convert.convert_neox_weights,
        }
        found = HookedTransformer(config)
        off = dict.fromkeys(
            ("fold_ln", "center_writing_weights", "center_unembed", "fold_value_biases"), False
        )
        found.load_and_process_state_dict(
            converters[family](model, config), **{**off, **processing}
        )
        found.cfg.use_hook_mlp_in = True
    return found.eval()


def cache(model, document):
    """All activations of one document."""
    with torch.no_grad():
        return model.run_with_cache(torch.tensor([document]), prepend_bos=False)[1]


def _facts(theirs, family, layers):
    common = {
        "d_model": theirs.hidden_size,
        "n_layers": layers,
        "n_ctx": 64,
        "d_vocab": theirs.vocab_size,
        "device": "cpu",
        "n_heads": theirs.num_attention_heads,
    }
    if family == "gpt2":
        return {
            **common,
            **_GPT2,
            "d_head": theirs.hidden_size // theirs.num_attention_heads,
            "d_mlp": 4 * theirs.hidden_size,
            "eps": theirs.layer_norm_epsilon,
        }
    if family == "gpt_neox":
        d_head = theirs.hidden_size // theirs.num_attention_heads
        return {
            **common,
            **_NEOX,
            "rotary_dim": int(theirs.rope_parameters.get("partial_rotary_factor", 0.25) * d_head),
            "d_head": d_head,
            "d_mlp": theirs.intermediate_size,
            "eps": theirs.layer_norm_eps,
        }
    d_head = getattr(theirs, "head_dim", None) or theirs.hidden_size // 4
    extra = {**_GEMMA, "attn_types": ["local", "global"] * (layers // 2)}
    return {
        **common,
        "d_head": d_head,
        "n_key_value_heads": 2,
        "d_mlp": theirs.intermediate_size,
        "eps": theirs.rms_norm_eps,
        "normalization_type": "RMS",
        "positional_embedding_type": "rotary",
        "rotary_dim": d_head,
        "gated_mlp": True,
        "final_rms": True,
        **(extra if family == "gemma2" else _LLAMA),
    }
