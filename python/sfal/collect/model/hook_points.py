"""Where in a transformer an SAE reads, as a module to hook."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sfal.errors import InvalidInputError, UnknownSaeError
from sfal.sources.source import Source

if TYPE_CHECKING:
    from torch import nn

_LAYER_LISTS = ("layers", "h", "decoder.layers", "blocks")
"""Names under which decoders keep their layers."""

_WRAPPERS = ("model", "language_model", "transformer", "gpt_neox", "base_model", "text_model")
"""Prefixes that checkpoints with a head or a vision tower put before the decoder's names."""

_LLAMA_LIKE = {
    "mlp": "mlp.output",
    "att": "self_attn.o_proj.input",
    "attn_out": "self_attn.o_proj.output",
    "res_mid": "post_attention_layernorm.input",
    "mlp_in": "post_attention_layernorm.input",
    "ln1": "input_layernorm.input",
    "ln2": "post_attention_layernorm.input",
    "mlp_input": "mlp.input",
    "neurons": "mlp.down_proj.input",
    "embed": ".input",
}
_GEMMA_LIKE = {
    **_LLAMA_LIKE,
    "res_mid": "pre_feedforward_layernorm.input",
    "mlp": "post_feedforward_layernorm.output",
    "attn_out": "post_attention_layernorm.output",
    "mlp_in": "pre_feedforward_layernorm.input",
    "ln2": "pre_feedforward_layernorm.input",
}
"""Gemma 2 and 3 normalise the output of MLP and attention before adding it to the stream.

Their layers receive embeddings that are already scaled by the root of d_model.
"""

_SITES: dict[str, dict[str, str]] = {
    "gemma": _LLAMA_LIKE,
    "gemma2": _GEMMA_LIKE,
    "gemma3_text": _GEMMA_LIKE,
    "llama": _LLAMA_LIKE,
    "mistral": _LLAMA_LIKE,
    "qwen2": _LLAMA_LIKE,
    "qwen3": _LLAMA_LIKE,
    "gpt_neox": {
        "mlp": "mlp.output",
        "att": "attention.dense.input",
        "attn_out": "attention.dense.output",
        "mlp_in": "post_attention_layernorm.input",
        "ln1": "input_layernorm.input",
        "ln2": "post_attention_layernorm.input",
        "mlp_input": "mlp.input",
        "neurons": "mlp.dense_4h_to_h.input",
        "embed": ".input",
    },
    "gpt2": {
        "mlp": "mlp.output",
        "att": "attn.c_proj.input",
        "attn_out": "attn.c_proj.output",
        "res_mid": "ln_2.input",
        "mlp_in": "ln_2.input",
        "ln1": "ln_1.input",
        "ln2": "ln_2.input",
        "mlp_input": "mlp.input",
        "neurons": "mlp.c_proj.input",
        "embed": "wte.output",
    },
}
"""The module inside a layer whose input or output is the site, by model type.

``.input`` is the layer's own; ``wte`` is outside the layers, since GPT-2's first layer receives
embeddings to which positions have been added. ``ln1`` and ``ln2`` name the norm, whose input is
normalised as it does it, but without its gain and bias. GPT-NeoX has no ``res_mid`` where
attention and MLP run in parallel, as in Pythia.
"""

_ANY_MODEL = {"res": ".output", "res_pre": ".input"}
"""Sites that are the layer's own output or input, in every decoder."""

_NORM_SITES = ("ln1", "ln2")
_CENTRED_SITES = frozenset({"res", "res_pre", "res_mid", "mlp", "attn_out", "mlp_in", "embed"})
"""Sites at which TransformerLens' ``center_writing_weights`` takes the mean over d_model off."""

CUTTABLE = frozenset(_SITES)
"""Model types whose first layers do not depend on how many follow.

Other models are loaded whole: some (Gemma 3n) count backwards from their last layer.
"""


def is_causal(config: Any) -> bool:
    """Return whether a model is known to attend to no later position."""
    both_ways = getattr(config, "use_bidirectional_attention", None)
    known = config.model_type in _SITES and getattr(config, "is_causal", True)
    return bool(known and not both_ways)


