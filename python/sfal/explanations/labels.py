"""Labels from the words on which a feature fires most strongly, where nobody has explained it.

What such a label cannot show: it comes from the same SAE and the same kind of
text as the co-occurrences. The documents are others, so no single text speaks
twice. Yet features that fire on the same words get like labels, and they also
fire in the same windows; so a score with these labels says whether features
with like top tokens fire together, not whether an independent explanation fits.
That is why they carry a type and an explainer of their own.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sfal.errors import InvalidInputError

LABEL_EXPLAINER = "sfal"
"""Explainer of these explanations."""

_WORD, _NUMBER, _SIGN, _BLANK = range(4)
_MOST = 40
"""Characters of a word that a label shows."""


@dataclass
class _Unit:
    """A word, number or sign among a feature's tokens, in whatever case."""

    sort: int
    """Word, number, sign or white space."""
    weight: float = 0.0
    """Activations on it, the feature's strongest as 1."""
    spellings: dict[str, float] = field(default_factory=dict)
    """The same by spelling; in order of appearance."""

    @property
    def spelling(self) -> str:
        """The spelling with most weight; of equal ones the one seen first."""
        return max(self.spellings, key=lambda text: self.spellings[text])


def top_words(examples: Iterable[tuple[str, float]], n_words: int) -> str:
    """Label of a feature: the words on which it fires most often and most strongly.

    Each token counts as much as its activation; words alike but for case are
    one. Signs are named only where they outweigh words and numbers, and many
    different numbers are called numbers.

    Parameters
    ----------
    examples : iterable of (str, float)
        Token, grown to whole words, and activation, the strongest first.
    n_words : int
        Words of the label at most. Must be > 0.

    Returns
    -------
    str
        Empty if there is no example.

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
        raise InvalidInputError(f"words of a label must be > 0, got {n_words}")
    units: dict[tuple[int, str], _Unit] = {}
    strongest = 0.0
    for token, activation in examples:
        strongest = max(strongest, activation)
        sort, text = _shown(token)
        unit = units.setdefault((sort, text.casefold()), _Unit(sort))
        weight = activation / strongest if strongest > 0 else 1.0
        unit.weight += weight
        unit.spellings[text] = unit.spellings.get(text, 0.0) + weight
    if not units:
        return ""
    ranked = sorted(units.values(), key=lambda unit: -unit.weight)
    named = {sort: [u.spelling for u in ranked if u.sort == sort] for sort in range(4)}
    total = {sort: sum(u.weight for u in ranked if u.sort == sort) for sort in range(4)}
    if total[_SIGN] + total[_BLANK] > total[_WORD] + total[_NUMBER]:
        # Called by name: an embedder makes little of a sign alone.
        signs = [" ".join(["punctuation", *named[_SIGN][:n_words]])] if named[_SIGN] else []
        return ", ".join(signs + named[_BLANK])
    if total[_NUMBER] > total[_WORD] and len(named[_NUMBER]) > n_words:
        return f"numbers such as {', '.join(named[_NUMBER][:n_words])}"
    return ", ".join([u.spelling for u in ranked if u.sort in (_WORD, _NUMBER)][:n_words])


def _shown(token: str) -> tuple[int, str]:
    """What a token is, and how a label shows it: on one line, white space by name."""
    text = " ".join(token.split())
    if not text:
        return _BLANK, "line break" if "\n" in token or "\r" in token else "space"
    shown = text if len(text) <= _MOST else text[: _MOST - 1] + "…"
    if any(c.isalpha() for c in text):
        return _WORD, shown
    return (_NUMBER if any(c.isnumeric() for c in text) else _SIGN), shown
