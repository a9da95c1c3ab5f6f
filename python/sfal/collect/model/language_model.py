"""A decoder that gives its activations at chosen places, batch by batch."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sfal.collect.model.hook_points import HookPoint, find_module, is_causal
from sfal.collect.model.oom import device_memory
from sfal.collect.model.tokenizer import Tokenizer
from sfal.errors import InvalidInputError


class _Read(BaseException):
    """All points have been read; no layer after them need run.

    No Exception, so that no handler in a model's code takes it for a failure.
    """


class LanguageModel:
    """A decoder cut after the deepest layer asked for, and its tokenizer.

    Made by :func:`load_language_model`.

    Attributes
    ----------
    name : str
        Hub id or local folder.
    d_model : int
        Width of the residual stream.
    widths : dict of HookPoint to int
        Width of the activations at each point.
    fingerprint : dict of str to str
        The hub's repository and commit, or the hash of each local file.
    metadata : dict
        What a manifest keeps: type, dtype, layers run.
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
        self.d_model: int = config.hidden_size
        self.fingerprint = fingerprint
        self.tokenizer = tokenizer
        self.points = tuple(dict.fromkeys(points))
        self._decoder = decoder
        self._modules = {point: find_module(point, decoder, config) for point in self.points}
        self._causal: bool = is_causal(config)
        self._longest: int | None = getattr(config, "max_position_embeddings", None)
        embedding = decoder.get_input_embeddings()  # type: ignore[operator]
        self._vocabulary: int = embedding.weight.shape[0]
        self._device: torch.device = embedding.weight.device
        self.metadata: dict[str, Any] = {
            "model_type": config.model_type,
            "dtype": str(embedding.weight.dtype).removeprefix("torch."),
            "attention": getattr(config, "_attn_implementation", None),
        }
        self.widths = {point: acts.shape[-1] for point, acts in self.activations([[0]]).items()}

    @property
    def special_ids(self) -> frozenset[int]:
        """Ids whose positions are no tokens: BOS, EOS and PAD."""
        return self.tokenizer.special_ids

    @property
    def bos_id(self) -> int | None:
        """Id of BOS, if the tokenizer has one."""
        return self.tokenizer.bos_id

    @property
    def eos_id(self) -> int | None:
        """Id of EOS, if the tokenizer has one."""
        return self.tokenizer.eos_id

    @property
    def pad_id(self) -> int | None:
        """Id of PAD, if the tokenizer has one."""
        return self.tokenizer.pad_id

    def tokenize(
        self, texts: Sequence[str], max_length: int, prepend_bos: bool | None = None
    ) -> list[list[int]]:
        """Token ids of each text: see :meth:`sfal.collect.model.tokenizer.Tokenizer.tokenize`."""
        if self._longest is not None and max_length > self._longest:
            raise InvalidInputError(
                f"max_length {max_length}: {self.name} takes at most {self._longest} tokens"
            )
        return self.tokenizer.tokenize(texts, max_length, prepend_bos)

    def check_width(self, point: HookPoint, d_in: int, sae: str) -> None:
        """Refuse an SAE that does not fit the point it reads at.

        Raises
        ------
        InvalidInputError
            Naming the widths of both.
        """
        if self.widths[point] != d_in:
            raise InvalidInputError(
                f"SAE {sae} takes inputs of width {d_in}, but {point} of {self.name} has width "
                f"{self.widths[point]}; the SAE was made for another model or another site"
            )

    def activations(self, batch: Sequence[Sequence[int]]) -> dict[HookPoint, Tensor]:
        """Activations at all points, from one forward pass.

        Parameters
        ----------
        batch : sequence of sequences of int
            Token ids of each document. Shorter ones are padded on the right,
            where no real position looks (or the mask forbids it, in models not
            known to be causal): a document does not depend on the others.

        Returns
        -------
        dict of HookPoint to Tensor of shape (documents, longest, width)
            In the model's dtype, on its device. Positions past a document's
            end hold numbers that mean nothing.

        Raises
        ------
        InvalidInputError
            If an id is outside the model's vocabulary.
        MemoryLimitError
            If the device's memory does not hold the batch.
        """
        ids = self._pad(batch)
        # Padding on the right comes after all that a causal model looks at. Without a mask
        # attention is faster, by a tenth at 1,024 tokens on a CPU.
        mask = None if self._causal else self._mask(batch, ids)
        found: dict[HookPoint, Tensor] = {}
        too_much = (
            f"{ids.shape[0]} documents of {ids.shape[1]} tokens do not fit the memory of "
            f"{self._device}; use a smaller --batch-tokens"
        )
        try:
            with torch.no_grad(), device_memory(too_much), self._hooked(found, ids.shape):
                self._decoder(input_ids=ids, attention_mask=mask, use_cache=False)
        except _Read:
            return found
        missed = ", ".join(str(point) for point in self.points if point not in found)
        raise InvalidInputError(f"{self.name} does not run {missed} in its forward pass")

    def _pad(self, batch: Sequence[Sequence[int]]) -> Tensor:
        """Ids of all documents, filled up on the right; checked against the vocabulary."""
        longest = max((len(ids) for ids in batch), default=0)
        ids = torch.zeros((len(batch), max(longest, 1)), dtype=torch.int64)
        for row, document in enumerate(batch):
            ids[row, : len(document)] = torch.tensor(document, dtype=torch.int64)
        if batch and not 0 <= int(ids.min()) <= int(ids.max()) < self._vocabulary:
            raise InvalidInputError(
                f"token id {int(ids.max())} is outside the vocabulary of {self.name} "
                f"({self._vocabulary} ids): the tokenizer belongs to another model"
            )
        return ids.to(self._device)

    def _mask(self, batch: Sequence[Sequence[int]], ids: Tensor) -> Tensor:
        lengths = torch.tensor([len(document) for document in batch], device=self._device)
        positions = torch.arange(ids.shape[1], device=self._device)
        return (positions < lengths[:, None]).to(torch.int64)

    @contextmanager
    def _hooked(self, found: dict[HookPoint, Tensor], shape: torch.Size) -> Iterator[None]:
        """Keep what passes the points in `found`, and end the pass after the last."""
        handles = []
        try:
            for point, (module, wants_input) in self._modules.items():
                keep = _keeper(point, found, len(self._modules), shape)
                if wants_input:
                    handles.append(module.register_forward_pre_hook(keep, with_kwargs=True))
                else:
                    handles.append(module.register_forward_hook(lambda _, __, out, k=keep: k(out)))
            yield
        finally:
            for handle in handles:
                handle.remove()


def _keeper(
    point: HookPoint, found: dict[HookPoint, Tensor], n_points: int, shape: torch.Size
) -> Any:
    """Hook that keeps the tensor passing by under `point`.

    Takes an output (a tensor, or a tuple that begins with one), or a module,
    its positional and its keyword arguments.
    """

    def keep(*passed: Any) -> None:
        value = passed[0]
        if len(passed) == 3:
            _, positional, named = passed
            value = positional[0] if positional else next(iter(named.values()), None)
        if isinstance(value, tuple | list):
            value = value[0]
        if isinstance(value, Tensor) and value.ndim == 2 and value.shape[0] == shape.numel():
            value = value.reshape(*shape, -1)  # some modules see all tokens in one row
        fits = isinstance(value, Tensor) and value.is_floating_point() and value.ndim >= 3
        if not fits or value.shape[:2] != shape:
            raise InvalidInputError(f"{point} gives no activations of shape (batch, tokens, width)")
        found.setdefault(point, value.flatten(2))
        if len(found) == n_points:
            raise _Read

    return keep
