"""The max-activating tokens of every feature, gathered document by document."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sfal.collect.model.oom import device_memory
from sfal.collect.sae.sae import Sae

TOP = 20
"""Examples per feature."""

_ROWS = 1 << 14
"""Features whose examples are sorted at once."""


@dataclass(frozen=True)
class Packed:
    """Activations above 0 of some documents, feature by feature, the greatest first."""

    counts: NDArray[np.int64]
    """How many there are of each feature, of shape (n_features,)."""
    values: NDArray[np.float32]
    """Each of them, of shape (sum of `counts`,)."""
    documents: NDArray[np.int64]
    """Ordinals of their documents."""
    positions: NDArray[np.int32]
    """Positions of their tokens."""


class TopActivations:
    """The max-activating tokens of each feature so far, at most one per document.

    Of equal ones the first in the corpus comes first. Memory: 16 bytes per
    feature and place, besides the documents that are being added.

    Parameters
    ----------
    n_features : int
        Features of the SAE.
    device : torch.device
        Where the numbers are.
    top : int
        Places per feature.
    """

    def __init__(self, n_features: int, device: torch.device, top: int = TOP) -> None:
        shape = (n_features, top)
        self.values = torch.zeros(shape, device=device)
        self.documents = torch.full(shape, -1, dtype=torch.int64, device=device)
        self.positions = torch.zeros(shape, dtype=torch.int32, device=device)

    def add(self, first: int, values: Tensor, positions: Tensor) -> None:
        """Add some consecutive documents.

        Parameters
        ----------
        first : int
            Ordinal of the first document.
        values : Tensor of shape (documents, n_features), float32
            Greatest activation in each document; 0 or less: the feature does not fire there.
        positions : Tensor of shape (documents, n_features), int32
            Positions of the tokens that have it.
        """
        top = self.values.shape[1]
        better = (values.amax(0) > self.values[:, -1]).nonzero()[:, 0]
        ordinals = torch.arange(first, first + len(values), device=values.device)
        for some in torch.split(better, _ROWS):
            # Stable, so that the first document wins a tie, which topk does not promise.
            joined = torch.cat([self.values[some], values[:, some].T], 1)
            ordered, chosen = joined.sort(dim=1, descending=True, stable=True)
            chosen = chosen[:, :top]
            self.values[some] = ordered[:, :top].clamp_(min=0)
            documents = torch.cat([self.documents[some], ordinals.expand(len(some), -1)], 1)
            self.documents[some] = documents.gather(1, chosen)
            joined_positions = torch.cat([self.positions[some], positions[:, some].T], 1)
            self.positions[some] = joined_positions.gather(1, chosen)

    def packed(self) -> Packed:
        """Return what has been added."""
        there = self.values > 0
        return Packed(
            there.sum(1).cpu().numpy(),
            self.values[there].cpu().numpy(),
            self.documents[there].cpu().numpy(),
            self.positions[there].cpu().numpy(),
        )

    def merge(self, later: Packed) -> None:
        """Add what others found in later documents; the result is that of :meth:`add`.

        Parameters
        ----------
        later : Packed
            At most as many of each feature as there are places.
        """
        top = self.values.shape[1]
        ends = np.cumsum(later.counts)
        features = torch.from_numpy(np.flatnonzero(later.counts)).to(self.values.device)
        for some in torch.split(features, _ROWS):
            if not len(some):
                continue
            first, last = int(some[0]), int(some[-1])
            rows = slice(int(ends[first] - later.counts[first]), int(ends[last]))
            counts = torch.from_numpy(later.counts)[some.cpu()]
            there = torch.arange(top) < counts[:, None]
            joined = {}
            for name, found in (
                ("values", later.values),
                ("documents", later.documents),
                ("positions", later.positions),
            ):
                mine: Tensor = getattr(self, name)
                new = torch.zeros(there.shape, dtype=mine.dtype)
                new[there] = torch.from_numpy(found[rows])
                joined[name] = torch.cat([mine[some], new.to(mine.device)], 1)
            # Stable, so that of equal ones the first document stays first.
            chosen = joined["values"].sort(dim=1, descending=True, stable=True)[1][:, :top]
            for name, both in joined.items():
                getattr(self, name)[some] = both.gather(1, chosen)

    def restore(
        self,
        values: NDArray[np.float32],
        documents: NDArray[np.int64],
        positions: NDArray[np.int32],
    ) -> None:
        """Restore saved state."""
        self.values.copy_(torch.from_numpy(values))
        self.documents.copy_(torch.from_numpy(documents))
        self.positions.copy_(torch.from_numpy(positions))

    def referenced(self) -> NDArray[np.int64]:
        """Return the ordinals of the documents that examples refer to, increasing."""
        found: NDArray[np.int64] = np.unique(self.documents[self.values > 0].cpu().numpy())
        return found


def max_activations(x: Tensor, sae: Sae, max_elements: int) -> tuple[Tensor, Tensor]:
    """Find each feature's greatest activation in a document, and the first token that has it.

    Parameters
    ----------
    x : Tensor of shape (tokens, d_in)
        Activations of one document.
    sae : Sae
        The SAE.
    max_elements : int
        How many activations of tokens and features to hold at once.

    Returns
    -------
    values : Tensor of shape (n_features,), float32
    rows : Tensor of shape (n_features,), int64
        Rows of `x`.
    """
    best = torch.full((sae.n_features,), -torch.inf, device=sae.device)
    rows = torch.zeros(sae.n_features, dtype=torch.int64, device=sae.device)
    step = max(max_elements // sae.n_features, 1)
    too_much = (
        f"activations of {sae.n_features} features do not fit into the memory of {sae.device}"
    )
    with device_memory(too_much):
        for start in range(0, len(x), step):
            values, row = sae.encode(x[start : start + step]).max(0)
            values = values.float()
            greater = values > best
            best = torch.where(greater, values, best)
            rows = torch.where(greater, row + start, rows)
    return best, rows
