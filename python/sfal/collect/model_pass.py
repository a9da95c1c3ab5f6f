"""One pass over batches: tokens through the language model, its activations to every SAE."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from sfal.collect.model.hook_points import HookPoint
from sfal.errors import SfalError
from sfal.sources.source import Source

if TYPE_CHECKING:
    from torch import Tensor

    from sfal.collect.model.language_model import LanguageModel
    from sfal.collect.sae.sae import Sae


class Reader(Protocol):
    """Anything that reads the activations of one source, such as a run."""

    @property
    def source(self) -> Source:
        """The source, which says where in the model it reads."""

    @property
    def sae(self) -> "Sae | None":
        """Its SAE; None if it is not loaded."""

    @property
    def error(self) -> SfalError | None:
        """Why it failed; it is passed over from then on."""


R = TypeVar("R", bound=Reader)


def model_pass(
    model: "LanguageModel",
    ids: Sequence[Sequence[int]],
    batches: Sequence[Sequence[int]],
    readers: Sequence[R],
) -> Iterator[tuple[R, "Sae", Sequence[int], "Tensor"]]:
    """Run batches through the language model, and hand each reader its activations.

    Readers that have failed, or have no SAE, are passed over. A reader may fail
    while it handles a batch.

    Parameters
    ----------
    model : LanguageModel
        Loaded with the points of all readers.
    ids : sequence of sequences of int
        Token ids of each document.
    batches : sequence of sequences of int
        Documents of each batch, as indices into `ids`.
    readers : sequence of Reader
        They share each forward pass.

    Yields
    ------
    reader : Reader
        Each of them in turn, for every batch.
    sae : Sae
        Its SAE.
    batch : sequence of int
        Documents of the batch, as indices into `ids`.
    activations : Tensor of shape (documents, longest, d_in)
        What the model computed at the reader's point.
    """
    for batch in batches:
        activations = model.activations([ids[document] for document in batch])
        for reader in readers:
            if reader.error is None and reader.sae is not None:
                yield reader, reader.sae, batch, activations[HookPoint.of(reader.source)]
