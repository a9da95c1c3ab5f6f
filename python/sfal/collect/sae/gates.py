"""When a feature fires: one gate for each kind of SAE, from an input to booleans.

A gate keeps only what the question needs, so no decoder. All of them equal
``SAE.encode(x) > 0`` of SAELens on the same weights.
"""

from typing import Any, Protocol

import torch
from torch import Tensor

from sfal.errors import InvalidInputError


class Gate(Protocol):
    """Decides which features fire."""

    n_features: int
    """Number of features."""

    def fires(self, x: Tensor) -> Tensor:
        """Which features fire on each token.

        Parameters
        ----------
        x : Tensor of shape (tokens, d_in)
            Inputs after scaling, normalisation and bias, in the gate's dtype.

        Returns
        -------
        Tensor of shape (tokens, n_features), bool
        """

    def fires_in(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """Which features fire on at least one token of each window.

        Parameters
        ----------
        x : Tensor of shape (windows, tokens, d_in)
            Likewise.
        out : Tensor of shape (>= windows * tokens, n_features), optional
            Room for the products, in the gate's dtype.

        Returns
        -------
        Tensor of shape (windows, n_features), bool
        """

    def strengths(self, x: Tensor) -> Tensor:
        """How strongly each feature fires on each token, as SAELens' ``encode`` says it.

        Slower than the other two, which is why they are there.

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
    """Fires where ``(x @ weight + bias) * scale > threshold`` and the left side is > 0.

    ReLU, JumpReLU and gated SAEs are all of this kind. Adding a constant,
    multiplying by a positive one and rounding keep the order of numbers, so the
    largest product of a window decides for the window, and bias and threshold
    are applied to a row a window and not to a row a token: the same bits at
    the price of one pass over the products.

    Parameters
    ----------
    weight : Tensor of shape (d_in, n_features)
    bias : Tensor of shape (n_features,), optional
    threshold : Tensor of shape (n_features,), optional
        None: 0. Below 0 counts as 0.
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
        """Which features fire on each token."""
        return self._compare(x @ self.weight)

    def fires_in(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """Which features fire in each window."""
        products = _product(x.flatten(0, 1), self.weight, out)
        return self._compare(products.view(*x.shape[:2], -1).amax(1))

    def strengths(self, x: Tensor) -> Tensor:
        """How strongly each feature fires on each token."""
        before = self._before(x @ self.weight)
        return before.masked_fill_(before <= self.threshold, 0)

    def _before(self, products: Tensor) -> Tensor:
        if self.bias is not None:
            products = products.add_(self.bias)
        if self.scale is not None:
            products = products.mul_(self.scale)
        return products

    def _compare(self, products: Tensor) -> Tensor:
        return self._before(products) > self.threshold


def relu_gate(weight: Tensor, bias: Tensor) -> ThresholdGate:
    """Gate of a standard SAE: ``x @ weight + bias > 0``."""
    return ThresholdGate(weight, bias)


def jumprelu_gate(
    weight: Tensor, bias: Tensor, threshold: Tensor, scale: Tensor | None = None
) -> ThresholdGate:
    """Gate of a JumpReLU SAE: ``x @ weight + bias > threshold``, strictly, and never negative."""
    return ThresholdGate(weight, bias, threshold, scale)


class GatedGate:
    """Gate of a gated SAE: the gate's own bias and the magnitude's must both let it pass.

    With the weights shared, ``x @ W + b_gate > 0`` and ``x @ W * exp(r) + b_mag > 0``
    are two bounds on one product, so one product serves.
    """

    def __init__(self, weight: Tensor, b_gate: Tensor, b_mag: Tensor, r_mag: Tensor) -> None:
        self.weight = weight
        self.b_mag = b_mag
        self.r_mag = r_mag
        self.bound = torch.maximum(-b_gate, -b_mag * torch.exp(-r_mag))
        self.n_features = weight.shape[1]

    def fires(self, x: Tensor) -> Tensor:
        """Which features fire on each token."""
        return (x @ self.weight) > self.bound

    def fires_in(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """Which features fire in each window."""
        products = _product(x.flatten(0, 1), self.weight, out)
        return products.view(*x.shape[:2], -1).amax(1) > self.bound

    def strengths(self, x: Tensor) -> Tensor:
        """How strongly each feature fires on each token."""
        products = x @ self.weight
        shut = products <= self.bound
        return products.mul_(self.r_mag.exp()).add_(self.b_mag).clamp_(min=0).masked_fill_(shut, 0)


class TopKGate:
    """Fires where ``(x @ weight + bias) * scale`` is among a token's largest, and > 0.

    Parameters
    ----------
    weight : Tensor of shape (d_in, n_features)
    bias : Tensor of shape (n_features,)
    top_k : int
        Features that may fire on a token. 0 < top_k <= n_features.
    scale : Tensor of shape (n_features,), optional
        Decoder norms.
    by_magnitude : bool
        Choose by absolute value; the negative ones chosen do not fire.
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
        """Which features fire on each token."""
        return self.fires_in(x[:, None])

    def fires_in(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """Which features fire in each window."""
        values, chosen = self._chosen(x.flatten(0, 1), out)
        # A column past the last feature takes what was chosen without firing.
        chosen = chosen.masked_fill_(values <= 0, self.n_features)
        fired = torch.zeros((x.shape[0], self.n_features + 1), dtype=torch.bool, device=x.device)
        fired.scatter_(1, chosen.view(x.shape[0], -1), True)
        return fired[:, :-1]

    def strengths(self, x: Tensor) -> Tensor:
        """How strongly each feature fires on each token; below 0 if chosen by magnitude."""
        values, chosen = self._chosen(x, None)
        if not self.by_magnitude:
            values = values.clamp_(min=0)
        zeros = torch.zeros((x.shape[0], self.n_features), dtype=values.dtype, device=x.device)
        return zeros.scatter_(1, chosen, values)

    def _chosen(self, x: Tensor, out: Tensor | None) -> tuple[Tensor, Tensor]:
        """Values and features of the largest of each token."""
        before = _product(x, self.weight, out).add_(self.bias)
        if self.scale is not None:
            before = before.mul_(self.scale)
        ranked = before.abs() if self.by_magnitude else before
        values, chosen = ranked.topk(self.top_k, dim=-1, sorted=False)
        if self.by_magnitude:
            values = before.gather(-1, chosen)
        return values, chosen


class EncodeGate:
    """Any other SAE: what SAELens' own ``encode`` makes positive.

    Parameters
    ----------
    sae : SAE of sae_lens
        Does its own normalisation and bias; takes flat inputs.
    """

    def __init__(self, sae: Any) -> None:
        self.sae = sae
        self.n_features: int = sae.cfg.d_sae

    def fires(self, x: Tensor) -> Tensor:
        """Which features fire on each token."""
        return self.strengths(x) > 0

    def fires_in(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """Which features fire in each window."""
        del out
        return self.fires(x.flatten(0, 1)).view(*x.shape[:2], -1).any(1)

    def strengths(self, x: Tensor) -> Tensor:
        """How strongly each feature fires on each token."""
        with torch.no_grad():
            encoded: Tensor = self.sae.encode(x)
        return encoded
