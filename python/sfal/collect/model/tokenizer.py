"""Text to token ids: BOS in front, cut to a maximum length, special tokens known."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sfal.errors import InvalidInputError

T = TypeVar("T")

_LONGEST_TOKEN = 256
"""Characters per token; the longest tokens in use are runs of about 128 spaces."""


class Tokenizer:
    """A tokenizer that puts BOS in front and truncates.

    Parameters
    ----------
    inner : transformers tokenizer
        As ``AutoTokenizer`` loads it.
    name : str
        Name of the model it belongs to, for messages.
    """

    def __init__(self, inner: Any, name: str) -> None:
        self.inner = inner
        self.name = name
        self.bos_id: int | None = inner.bos_token_id
        special = (inner.bos_token_id, inner.eos_token_id, inner.pad_token_id)
        self.special_ids: frozenset[int] = frozenset(i for i in special if i is not None)
        """Ids whose positions do not count as tokens: those of BOS, EOS and PAD that exist."""
        # Found out once, not from each text: a text may begin with BOS spelled out, and
        # `add_bos_token` is False where a post-processor adds it.
        self._first_id = inner.eos_token_id if self.bos_id is None else self.bos_id
        self._adds_bos = self.bos_id is not None and self._encode(["a"])[0][:1] == [self.bos_id]

    def tokenize(
        self, texts: Sequence[str], max_length: int, prepend_bos: bool | None = None
    ) -> list[list[int]]:
        """Return the token ids of each text.

        If the tokenizer has a BOS, it comes first, whether or not the tokenizer
        adds it by itself; if `prepend_bos` is False it never does. Where a
        tokenizer has none (Qwen's, for example), EOS takes its place if
        `prepend_bos` is True, as TransformerLens does it; if it is None, the ids
        of the text are returned alone.

        Parameters
        ----------
        texts : sequence of str
            Documents.
        max_length : int
            Ids kept per document, BOS included; > 0.
        prepend_bos : bool, optional
            What the SAE's configuration says; None means yes.

        Returns
        -------
        list of list of int
            One per text, each at most `max_length` long; empty for an empty text without BOS.

        Notes
        -----
        If a text is longer than 256 characters per token allowed, only its
        beginning is tokenised, unless that gives fewer than `max_length` ids.
        """
        return self._all(texts, max_length, prepend_bos, self._encode, self._first_id)

    def first_token(self, prepend_bos: bool | None) -> str | None:
        """Return what comes before each text: ``bos``, ``eos`` in its place, or None."""
        if self.bos_id is not None:
            return None if prepend_bos is False else "bos"
        return "eos" if prepend_bos is True and self._first_id is not None else None

    def spans(
        self, texts: Sequence[str], max_length: int, prepend_bos: bool | None = None
    ) -> list[list[tuple[int, int]]]:
        """Return the position in its text of each id that :meth:`tokenize` returns.

        Returns
        -------
        list of list of (int, int)
            First character and the one after the last; (0, 0) for BOS.

        Raises
        ------
        InvalidInputError
            If the tokenizer cannot tell, as those written in Python cannot.
        """
        if not getattr(self.inner, "is_fast", False):
            raise InvalidInputError(
                f"the tokenizer of {self.name} does not report where in the text its tokens are, "
                "so no examples can be cut from it",
                hint="leave out $examples",
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
            raise InvalidInputError(f"max_length is {max_length}, but must be at least 1")
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
        if bos is None or (self.bos_id is None and prepend_bos is not True):
            return tokens
        if prepend_bos is False:
            return tokens[1:] if self._adds_bos else tokens
        return tokens if self._adds_bos else [bos, *tokens]
