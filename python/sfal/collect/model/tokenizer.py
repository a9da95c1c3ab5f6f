"""Documents to token ids: BOS in front, cut to a maximum length, special tokens known."""

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any, TypeVar

from sfal.collect.corpus.document import Conversation, Document, TokenIds
from sfal.collect.model.chat import ChatTemplate
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
        """Ids whose positions in a text do not count as tokens: BOS, EOS and PAD if they exist."""
        self.chat = ChatTemplate.of(inner, name)
        """The chat template; None if the tokenizer has none."""
        # Found out once, not from each text: a text may begin with BOS spelled out, and
        # `add_bos_token` is False where a post-processor adds it.
        self._first_id = inner.eos_token_id if self.bos_id is None else self.bos_id
        self._adds_bos = self.bos_id is not None and self._encode(["a"])[0][:1] == [self.bos_id]

    @cached_property
    def control_ids(self) -> frozenset[int]:
        """All special tokens, such as those that a chat template puts between messages."""
        added = getattr(self.inner, "added_tokens_decoder", {})
        special = {i for i, token in added.items() if getattr(token, "special", False)}
        return self.special_ids.union(special, getattr(self.inner, "all_special_ids", ()))

    def special_ids_in(self, document: Document) -> frozenset[int]:
        """Return the ids whose positions in a document do not count as tokens.

        In a text they are BOS, EOS and PAD; in a conversation and among token
        ids, all special tokens.
        """
        plain = isinstance(document, str) or self._is_joined(document)
        return self.special_ids if plain else self.control_ids

    def readable(self, document: Document) -> str:
        """Return a document as a text: what is tokenised, or what token ids stand for.

        Raises
        ------
        InvalidInputError
            If the chat template refuses a conversation.
        """
        if isinstance(document, str):
            return document
        if isinstance(document, TokenIds):
            return "".join(self._pieces(document))
        return document.joined if self.chat is None else self.chat.render(document)

    def tokenize(
        self, documents: Sequence[Document], max_length: int, prepend_bos: bool | None = None
    ) -> list[list[int]]:
        """Return the token ids of each document.

        A conversation goes through the chat template if there is one; without
        one, its contents are joined by line breaks. Token ids stay as they are,
        without a BOS that they lack. In front of all other documents stands the
        BOS, if the tokenizer has one, whether or not it adds it by itself; if
        `prepend_bos` is False it never does. Where a tokenizer has none (Qwen's,
        for example), EOS takes its place if `prepend_bos` is True, as in
        TransformerLens; if it is None, the ids of the text are returned alone.

        Parameters
        ----------
        documents : sequence of Document
            Texts, conversations or token ids.
        max_length : int
            Ids kept per document, BOS included; > 0.
        prepend_bos : bool, optional
            What the SAE's configuration says; None means yes.

        Returns
        -------
        list of list of int
            One per document, each at most `max_length` long; empty for an empty text without BOS.

        Raises
        ------
        InvalidInputError
            If the chat template refuses a conversation.

        Notes
        -----
        If a text is longer than 256 characters per token allowed, only its
        beginning is tokenised, unless that gives fewer than `max_length` ids.
        """
        return self._all(
            documents,
            max_length,
            prepend_bos,
            self._encode,
            self._first_id,
            lambda one: list(one.ids),
        )

    def first_token(self, prepend_bos: bool | None) -> str | None:
        """Return what comes before each text: ``bos``, ``eos`` in its place, or None."""
        if self.bos_id is not None:
            return None if prepend_bos is False else "bos"
        return "eos" if prepend_bos is True and self._first_id is not None else None

    def spans(
        self, documents: Sequence[Document], max_length: int, prepend_bos: bool | None = None
    ) -> list[list[tuple[int, int]]]:
        """Return where in its :meth:`readable` text each id that :meth:`tokenize` returns is.

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
        return self._all(
            documents, max_length, prepend_bos, self._offsets, (0, 0), self._spans_of_ids
        )

    def _all(
        self,
        documents: Sequence[Document],
        max_length: int,
        prepend_bos: bool | None,
        encode: Callable[[Sequence[str], bool], list[list[T]]],
        bos: T | None,
        of_ids: Callable[[TokenIds], list[T]],
    ) -> list[list[T]]:
        if max_length <= 0:
            raise InvalidInputError(f"max_length is {max_length}, but must be at least 1")
        found: list[list[T]] = [[]] * len(documents)
        plain: list[int] = []
        chats: list[int] = []
        for i, document in enumerate(documents):
            if isinstance(document, TokenIds):
                found[i] = of_ids(document)[:max_length]
            else:
                (plain if isinstance(document, str) or self._is_joined(document) else chats).append(
                    i
                )
        texts = [self.readable(documents[i]) for i in plain]
        for i, tokens in zip(plain, self._beginnings(texts, max_length, encode, True), strict=True):
            found[i] = self._begin(tokens, bos, prepend_bos)[:max_length]
        texts = [self.readable(documents[i]) for i in chats]
        encoded = self._beginnings(texts, max_length, encode, False)
        for i, text, tokens in zip(chats, texts, encoded, strict=True):
            found[i] = self._begin_chat(text, tokens, bos, prepend_bos)[:max_length]
        return found

    def _beginnings(
        self,
        texts: Sequence[str],
        max_length: int,
        encode: Callable[[Sequence[str], bool], list[list[T]]],
        with_special: bool,
    ) -> list[list[T]]:
        """Encode texts, of long ones only as much as is needed."""
        reach = max_length * _LONGEST_TOKEN
        found = encode([text[:reach] for text in texts], with_special)
        for i, text in enumerate(texts):
            if len(text) > reach and len(found[i]) <= max_length:
                found[i] = encode([text], with_special)[0]
        return found

    def _is_joined(self, document: Document) -> bool:
        return isinstance(document, Conversation) and self.chat is None

    def _pieces(self, document: TokenIds) -> list[str]:
        """Return the text of each id alone; what several ids spell together may be garbled."""
        return [self.inner.decode([i]) for i in document.ids]

    def _spans_of_ids(self, document: TokenIds) -> list[tuple[int, int]]:
        stops = list(accumulate(map(len, self._pieces(document))))
        return list(zip([0, *stops], stops, strict=False))

    def _encode(self, texts: Sequence[str], with_special: bool = True) -> list[list[int]]:
        if not texts:
            return []
        ids: list[list[int]] = self.inner(
            list(texts),
            add_special_tokens=with_special,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )["input_ids"]
        return ids

    def _offsets(self, texts: Sequence[str], with_special: bool) -> list[list[tuple[int, int]]]:
        if not texts:
            return []
        offsets: list[list[tuple[int, int]]] = self.inner(
            list(texts),
            add_special_tokens=with_special,
            return_offsets_mapping=True,
            verbose=False,
        )["offset_mapping"]
        return offsets

    def _begin_chat(
        self, text: str, tokens: list[T], bos: T | None, prepend_bos: bool | None
    ) -> list[T]:
        """Put one BOS in front of what a chat template made, which may have begun with some."""
        if self.bos_id is None or bos is None:
            return tokens
        spelled = str(self.inner.bos_token)
        written = 0
        while text.startswith(spelled, written * len(spelled)):
            written += 1
        rest = tokens[written:]
        return rest if prepend_bos is False else [bos, *rest]

    def _begin(self, tokens: list[T], bos: T | None, prepend_bos: bool | None) -> list[T]:
        if bos is None or (self.bos_id is None and prepend_bos is not True):
            return tokens
        if prepend_bos is False:
            return tokens[1:] if self._adds_bos else tokens
        return tokens if self._adds_bos else [bos, *tokens]
