"""The gate of sparsify's ``groupmax``."""

import torch
from torch import Tensor

from sfal.collect.sae.gates import TopKGate, _product


class GroupMaxGate(TopKGate):
    """Gate that fires where ``x @ weight + bias`` is its group's largest on a token, and > 0.

    The features are split into `top_k` groups of neighbours of equal size.
    """

    def _chosen(self, x: Tensor, out: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return values and features of the largest pre-activation of each group and token."""
        pre_activations = _product(x, self.weight, out).add_(self.bias)
        values, chosen = pre_activations.view(len(x), self.top_k, -1).max(dim=-1)
        size = self.n_features // self.top_k
        return values, chosen + torch.arange(0, self.n_features, size, device=x.device)
