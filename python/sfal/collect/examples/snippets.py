"""A token as a reader sees it: as whole words, with some words on both sides."""

import re
from typing import NamedTuple

_WORDS = 8
"""Words on each side."""
_CHARACTERS = 80
"""Characters on each side at most."""
_REACH = 40
"""Characters by which a token is extended on each side at most."""

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Scripts without spaces between words: there a token is not extended."""


class Snippet(NamedTuple):
    """A token and the words around it."""

    token: str
    """The token, extended to whole words if it is part of one."""
    before: str
    """Words before it, with single spaces between them."""
    after: str
    """Words after it, likewise."""


def snippet(text: str, start: int, stop: int) -> Snippet:
    """Cut a token and the words around it from a document.

    Parameters
    ----------
    text : str
        The document.
    start, stop : int
        First character of the token, and the one after its last.

    Examples
    --------
    >>> snippet("He left Paris, the capital.", 9, 12)
    Snippet(token='Paris', before='He left', after=', the capital.')
    """
    token = text[start:stop]
    if token.strip():
        start += len(token) - len(token.lstrip())
        stop -= len(token) - len(token.rstrip())
        first = max(start - _REACH, 0)
        while start > first and _in_word(text, start - 1) and _in_word(text, start):
            start -= 1
        last = min(stop + _REACH, len(text))
        while stop < last and _in_word(text, stop - 1) and _in_word(text, stop):
            stop += 1
        token = text[start:stop]
    before = text[max(start - _CHARACTERS, 0) : start].split()[-_WORDS:]
    after = text[stop : stop + _CHARACTERS].split()[:_WORDS]
    return Snippet(token, " ".join(before), " ".join(after))


def _in_word(text: str, i: int) -> bool:
    character = text[i]
    if character in "'’":  # as in don't
        return 0 < i < len(text) - 1 and _is_letter(text[i - 1]) and _is_letter(text[i + 1])
    return _is_letter(character)


def _is_letter(character: str) -> bool:
    return (character.isalnum() or character == "_") and not _UNSPACED.match(character)
