"""Sparse autoencoders: trained with BatchTopK, stored as JumpReLU in Gemma Scope's layout.

References
----------
.. [1] Bussmann, Leask, Nanda, "BatchTopK Sparse Autoencoders", 2024: on
   average the top ``k`` activations per token over a batch, and afterwards one
   threshold in place of the batch.
.. [2] Gao et al., "Scaling and evaluating sparse autoencoders", 2024, appendix
   A.2: the auxiliary loss that revives dead features.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sfal.io.atomic import atomic_path

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SaeSettings:
    """Size of an SAE and length of its training."""

    n_features: int = 1024
    l0: int = 12
    """Active features per token that training aims for."""
    batch_tokens: int = 2048
    n_tokens: int = 3_000_000
    """Tokens to train on, over all epochs."""
    fragment_share: float = 0.2
    """How often a word piece, digit or sign is trained on, relative to a whole word."""
    pivot: float = 1e-3
    """Relative frequency above which a token is subsampled; see `keep_probabilities`."""
    lr: float = 1e-3
    dead_after: int = 80_000
    """Tokens without an activation after which a feature counts as dead."""
    n_auxiliary: int = 64
    """Dead features that may reconstruct a token's error."""
    auxiliary_weight: float = 1 / 32
    seed: int = 20261


@dataclass(frozen=True)
class SaeWeights:
    """Parameters as Gemma Scope names them, float32.

    A feature's activation is ``pre = x @ W_enc + b_enc`` where ``pre >
    threshold``, else 0; the reconstruction is ``activations @ W_dec + b_dec``.
    """

    w_enc: Tensor
    """Shape (d_model, n_features)."""
    w_dec: Tensor
    """Shape (n_features, d_model), rows of length 1."""
    b_enc: Tensor
    b_dec: Tensor
    threshold: Tensor

    def encode(self, x: Tensor) -> Tensor:
        """Return activations of shape (n, n_features) for inputs of shape (n, d_model)."""
        pre = x @ self.w_enc + self.b_enc
        return pre * (pre > self.threshold)

    def decode(self, activations: Tensor) -> Tensor:
        """Return reconstructed inputs of shape (n, d_model)."""
        return activations @ self.w_dec + self.b_dec


def keep_probabilities(ids: Tensor, whole: Tensor, settings: SaeSettings) -> Tensor:
    """Return the probability with which each token is trained on.

    ``min(1, sqrt(pivot / frequency))`` (Mikolov et al., 2013, equation 5, for word
    vectors), times `fragment_share` for word pieces, digits and signs. Half of
    all text is "the", "of" and commas, and a small vocabulary spells out rare
    names; subsampling them leaves more of a small dictionary for meaningful
    words.

    Parameters
    ----------
    ids : Tensor of shape (n_tokens,), int64
    whole : Tensor of shape (n_tokens,), bool
        Whether the token is a whole word.
    settings : SaeSettings

    Returns
    -------
    Tensor of shape (n_tokens,), float32
    """
    frequency = torch.bincount(ids).float() / len(ids)
    keep = (settings.pivot / frequency[ids]).sqrt().clamp(max=1)
    return torch.where(whole, keep, keep * settings.fragment_share)


