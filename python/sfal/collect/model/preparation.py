"""What SAELens' and TransformerLens' settings do to activations before an SAE reads them.

TransformerLens can change a model's weights when it loads them. SFAL leaves the
model as it is and changes what is read, which gives the same numbers.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from sfal.collect.model.hook_points import HookPoint, find_module, layers_of
from sfal.errors import InvalidInputError

Step = Callable[[Tensor], Tensor]
"""From activations of shape (documents, tokens, width) to activations of that form."""


def preparation(point: HookPoint, decoder: nn.Module, config: Any) -> Step:
    """Return what turns the activations of a point's module into the SAE's input.

    Parameters
    ----------
    point : HookPoint
        The place, and how the SAE's training prepared it.
    decoder : nn.Module
        The language model.
    config : transformers configuration
        Its settings.

    Raises
    ------
    InvalidInputError
        If SFAL cannot do it for this type of model.
    """
    steps: list[Step] = []
    if point.norm is not None:
        steps.append(_normalisation(find_module(point, decoder, config)[0]))
    if point.folded_value_biases:
        bias = _value_bias(point, decoder, config)
        if bias is not None:
            steps.append(lambda x: x - bias)
    if point.head is not None:
        steps.append(_head(point, config))
    if point.centred and _has_layer_norm(decoder, config):
        steps.append(lambda x: x - x.mean(dim=-1, keepdim=True))
    return lambda x: reduce(lambda value, step: step(value), steps, x)


def _has_layer_norm(decoder: nn.Module, config: Any) -> bool:
    """Return whether a model's norms take the mean off; TransformerLens centres no other model."""
    return any(
        isinstance(module, nn.LayerNorm) for module in layers_of(decoder, config)[0].modules()
    )


def _normalisation(norm: nn.Module) -> Step:
    """Return what a norm does before its gain and bias: x / rms(x), for LayerNorm centred first."""
    eps = getattr(norm, "variance_epsilon", getattr(norm, "eps", None))
    if not isinstance(eps, float):
        raise InvalidInputError(
            f"SFAL does not know how {type(norm).__name__} normalises",
            hint="name the module to read at with $hook_module",
        )
    centred = isinstance(norm, nn.LayerNorm)

    def normalised(x: Tensor) -> Tensor:
        wide = x if x.dtype == torch.float64 else x.float()
        if centred:
            wide = wide - wide.mean(dim=-1, keepdim=True)
        return (wide * torch.rsqrt(wide.pow(2).mean(dim=-1, keepdim=True) + eps)).to(x.dtype)

    return normalised


def _head(point: HookPoint, config: Any) -> Step:
    """Return what takes one head's part of the concatenated head outputs."""
    n_heads = config.num_attention_heads
    if point.head is None or not point.head < n_heads:
        raise InvalidInputError(f"{point}: the model has heads 0 to {n_heads - 1}")
    head = point.head

    def of_head(x: Tensor) -> Tensor:
        width = x.shape[-1] // n_heads
        return x[..., head * width : (head + 1) * width]

    return of_head


def _value_bias(point: HookPoint, decoder: nn.Module, config: Any) -> Tensor | None:
    """Return what the value biases add to the concatenated head outputs; None if there are none.

    Attention weights add up to 1, so a head's output contains its value bias once.
    """
    layer = layers_of(decoder, config)[point.layer]
    n_heads = config.num_attention_heads
    if config.model_type == "gpt2":
        bias: Tensor = layer.get_submodule("attn.c_attn").bias  # type: ignore[assignment]
        return bias[-(len(bias) // 3) :]
    if config.model_type == "gpt_neox":
        joined = layer.get_submodule("attention.query_key_value").bias
        return None if joined is None else joined.view(n_heads, 3, -1)[:, 2].flatten()  # type: ignore[operator]
    try:
        own: Any = layer.get_submodule("self_attn.v_proj").bias
    except AttributeError as e:
        raise InvalidInputError(
            f"{point} was trained with fold_value_biases, and SFAL does not know where models of "
            f"type {config.model_type} keep these"
        ) from e
    if own is None:
        return None
    n_groups = getattr(config, "num_key_value_heads", n_heads)
    groups = own.view(n_groups, -1)
    found: Tensor = groups.repeat_interleave(n_heads // n_groups, dim=0).flatten()
    return found
