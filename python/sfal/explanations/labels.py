"""Labels made of the words on which a feature fires most strongly.

They are for features that nobody has explained. A label comes from the same SAE
and the same kind of text as the co-occurrences. The documents differ, so no
text is used twice. Yet features that fire on the same words get similar labels,
and they also fire in the same windows; so a score with these labels says
whether features with similar top tokens fire together, not whether an
independent explanation fits. That is why these labels have their own type and
explainer.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sfal.errors import InvalidInputError

LABEL_EXPLAINER = "sfal"
"""Explainer that these labels name."""

_WORD, _NUMBER, _SIGN, _BLANK = range(4)
_MAX_CHARACTERS = 40
"""Most characters of a word in a label; longer words are cut."""


@dataclass
class _Unit:
    """A word, number or sign among a feature's tokens, in any case."""

    category: int
    """Word, number, sign or white space."""
    weight: float = 0.0
    """Sum of the activations on it, in units of the feature's largest."""
    spellings: dict[str, float] = field(default_factory=dict)
    """The weight of each spelling, in order of appearance."""

    @property
    def spelling(self) -> str:
        """The spelling with the largest weight; of equal ones the first seen."""
        return max(self.spellings, key=lambda text: self.spellings[text])


def top_words(examples: Iterable[tuple[str, float]], n_words: int) -> str:
    """Return the label of a feature: the words on which it fires most often and most strongly.

    Each token is weighted by its activation, and words that differ only in case
    are one word. Signs are named only if they outweigh words and numbers, and
    many different numbers are summarised as numbers.

    Parameters
    ----------
    examples : iterable of (str, float)
        Token, extended to whole words, and activation, the largest first.
    n_words : int
        Most words of the label. Must be > 0.

    Returns
    -------
    str
        The label; empty if there is no example.

    Raises
    ------
    InvalidInputError
        If `n_words` is not positive.

    Examples
    --------
    >>> top_words([("Paris", 9.0), ("London", 8.0), ("PARIS", 7.0), (",", 6.0)], 4)
    'Paris, London'
    >>> top_words([(",", 9.0), (".", 8.0), (",", 7.0), ("he", 1.0)], 4)
    'punctuation , .'
    >>> top_words([(str(year), 2.0) for year in range(1914, 1925)], 3)
    'numbers such as 1914, 1915, 1916'
    """
    if n_words <= 0:
        raise InvalidInputError(f"n_words is {n_words}, but must be at least 1")
    units: dict[tuple[int, str], _Unit] = {}
    largest = 0.0
    for token, activation in examples:
        largest = max(largest, activation)
        category, text = _shown(token)
        unit = units.setdefault((category, text.casefold()), _Unit(category))
        weight = activation / largest if largest > 0 else 1.0
        unit.weight += weight
        unit.spellings[text] = unit.spellings.get(text, 0.0) + weight
    if not units:
        return ""
    ranked = sorted(units.values(), key=lambda unit: -unit.weight)
    named = {c: [u.spelling for u in ranked if u.category == c] for c in range(4)}
    total = {c: sum(u.weight for u in ranked if u.category == c) for c in range(4)}
    if total[_SIGN] + total[_BLANK] > total[_WORD] + total[_NUMBER]:
        # Named in words: an embedder makes little of a sign alone.
        signs = [" ".join(["punctuation", *named[_SIGN][:n_words]])] if named[_SIGN] else []
        return ", ".join(signs + named[_BLANK])
    if total[_NUMBER] > total[_WORD] and len(named[_NUMBER]) > n_words:
        return f"numbers such as {', '.join(named[_NUMBER][:n_words])}"
    return ", ".join([u.spelling for u in ranked if u.category in (_WORD, _NUMBER)][:n_words])


def _shown(token: str) -> tuple[int, str]:
    """Return a token's category and how a label shows it: on one line, white space by name."""
    text = " ".join(token.split())
    if not text:
        return _BLANK, "line break" if "\n" in token or "\r" in token else "space"
    shown = text if len(text) <= _MAX_CHARACTERS else text[: _MAX_CHARACTERS - 1] + "…"
    if any(c.isalpha() for c in text):
        return _WORD, shown
    return (_NUMBER if any(c.isnumeric() for c in text) else _SIGN), shown
