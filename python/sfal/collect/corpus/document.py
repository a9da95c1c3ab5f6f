"""Documents as corpora give them: texts, conversations, and token ids."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sfal.errors import InvalidInputError

USUAL = ("messages", "conversations", "conversation", "input_ids")
"""Names that columns of conversations and of token ids usually have."""
_ROLES = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "ai": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "observation": "tool",
}
"""Roles as ShareGPT spells them, and as chat templates do."""
_LISTED = re.compile(r"\s*\[?\s*-?\d+([\s,;]+-?\d+)*\s*\]?\s*")
_NUMBER = re.compile(r"-?\d+")
_NO_LABEL = -100
_OTHER = "name another column or key with $text_column, or one of token ids with $tokens_column"
_MASKED = (
    "-100 marks tokens that a loss leaves out, so these are labels; name the column of the model's "
    "input ids with $tokens_column"
)


@dataclass(frozen=True)
class TokenIds:
    """A document that is tokenised already."""

    ids: tuple[int, ...]
    """Token ids."""
    where: str = field(default="", compare=False)
    """Where the document stands, for messages."""


@dataclass(frozen=True)
class Conversation:
    """A document of several messages."""

    messages: tuple[Mapping[str, Any], ...]
    """Each with ``role``, ``content`` (text), and whatever else a chat template may read."""
    where: str = field(default="", compare=False)
    """Where the document stands, for messages."""

    @property
    def calls_tools(self) -> bool:
        """Whether a message calls a tool, which its content does not say."""
        return any(message.get("tool_calls") for message in self.messages)

    @property
    def joined(self) -> str:
        """The contents of all messages, joined by line breaks."""
        return "\n".join(message["content"] for message in self.messages)


Document = str | TokenIds | Conversation
"""One document of a corpus."""


def document_bytes(document: Document) -> bytes:
    """Return bytes that equal documents share: UTF-8 for a text, JSON for the others."""
    if isinstance(document, str):
        return document.encode()
    content: Any = document.ids if isinstance(document, TokenIds) else document.messages
    return json.dumps(content, sort_keys=True, default=str).encode()


def clean(text: str) -> str:
    """Replace unpaired surrogates, which JSON may contain and a tokenizer does not accept."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@dataclass(frozen=True)
class Column:
    """The column, or key, that holds the documents, and how its values are read."""

    name: str
    """Name of the column."""
    only_ids: bool = False
    """Whether it must hold token ids."""
    as_chat: bool = True
    """Whether conversations stay conversations, for a chat template; otherwise their contents are
    joined by line breaks."""

    def document(self, value: object, where: str) -> Document:
        """Turn a value of the column into a document; a missing value is an empty document.

        Parameters
        ----------
        value : object
            As JSON or Arrow gives it.
        where : str
            Where it stands, for messages.

        Raises
        ------
        InvalidInputError
            If it is neither text nor a conversation nor token ids.
        """
        if value is None:
            return ""
        listed = self.name in USUAL and not self.only_ids
        if isinstance(value, str) and listed and value.lstrip().startswith("["):
            try:  # a list that was written as text, since a CSV file, say, has no lists
                value = json.loads(value)
            except ValueError:
                raise self._refusal(where, "is a list written as text, but not as JSON") from None
        if isinstance(value, str) and not self.only_ids:
            return clean(value)
        if isinstance(value, str) and (not value or _LISTED.fullmatch(value)):
            value = [int(one) for one in _NUMBER.findall(value)]  # the cell of a CSV file
        if isinstance(value, Mapping) and not self.only_ids:
            value = _transposed(value)  # as `datasets` once stored sequences of records
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            if not value:
                return ""
            if all(type(one) is int for one in value):
                return self._ids(value, where)
            if not self.only_ids and all(isinstance(one, Mapping) for one in value):
                found = Conversation(
                    tuple(self._message(one, where, n) for n, one in enumerate(value, 1)), where
                )
                return found if self.as_chat else found.joined
        raise self._refusal(
            where, f"is {_kind(value)}, not {'token ids' if self.only_ids else 'text'}"
        )

    def _ids(self, value: Sequence[int], where: str) -> TokenIds:
        array = np.array(value)
        if array.dtype != np.int64 or int(array.min()) < 0:
            wrong = min(value) if min(value) < 0 else max(value)
            raise InvalidInputError(
                f"{where}: {self.name!r} has token id {wrong}",
                hint=_MASKED if wrong == _NO_LABEL else _OTHER,
            )
        return TokenIds(tuple(value), where)

    def _message(self, given: Mapping[str, Any], where: str, number: int) -> dict[str, Any]:
        facts = {key: value for key, value in given.items() if value is not None}
        if "from" in facts and "role" not in facts:  # ShareGPT
            speaker = facts.pop("from")
            facts["role"] = _ROLES.get(speaker, speaker) if isinstance(speaker, str) else speaker
            facts["content"] = facts.pop("value", facts.get("content"))
        role, content = facts.get("role"), facts.get("content", "")
        if isinstance(content, list):
            content = self._joined_parts(content, where, number)
        if not isinstance(role, str) or not isinstance(content, str):
            lacking = "role" if not isinstance(role, str) else "content that is text"
            raise self._refusal(
                where, f"has a conversation whose message {number} has no {lacking}"
            )
        return {**facts, "role": clean(role), "content": clean(content)}

    def _joined_parts(self, content: Sequence[Any], where: str, number: int) -> str:
        """Return the text of a content that comes in parts."""
        texts = []
        for part in content:
            text = part.get("text") if isinstance(part, Mapping) else part
            if not isinstance(text, str):
                kind = part.get("type") if isinstance(part, Mapping) else None
                raise InvalidInputError(
                    f"{where}: {self.name!r} has a conversation whose message {number} has a part "
                    f"of type {kind or type(part).__name__}, which is not text",
                    hint="remove such conversations from the corpus, or such parts from them",
                )
            texts.append(text)
        return "".join(texts)

    def _refusal(self, where: str, what: str) -> InvalidInputError:
        return InvalidInputError(f"{where}: {self.name!r} {what}", hint=_OTHER)


def _transposed(value: Mapping[str, Any]) -> object:
    """Return a mapping of equally long lists as a list of mappings; anything else as it is."""
    lists = [one for one in value.values() if isinstance(one, list)]
    if not lists or len(lists) != len(value) or len({len(one) for one in lists}) != 1:
        return value
    return [dict(zip(value, row, strict=True)) for row in zip(*lists, strict=True)]


def _kind(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        kinds = dict.fromkeys(
            "missing value" if one is None else type(one).__name__ for one in value
        )
        return f"a list of {' and '.join(kinds)}"
    return type(value).__name__
