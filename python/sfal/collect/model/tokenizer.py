"""Text to token ids, by the rule of DESIGN section 1."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sfal.errors import InvalidInputError

T = TypeVar("T")

_LONGEST_TOKEN = 256
"""Characters; the longest tokens in use are runs of about 128 spaces."""


class Tokenizer:
    """A tokenizer that puts BOS in front and cuts.

    Parameters
    ----------
    inner : transformers tokenizer
        As ``AutoTokenizer`` loads it.
    name : str
        Whose tokenizer it is, for messages.
    """

    def __init__(self, inner: Any, name: str) -> None:
        self.inner = inner
        self.name = name
        self.bos_id: int | None = inner.bos_token_id
        self.eos_id: int | None = inner.eos_token_id
        self.pad_id: int | None = inner.pad_token_id
        # Asked of the tokenizer, not of each text: a text may begin with BOS spelled out, and
        # `add_bos_token` says False where a post-processor adds it.
        self._adds_bos = self.bos_id is not None and self._encode(["a"])[0][:1] == [self.bos_id]

    @property
    def special_ids(self) -> frozenset[int]:
        """Ids whose positions are no tokens: BOS, EOS and PAD, as far as there are such."""
        return frozenset(i for i in (self.bos_id, self.eos_id, self.pad_id) if i is not None)

    def tokenize(
        self, texts: Sequence[str], max_length: int, prepend_bos: bool | None = None
    ) -> list[list[int]]:
        """Token ids of each text.

        BOS stands in front where the tokenizer has one, whether it adds it of
        its own accord or not, unless `prepend_bos` is False: then it does not
        stand there either way. A tokenizer without BOS gives the text's own ids.

        Parameters
        ----------
        texts : sequence of str
            Documents.
        max_length : int
            Ids kept of each document, BOS included. Must be > 0.
        prepend_bos : bool, optional
            What the SAE's configuration says; None means yes.

        Returns
        -------
        list of list of int
            One a text, each at most `max_length` long; empty for an empty text without BOS.

        Notes
        -----
        Of a text longer than 256 characters a token only the beginning is
        tokenised, unless that gives fewer than `max_length` ids.
        """
        return self._all(texts, max_length, prepend_bos, self._encode, self.bos_id)

    def spans(
        self, texts: Sequence[str], max_length: int, prepend_bos: bool | None = None
    ) -> list[list[tuple[int, int]]]:
        """Where in its text each of the ids stands that :meth:`tokenize` gives.

        Returns
        -------
        list of list of (int, int)
            First character and the one behind the last; (0, 0) for BOS.

        Raises
        ------
        InvalidInputError
            If the tokenizer cannot say it, as those written in Python cannot.
        """
        if not getattr(self.inner, "is_fast", False):
            raise InvalidInputError(
                f"the tokenizer of {self.name} does not say where in the text its tokens stand, "
                "so there are no examples to be had; leave --examples away"
            )
        return self._all(texts, max_length, prepend_bos, self._offsets, (0, 0))

    def _all(
        self,
        texts: Sequence[str],
        max_length: int,
        prepend_bos: bool | None,
        encode: Callable[[Sequence[str]], list[list[T]]],
        bos: T | None,
    ) -> list[list[T]]:
        if max_length <= 0:
            raise InvalidInputError(f"max_length must be > 0, got {max_length}")
        reach = max_length * _LONGEST_TOKEN
        found = encode([text[:reach] for text in texts])
        for i, text in enumerate(texts):
            if len(text) > reach and len(found[i]) <= max_length:
                found[i] = encode([text])[0]
        return [self._begin(tokens, bos, prepend_bos)[:max_length] for tokens in found]

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        ids: list[list[int]] = self.inner(
            list(texts), return_attention_mask=False, return_token_type_ids=False, verbose=False
        )["input_ids"]
        return ids

    def _offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        if not texts:
            return []
        offsets: list[list[tuple[int, int]]] = self.inner(
            list(texts), return_offsets_mapping=True, verbose=False
        )["offset_mapping"]
        return offsets

    def _begin(self, tokens: list[T], bos: T | None, prepend_bos: bool | None) -> list[T]:
        if self.bos_id is None or bos is None:
            return tokens
        if prepend_bos is False:
            return tokens[1:] if self._adds_bos else tokens
        return tokens if self._adds_bos else [bos, *tokens]
