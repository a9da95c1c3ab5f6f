"""A decoder that returns its activations at chosen points, batch by batch."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sfal.collect.corpus.document import Document, TokenIds
from sfal.collect.model.hook_points import HookPoint, find_module, has_module, is_causal
from sfal.collect.model.oom import device_memory
from sfal.collect.model.preparation import Step, preparation
from sfal.collect.model.tokenizer import Tokenizer
from sfal.errors import InvalidInputError


class _Read(BaseException):
    """Ends a forward pass once all points have been read.

    It is not an Exception, so that no handler in a model's code takes it for a failure.
    """


class LanguageModel:
    """A decoder cut after the deepest layer needed, with its tokenizer.

    See :func:`sfal.collect.model.load.load_language_model`.

    Attributes
    ----------
    name : str
        Hub id or local folder.
    widths : dict of HookPoint to int
        Width of the activations at each point.
    device : torch.device
        Where it runs.
    fingerprint : dict of str to str
        The hub's repository and commit, or the hash of each local file.
    metadata : dict
        What a manifest records: type, dtype, layers run.
    """

    def __init__(
        self,
        name: str,
        decoder: nn.Module,
        config: Any,
        tokenizer: Tokenizer,
        points: Sequence[HookPoint],
        fingerprint: dict[str, str],
    ) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self.tokenizer = tokenizer
        self.points = tuple(dict.fromkeys(points))
        self._decoder = decoder
        self._config = config
        self._modules = {point: find_module(point, decoder, config) for point in self.points}
        self._steps = {point: preparation(point, decoder, config) for point in self.points}
        self._causal: bool = is_causal(config)
        self._longest: int | None = getattr(config, "max_position_embeddings", None)
        embedding = decoder.get_input_embeddings()  # type: ignore[operator]
        self._vocabulary: int = embedding.weight.shape[0]
        self.device: torch.device = embedding.weight.device
        self.metadata: dict[str, Any] = {
            "model_type": config.model_type,
            "dtype": str(embedding.weight.dtype).removeprefix("torch."),
            "attention": getattr(config, "_attn_implementation", None),
        }
        self.widths = {point: acts.shape[-1] for point, acts in self.activations([[0]]).items()}

    def has_module(self, path: str) -> bool:
        """Return whether the model has a module of that path."""
        return has_module(path, self._decoder, self._config)

    def special_ids_in(self, document: Document) -> frozenset[int]:
        """Return the ids whose positions in a document do not count as tokens."""
        return self.tokenizer.special_ids_in(document)

    def tokenize(
        self, texts: Sequence[Document], max_length: int, prepend_bos: bool | None = None
    ) -> list[list[int]]:
        """Return the token ids of each document, as :meth:`Tokenizer.tokenize` does.

        Raises
        ------
        InvalidInputError
            If `max_length` exceeds what the model takes, or a document of token
            ids has one that is outside the model's vocabulary.
        """
        if self._longest is not None and max_length > self._longest:
            raise InvalidInputError(
                f"max_length is {max_length}, but {self.name} takes at most {self._longest} tokens",
                hint=f"set $max_length({self._longest}) or less",
            )
        for document in texts:
            if isinstance(document, TokenIds) and max(document.ids) >= self._vocabulary:
                raise InvalidInputError(
                    f"{document.where}: token id {max(document.ids)} is outside the vocabulary of "
                    f"{self.name} ({self._vocabulary} ids), so the corpus was tokenised for "
                    "another model",
                    hint="use a corpus of text, or one that was tokenised for this model",
                )
        return self.tokenizer.tokenize(texts, max_length, prepend_bos)

    def check_width(self, point: HookPoint, d_in: int, sae: str) -> None:
        """Refuse an SAE whose input width is not that of the point it reads at.

        Raises
        ------
        InvalidInputError
            If they differ; the message names both.
        """
        if self.widths[point] != d_in:
            raise InvalidInputError(
                f"SAE {sae} takes inputs of width {d_in}, but {point} of {self.name} has width "
                f"{self.widths[point]}; the SAE was trained for another model or another site"
            )

    def activations(self, batch: Sequence[Sequence[int]]) -> dict[HookPoint, Tensor]:
        """Return the activations at all points from one forward pass.

        Parameters
        ----------
        batch : sequence of sequences of int
            Token ids of each document. Shorter ones are padded on the right,
            to which no real position attends (the mask sees to it in models not
            known to be causal), so a document does not depend on the others.

        Returns
        -------
        dict of HookPoint to Tensor of shape (documents, longest, width)
            In the model's dtype, on its device. Positions after a document's
            end hold meaningless numbers.

        Raises
        ------
        InvalidInputError
            If an id is outside the model's vocabulary.
        MemoryLimitError
            If the batch does not fit into the device's memory.
        """
        ids = self._pad(batch)
        # Padding on the right comes after everything that a causal model attends to. Without a
        # mask, attention is faster: by a tenth at 1,024 tokens on a CPU.
        mask = None if self._causal else self._mask(batch, ids)
        found: dict[HookPoint, Tensor] = {}
        too_much = (
            f"{ids.shape[0]} documents of {ids.shape[1]} tokens do not fit into the memory of "
            f"{self.device}"
        )
        try:
            with (
                torch.no_grad(),
                device_memory(too_much, "use a smaller $batch_tokens"),
                self._hooked(found, ids.shape),
            ):
                self._decoder(input_ids=ids, attention_mask=mask, use_cache=False)
        except _Read:
            return found
        missed = ", ".join(str(point) for point in self.points if point not in found)
        raise InvalidInputError(f"the forward pass of {self.name} does not run {missed}")

    def _pad(self, batch: Sequence[Sequence[int]]) -> Tensor:
        """Pad the ids of all documents on the right, and check them against the vocabulary."""
        longest = max((len(ids) for ids in batch), default=0)
        ids = torch.zeros((len(batch), max(longest, 1)), dtype=torch.int64)
        for row, document in enumerate(batch):
            ids[row, : len(document)] = torch.tensor(document, dtype=torch.int64)
        if batch and not 0 <= int(ids.min()) <= int(ids.max()) < self._vocabulary:
            raise InvalidInputError(
                f"token id {int(ids.max())} is outside the vocabulary of {self.name} "
                f"({self._vocabulary} ids): the tokenizer belongs to another model"
            )
        return ids.to(self.device)

    def _mask(self, batch: Sequence[Sequence[int]], ids: Tensor) -> Tensor:
        lengths = torch.tensor([len(document) for document in batch], device=self.device)
        positions = torch.arange(ids.shape[1], device=self.device)
        return (positions < lengths[:, None]).to(torch.int64)

    @contextmanager
    def _hooked(self, found: dict[HookPoint, Tensor], shape: torch.Size) -> Iterator[None]:
        """Store what the points compute in `found`, and end the pass after the last of them."""
        handles = []
        try:
            for point, (module, wants_input) in self._modules.items():
                keep = _keeper(point, self._steps[point], found, len(self._modules), shape)
                if wants_input:
                    handles.append(module.register_forward_pre_hook(keep, with_kwargs=True))
                else:
                    handles.append(module.register_forward_hook(lambda _, __, out, k=keep: k(out)))
            yield
        finally:
            for handle in handles:
                handle.remove()


def _keeper(
    point: HookPoint,
    step: Step,
    found: dict[HookPoint, Tensor],
    n_points: int,
    shape: torch.Size,
) -> Any:
    """Return a hook that stores the tensor that it sees, prepared by `step`, under `point`.

    It takes an output (a tensor, or a tuple that begins with one), or a module
    with its positional and its keyword arguments.
    """

    def keep(*passed: Any) -> None:
        value = passed[0]
        if len(passed) == 3:
            _, positional, named = passed
            value = positional[0] if positional else next(iter(named.values()), None)
        if isinstance(value, tuple | list):
            value = value[0]
        if isinstance(value, Tensor) and value.ndim == 2 and value.shape[0] == shape.numel():
            value = value.reshape(*shape, -1)  # some modules flatten documents and tokens
        fits = isinstance(value, Tensor) and value.is_floating_point() and value.ndim >= 3
        if not fits or value.shape[:2] != shape:
            raise InvalidInputError(f"{point} has no activations of shape (batch, tokens, width)")
        if point not in found:
            found[point] = step(value.flatten(2))
        if len(found) == n_points:
            raise _Read

    return keep
