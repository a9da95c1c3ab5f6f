"""The quality of the parts, measured on text that none of them was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tools.demo.sae import SaeWeights
from torch import Tensor, nn

Ints = np.ndarray[Any, np.dtype[np.int64]]


class Bigrams:
    """Interpolated Kneser-Ney bigrams: the baseline that a language model must beat.

    ``p(w | v) = max(c(v, w) - D, 0) / c(v) + D · n(v) / c(v) · q(w)`` where ``n(v)``
    counts the distinct words after v, q(w) is the share of distinct pairs that
    end in w, with a hundredth of it spread over all words, and
    ``D = n1 / (n1 + 2 n2)`` from the pairs seen once and twice.

    References
    ----------
    .. [1] Chen, Goodman, "An Empirical Study of Smoothing Techniques for Language
       Modeling", 1999, equations 12 and 25.
    """

    def __init__(self, documents: Sequence[Sequence[int]], vocab_size: int) -> None:
        first, second = _pairs(documents)
        self._size = vocab_size
        self._codes, self._counts = np.unique(first * vocab_size + second, return_counts=True)
        left, right = np.divmod(self._codes, vocab_size)
        self._after = np.bincount(first, minlength=vocab_size)
        self._kinds = np.bincount(left, minlength=vocab_size)
        ends = np.bincount(right, minlength=vocab_size) / len(right)
        self._lower = 0.99 * ends + 0.01 / vocab_size
        words = np.bincount(second, minlength=vocab_size) / len(second)
        self._unigram = 0.99 * words + 0.01 / vocab_size
        once, twice = int((self._counts == 1).sum()), int((self._counts == 2).sum())
        self._discount = once / (once + 2 * twice)

    def unigram_loss(self, documents: Sequence[Sequence[int]]) -> float:
        """Return the loss in nats per token, from frequencies alone."""
        return float(-np.log(self._unigram[_pairs(documents)[1]]).mean())

    def bigram_loss(self, documents: Sequence[Sequence[int]]) -> float:
        """Return the loss in nats per token, given the token before."""
        first, second = _pairs(documents)
        codes = first * self._size + second
        at = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        counts = np.where(self._codes[at] == codes, self._counts[at], 0)
        seen = np.maximum(self._after[first], 1)
        kept = np.maximum(counts - self._discount, 0) / seen
        left_over = np.where(
            self._after[first] > 0, self._discount * self._kinds[first] / seen, 1.0
        )
        return float(-np.log(kept + left_over * self._lower[second]).mean())


def _pairs(documents: Sequence[Sequence[int]]) -> tuple[Ints, Ints]:
    first = np.concatenate([np.array(d[:-1], dtype=np.int64) for d in documents])
    second = np.concatenate([np.array(d[1:], dtype=np.int64) for d in documents])
    return first, second


@dataclass(frozen=True)
class SaeFigures:
    """Quality of one SAE on held-out tokens."""

    fvu: float
    """Fraction of variance unexplained."""
    l0: float
    """Mean number of active features per token."""
    dead_share: float
    """Share of features that are not active on any held-out token."""
    loss_recovered: float
    """1 if the model predicts as well through the SAE as without it, 0 if no better
    than with the mean activation in place of the SAE's output."""


@torch.no_grad()
def sae_figures(
    model: Any, weights: SaeWeights, layer: int, x: Tensor, documents: Sequence[list[int]]
) -> SaeFigures:
    """Measure an SAE.

    Parameters
    ----------
    x : Tensor of shape (n_tokens, d_model)
        Held-out activations for FVU, L0 and dead features.
    documents : sequence of list of int
        Held-out documents for the loss; a few hundred are enough.
    """
    mean = x.float().mean(dim=0)
    error, variance, active = 0.0, 0.0, 0
    alive = torch.zeros(len(weights.b_enc), dtype=torch.bool)
    for batch in torch.split(x, 4096):
        values = batch.float()
        activations = weights.encode(values)
        error += (values - weights.decode(activations)).pow(2).sum().item()
        variance += (values - mean).pow(2).sum().item()
        fired = activations > 0
        active += int(fired.sum())
        alive |= fired.any(dim=0)
    plain = _loss(model, layer, documents, None)
    through = _loss(model, layer, documents, lambda h: weights.decode(weights.encode(h)))
    ablated = _loss(model, layer, documents, lambda h: mean.expand_as(h))
    return SaeFigures(
        fvu=error / variance,
        l0=active / len(x),
        dead_share=1 - alive.float().mean().item(),
        loss_recovered=(ablated - through) / (ablated - plain),
    )


def _loss(model: Any, layer: int, documents: Sequence[list[int]], replace: Any) -> float:
    """Return the next-token loss with the residual after a layer replaced, except at BOS."""

    def hook(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
        return torch.cat([output[:, :1], replace(output[0, 1:])[None]], dim=1)

    handle = model.model.layers[layer].register_forward_hook(hook) if replace else None
    total, n = 0.0, 0
    try:
        for document in documents:
            ids = torch.tensor([document])
            logits = model(input_ids=ids, use_cache=False).logits[0, :-1].float()
            total += nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum").item()
            n += len(document) - 1
    finally:
        if handle is not None:
            handle.remove()
    return total / n