@dataclass(frozen=True)
class HookPoint:
    """A place in the model at which activations are read."""

    layer: int
    """Layer, from 0."""
    site: str
    """One of :data:`sfal.sources.source.SITES`; ``custom`` with a module."""
    module: str | None = None
    """For ``custom``: a module's path, ending in ``.input`` or ``.output`` (default output)."""
    head: int | None = None
    """For ``att``: the one head to read, from 0; None: all of them."""
    centred: bool = False
    """Whether to take off the mean over d_model, in models with LayerNorm."""
    folded_norms: bool = False
    """Whether the norm's gain belongs to the weights after it, so that it is not read."""
    folded_value_biases: bool = False
    """For ``att``: whether the value biases belong to the output bias, so that they are not read."""

    @classmethod
    def of(cls, source: Source) -> "HookPoint":
        """Return the place that a source reads at, as its SAE's training prepared it."""
        training, site = source.training, source.site
        return cls(
            source.layer,
            site,
            source.hook_module,
            head=training.head if site == "att" else None,
            centred=training.centred and site in _CENTRED_SITES,
            folded_norms=training.folded_norms and site == "mlp_input",
            folded_value_biases=training.folded_value_biases and site == "att",
        )

    @property
    def norm(self) -> str | None:
        """``ln1`` or ``ln2`` if a norm's input is read, normalised without gain and bias."""
        if self.site == "mlp_input" and self.folded_norms:
            return "ln2"
        return self.site if self.site in _NORM_SITES else None

    @property
    def prepared(self) -> dict[str, Any]:
        """What is done to the activations, for a manifest; empty if they are read as they are."""
        facts = {
            "head": self.head,
            "centred": self.centred or None,
            "folded_norms": self.folded_norms or None,
            "folded_value_biases": self.folded_value_biases or None,
        }
        return {name: value for name, value in facts.items() if value is not None}

    def __str__(self) -> str:
        if self.module is not None:
            return self.module
        return f"layer {self.layer} {self.site}"


def layers_of(decoder: "nn.Module", config: Any) -> "nn.ModuleList":
    """Return the list of the decoder's layers.

    Raises
    ------
    InvalidInputError
        If the model keeps its layers under none of the known names.
    """
    from torch import nn

    for name in _LAYER_LISTS:
        try:
            found = decoder.get_submodule(name)
        except AttributeError:
            continue
        if isinstance(found, nn.ModuleList):
            return found
    raise InvalidInputError(
        f"SFAL does not know where a {config.model_type} model keeps its layers",
        hint="name the module to read at with $hook_module",
    )


def needed_layers(points: Iterable[HookPoint], n_layers: int, model: str) -> int:
    """Return how many layers, from the first, must run to read at all points.

    Raises
    ------
    UnknownSaeError
        If the model does not have a layer that a point names.
    """
    needed = 1
    for point in points:
        layer: int | None = point.layer
        if point.module is not None:
            # A module outside the layers may run after all of them.
            layer = _layer_in(point.module)
        if layer is not None and not 0 <= layer < n_layers:
            raise UnknownSaeError(
                f"{model} has no layer {layer}; it has layers 0 to {n_layers - 1}"
            )
        needed = max(needed, n_layers if layer is None else layer + 1)
    return needed


def find_module(point: HookPoint, decoder: "nn.Module", config: Any) -> tuple["nn.Module", bool]:
    """Return the module to hook for a point, and whether to read its input (else its output).

    Raises
    ------
    UnknownSaeError
        If the site is not known for this type of model, or no module has that path.
    """
    if point.module is not None:
        path, end = _split_end(point.module)
        return _named_module(path, decoder, point.module), end == "input"
    layer = layers_of(decoder, config)[point.layer]
    if point.site in _ANY_MODEL:
        return layer, _ANY_MODEL[point.site] == ".input"
    known = _SITES.get(config.model_type, {})
    parallel = getattr(config, "use_parallel_residual", True)
    if config.model_type == "gpt_neox" and not parallel:
        known = {**known, "res_mid": known["mlp_in"]}
    if point.site not in known:
        sites = ", ".join([*_ANY_MODEL, *known])
        raise UnknownSaeError(
            f"site {point.site!r} is not known for models of type {config.model_type} "
            f"(known: {sites})",
            hint="name the module to read at with $hook_module",
        )
    path, end = _split_end(known[point.norm or point.site])
    if point.site == "embed":
        return (decoder.get_submodule(path) if path else layer), end == "input"
    return layer.get_submodule(path), end == "input"


def has_module(path: str, decoder: "nn.Module", config: Any) -> bool:
    """Return whether a model has a module of that path, as its own type of model spells it."""
    if path.startswith("gpt_neox.") and config.model_type != "gpt_neox":
        return False
    try:
        _named_module(_split_end(path)[0], decoder, path)
    except UnknownSaeError:
        return False
    return True


def _split_end(path: str) -> tuple[str, str]:
    """Split ``a.b.input`` into ``a.b`` and ``input``; a path without such an end means output."""
    head, _, end = path.rpartition(".")
    return (head, end) if end in ("input", "output") else (path, "output")


def _named_module(path: str, decoder: "nn.Module", spelled: str) -> "nn.Module":
    parts = path.split(".")
    while True:
        try:
            return decoder.get_submodule(".".join(parts))
        except AttributeError as e:
            if len(parts) > 1 and parts[0] in _WRAPPERS:
                del parts[0]
                continue
            raise UnknownSaeError(
                f"the model has no module {spelled!r}; its modules are named like "
                f"{', '.join(_examples(decoder))}",
                hint="name the module with $hook_module(PATH), or, if the SAE is for another "
                "model, that one with $model",
            ) from e


def _layer_in(path: str) -> int | None:
    found = re.search(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)(?:\.|$)", path)
    return int(found[1]) if found else None


def _examples(decoder: "nn.Module") -> list[str]:
    return [name for name, _ in decoder.named_modules() if re.search(r"\.0(\.|$)", name)][:6]
