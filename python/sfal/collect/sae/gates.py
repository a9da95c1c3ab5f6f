"""When a feature fires: one gate per kind of SAE, from inputs to booleans.

A gate holds only the weights that decide this, and so has no decoder. Every gate
equals ``SAE.encode(x) > 0`` of SAELens on the same weights.
"""

from typing import Any, Protocol

import torch
from torch import Tensor

from sfal.errors import InvalidInputError


class Gate(Protocol):
    """The rule by which features fire."""

    n_features: int
    """Number of features."""

    def fires(self, x: Tensor) -> Tensor:
        """Return which features fire on each token.

        Parameters
        ----------
        x : Tensor of shape (tokens, d_in)
            Inputs after scaling, normalisation and bias, in the gate's dtype.

        Returns
        -------
        Tensor of shape (tokens, n_features), bool
        """

    def fires_in(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """Return which features fire on at least one token of each window.

        Parameters
        ----------
        x : Tensor of shape (windows, tokens, d_in)
            As for :meth:`fires`.
        out : Tensor of shape (>= windows * tokens, n_features), optional
            Memory for the products, in the gate's dtype.

        Returns
        -------
        Tensor of shape (windows, n_features), bool
        """

    def encode(self, x: Tensor) -> Tensor:
        """Return each feature's activation on each token, as SAELens' ``encode`` does.

        This is slower than the other two, which is why they exist.

        Parameters
        ----------
        x : Tensor of shape (tokens, d_in)
            As for :meth:`fires`.

        Returns
        -------
        Tensor of shape (tokens, n_features), in the gate's dtype
            Above 0 where a feature fires.
        """


def _product(x: Tensor, weight: Tensor, out: Tensor | None) -> Tensor:
    if out is None:
        return x @ weight
    return torch.mm(x, weight, out=out[: x.shape[0]])


class ThresholdGate:
    """Gate that fires where ``(x @ weight + bias) * scale > threshold`` and the left side is > 0.

    ReLU and JumpReLU SAEs are of this kind. Adding a constant, multiplying by
    a positive one and rounding all keep the order of numbers, so the largest
    product of a window decides for the window. Bias and threshold are therefore
    applied to one row per window, not to one per token: the same bits for one
    pass over the products.

    Parameters
    ----------
    weight : Tensor of shape (d_in, n_features)
    bias : Tensor of shape (n_features,), optional
    threshold : Tensor of shape (n_features,), optional
        None: 0. Values below 0 count as 0.
    scale : Tensor of shape (n_features,), optional
        Decoder norms, >= 0.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None = None,
        threshold: Tensor | None = None,
        scale: Tensor | None = None,
    ) -> None:
        self.weight = weight
        self.bias = bias
        self.threshold = 0.0 if threshold is None else threshold.clamp(min=0)
        self.scale = scale
        self.n_features = weight.shape[1]

    def fires(self, x: Tensor) -> Tensor:
        """Return which features fire on each token."""
        return self._compare(x @ self.weight)

    def fires_in(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """Return which features fire in each window."""
        products = _product(x.flatten(0, 1), self.weight, out)
        return self._compare(products.view(*x.shape[:2], -1).amax(1))

    def encode(self, x: Tensor) -> Tensor:
        """Return each feature's activation on each token."""
        pre_activations = self._pre_activations(x @ self.weight)
        return pre_activations.masked_fill_(pre_activations <= self.threshold, 0)

    def _pre_activations(self, products: Tensor) -> Tensor:
        if self.bias is not None:
            products = products.add_(self.bias)
        if self.scale is not None:
            products = products.mul_(self.scale)
        return products

    def _compare(self, products: Tensor) -> Tensor:
        return self._pre_activations(products) > self.threshold


class GatedGate:
    """Gate of a gated SAE: both the gate path and the magnitude path must be positive.

    They share weights, so ``x @ W + b_gate > 0`` and ``x @ W * exp(r) + b_mag > 0``
    are two lower bounds on the same product, and one product is enough.
    """

    def __init__(self, weight: Tensor, b_gate: Tensor, b_mag: Tensor, r_mag: Tensor) -> None:
        self.weight = weight
        self.b_mag = b_mag
        self.r_mag = r_mag
        self.bound = torch.maximum(-b_gate, -b_mag * torch.exp(-r_mag))
        self.n_features = weight.shape[1]

    def fires(self, x: Tensor) -> Tensor:
        """Return which features fire on each token."""
        return (x @ self.weight) > self.bound

    def fires_in(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """Return which features fire in each window."""
        products = _product(x.flatten(0, 1), self.weight, out)
        return products.view(*x.shape[:2], -1).amax(1) > self.bound

    def encode(self, x: Tensor) -> Tensor:
        """Return each feature's activation on each token."""
        products = x @ self.weight
        shut = products <= self.bound
        return products.mul_(self.r_mag.exp()).add_(self.b_mag).clamp_(min=0).masked_fill_(shut, 0)


class TopKGate:
    """Gate that fires where ``(x @ weight + bias) * scale`` is among a token's largest, and > 0.

    Parameters
    ----------
    weight : Tensor of shape (d_in, n_features)
    bias : Tensor of shape (n_features,)
    top_k : int
        Features that may fire on a token. 0 < top_k <= n_features.
    scale : Tensor of shape (n_features,), optional
        Decoder norms.
    by_magnitude : bool
        Choose by absolute value; negative values that are chosen do not fire.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        top_k: int,
        scale: Tensor | None = None,
        *,
        by_magnitude: bool = False,
    ) -> None:
        self.n_features = weight.shape[1]
        if not 0 < top_k <= self.n_features:
            raise InvalidInputError(f"top_k {top_k}: the SAE has {self.n_features} features")
        self.weight = weight
        self.bias = bias
        self.top_k = top_k
        self.scale = scale
        self.by_magnitude = by_magnitude

    def fires(self, x: Tensor) -> Tensor:
        """Return which features fire on each token."""
        return self.fires_in(x[:, None])

    def fires_in(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """Return which features fire in each window."""
        values, chosen = self._chosen(x.flatten(0, 1), out)
        # A column after the last feature receives what was chosen but does not fire.
        chosen = chosen.masked_fill_(values <= 0, self.n_features)
        fired = torch.zeros((x.shape[0], self.n_features + 1), dtype=torch.bool, device=x.device)
        fired.scatter_(1, chosen.view(x.shape[0], -1), True)
        return fired[:, :-1]

    def encode(self, x: Tensor) -> Tensor:
        """Return each feature's activation on each token; below 0 if chosen by magnitude."""
        values, chosen = self._chosen(x, None)
        if not self.by_magnitude:
            values = values.clamp_(min=0)
        zeros = torch.zeros((x.shape[0], self.n_features), dtype=values.dtype, device=x.device)
        return zeros.scatter_(1, chosen, values)

    def _chosen(self, x: Tensor, out: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return values and features of the largest pre-activations of each token."""
        pre_activations = _product(x, self.weight, out).add_(self.bias)
        if self.scale is not None:
            pre_activations = pre_activations.mul_(self.scale)
        ranked = pre_activations.abs() if self.by_magnitude else pre_activations
        values, chosen = ranked.topk(self.top_k, dim=-1, sorted=False)
        if self.by_magnitude:
            values = pre_activations.gather(-1, chosen)
        return values, chosen


class EncodeGate:
    """Gate of any other SAE: a feature fires where SAELens' own ``encode`` is positive.

    Parameters
    ----------
    sae : SAE of sae_lens
        Applies its own normalisation and bias, and takes flat inputs.
    """

    def __init__(self, sae: Any) -> None:
        self.sae = sae
        self.n_features: int = sae.cfg.d_sae

    def fires(self, x: Tensor) -> Tensor:
        """Return which features fire on each token."""
        return self.encode(x) > 0

    def fires_in(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """Return which features fire in each window."""
        del out
        return self.fires(x.flatten(0, 1)).view(*x.shape[:2], -1).any(1)

    def encode(self, x: Tensor) -> Tensor:
        """Return each feature's activation on each token."""
        with torch.no_grad():
            encoded: Tensor = self.sae.encode(x)
        return encoded