def train_sae(x: Tensor, keep: Tensor, settings: SaeSettings) -> SaeWeights:
    """Train on activations.

    Parameters
    ----------
    x : Tensor of shape (n_tokens, d_model), float16 or float32
        Activations at one hook point, without BOS.
    keep : Tensor of shape (n_tokens,)
        Probability with which a token is used in an epoch.
    settings : SaeSettings

    Returns
    -------
    SaeWeights
        For unscaled inputs; the input scale is folded in.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    sample = x[torch.randperm(len(x), generator=generator)[:50_000]].float()
    scale = x.shape[1] ** 0.5 / sample.norm(dim=1).mean().item()
    trainer = _Trainer(sample * scale, settings, generator)
    n_steps = settings.n_tokens // settings.batch_tokens
    order, at = torch.empty(0, dtype=torch.long), 0
    for step in range(n_steps):
        if at + settings.batch_tokens > len(order):
            order, at = torch.randperm(len(x), generator=generator), 0
            order = order[torch.rand(len(x), generator=generator) < keep[order]]
        batch = x[order[at : at + settings.batch_tokens]].float() * scale
        at += settings.batch_tokens
        fvu, n_dead = trainer.step(batch, step / n_steps)
        if (step + 1) % 200 == 0:
            logger.info("SAE step %d/%d: FVU %.3f, %d dead", step + 1, n_steps, fvu, n_dead)
    return trainer.finish(sample * scale, scale)


class _Trainer:
    """Parameters, optimizer, and the number of tokens since each feature was last active."""

    def __init__(self, sample: Tensor, settings: SaeSettings, generator: torch.Generator) -> None:
        d_model = sample.shape[1]
        self.settings = settings
        w_dec = torch.randn(settings.n_features, d_model, generator=generator)
        w_dec /= w_dec.norm(dim=1, keepdim=True)
        mean = sample.mean(dim=0)
        self.w_dec = nn.Parameter(w_dec)
        self.w_enc = nn.Parameter(w_dec.T.clone().contiguous())
        self.b_dec = nn.Parameter(mean.clone())
        self.b_enc = nn.Parameter(-mean @ w_dec.T)
        self.variance = (sample - mean).pow(2).sum(dim=1).mean()
        self.idle = torch.zeros(settings.n_features)
        self.optimizer = torch.optim.Adam(
            [self.w_enc, self.w_dec, self.b_enc, self.b_dec], lr=settings.lr, betas=(0.9, 0.99)
        )

    def step(self, batch: Tensor, progress: float) -> tuple[float, int]:
        """Train on a batch; return its FVU and the number of dead features."""
        settings = self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = settings.lr * min(1.0, 5 * (1 - progress), 50 * progress + 0.02)
        pre = torch.relu(batch @ self.w_enc + self.b_enc)
        active = _batch_top(pre, settings.l0 * len(batch))
        error = batch - (active @ self.w_dec + self.b_dec)
        fvu = error.pow(2).sum(dim=1).mean() / self.variance
        self.idle += len(batch)
        self.idle[(active > 0).any(dim=0)] = 0
        dead = self.idle > settings.dead_after
        loss = fvu + self._auxiliary(batch, error.detach(), dead)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self._keep_unit_norm()
        return fvu.item(), int(dead.sum())

    def _auxiliary(self, batch: Tensor, error: Tensor, dead: Tensor) -> Tensor:
        """Return the loss of dead features in reconstructing the error of the others."""
        if not dead.any():
            return torch.zeros(())
        pre = torch.relu(batch @ self.w_enc[:, dead] + self.b_enc[dead])
        top = pre.topk(min(self.settings.n_auxiliary, pre.shape[1]), dim=1)
        chosen = torch.zeros_like(pre).scatter(1, top.indices, top.values)
        residue = error - chosen @ self.w_dec[dead]
        return self.settings.auxiliary_weight * residue.pow(2).sum() / error.pow(2).sum()

    def _keep_unit_norm(self) -> None:
        """Step tangentially to the unit sphere, then project back onto it."""
        with torch.no_grad():
            gradient = self.w_dec.grad
            if gradient is not None:
                gradient -= (gradient * self.w_dec).sum(dim=1, keepdim=True) * self.w_dec
            self.optimizer.step()
            self.w_dec.div_(self.w_dec.norm(dim=1, keepdim=True))

    @torch.no_grad()
    def finish(self, sample: Tensor, scale: float) -> SaeWeights:
        """Return weights for unscaled inputs, with one threshold that gives the wanted L0."""
        pre = torch.relu(sample @ self.w_enc + self.b_enc)
        n_kept = self.settings.l0 * len(sample)
        threshold = pre.flatten().kthvalue(pre.numel() - n_kept).values.item()
        return SaeWeights(
            w_enc=self.w_enc.detach().clone(),
            w_dec=self.w_dec.detach().clone(),
            b_enc=self.b_enc.detach() / scale,
            b_dec=self.b_dec.detach() / scale,
            threshold=torch.full((self.settings.n_features,), threshold / scale),
        )


def _batch_top(pre: Tensor, n_kept: int) -> Tensor:
    """Keep the largest activations of the whole batch."""
    bound = pre.detach().flatten().kthvalue(pre.numel() - n_kept).values
    return pre * (pre > bound)


def save_sae(weights: SaeWeights, path: Path) -> None:
    """Write `params.npz` with Gemma Scope's five arrays in float16."""
    arrays = {
        "W_enc": weights.w_enc,
        "W_dec": weights.w_dec,
        "b_enc": weights.b_enc,
        "b_dec": weights.b_dec,
        "threshold": weights.threshold,
    }
    stored = {
        name: np.ascontiguousarray(t.numpy().astype(np.float16)) for name, t in arrays.items()
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **stored)  # type: ignore[arg-type]


def read_sae(path: Path) -> SaeWeights:
    """Read what `save_sae` wrote, as float32."""
    with np.load(path) as stored:
        tensors: dict[str, Any] = {
            name: torch.from_numpy(stored[name].astype(np.float32)) for name in stored.files
        }
    return SaeWeights(
        w_enc=tensors["W_enc"],
        w_dec=tensors["W_dec"],
        b_enc=tensors["b_enc"],
        b_dec=tensors["b_dec"],
        threshold=tensors["threshold"],
    )
