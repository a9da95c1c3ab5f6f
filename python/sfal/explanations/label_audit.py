"""What is wrong with labels as texts: leaks, duplicates, empty ones, boilerplate.

A language model that explains a feature sometimes answers with its reasoning
("The user wants a concise explanation …"), with the names of the lists in its
prompt (``MAX_ACTIVATING_TOKENS``) or with an apology. Such a text says nothing
about the feature, but it has an embedding, close to those of other leaks.

The patterns are narrow on purpose: "I will", "sure" or "let me" are labels of
features that fire on these words. So an opening in the first person counts only
together with a verb of the explainer's trade.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sfal.errors import InvalidInputError
from sfal.store.explanations import TOP_TOKENS

if TYPE_CHECKING:
    import pyarrow as pa

MAX_WORDS = 60
"""Words above which a text is an answer to a prompt rather than a label."""
BOILERPLATE_SHARE = 0.05
"""Share of the labels above which a common opening is boilerplate."""

LEAK, DUPLICATE, EMPTY, BOILERPLATE = "leak", "duplicate", "empty", "boilerplate"

_MIN_GROUP = 10
"""Labels that must share an opening at least: in a handful, any two are 5 %."""
_OPENING_WORDS = 2

_DO = (
    r"(?:analy[sz]e|break|check|consider|determine|examine|explain|figure|find|follow|identify|"
    r"look|provide|review|see|start|summari[sz]e|think|try|work)\b"
)
_PROMPTS = re.compile(
    r"MAX_ACTIVATING_TOKENS?|TOKENS?_AFTER_MAX_ACTIVATING|TOP_(?:POSITIVE|NEGATIVE)_LOGITS|"
    r"TOP_ACTIVATING_(?:TEXTS?|TOKENS?)|GRAPH_PROMPT|\[EXPLANATION\]|\[CONCEPT\]"
)
"""Names of lists and answers in the prompts of Neuronpedia and delphi; in capitals only."""
_ANYWHERE = re.compile(
    r"(?:max(?:imum|imally)?[- ]activating tokens|top activating texts|top positive logits)\b"
    r"|\bthe user(?:'s)? (?:wants|needs|asks|asked|requests|requested|query is|request is|"
    r"is asking|has (?:asked|given|provided)|gave|provided|wants me)\b.*\b(?:explanation|explain|"
    r"label|neuron|feature|latent|token|word|summary|description)"
    r"|\bexplanation (?:could not be|cannot be|can't be) parsed\b"
    r"|\bexplanation of (?:the )?neuron \d* ?behav\w+\b"
    r"|\(\d+ ?[-–] ?\d+ words\)"
    r"|\b(?:concise|brief|short) (?:explanation|description|label|summary) (?:\(|of \d|in \d|that "
    r"captures)"
    r"|\bas an? (?:ai|large language|language) (?:language )?model\b.*\b(?:i|my)\b"
    r"|\b(?:following|according to|using|use|with|by|so) method \d\b"
    r"|\bmethod \d (?:works|applies|fails|fits|is|does)\b"
    r"|</think>\s*\S",
    re.IGNORECASE | re.DOTALL,
)
_WORDS = (
    "user",
    "activating",
    "logits",
    "expla",
    "concise",
    "brief",
    "short",
    "words)",
    "method",
    "</",
    " model",
)
"""Whatever `_ANYWHERE` finds has one of these; looking for them first is ten times as fast."""
_OPENINGS = re.compile(
    r"[\s*_#>\"'`(]*(?:"
    rf"(?:(?:okay|ok|sure|alright|hmm|well|so|wait|first)[,.!:]? )*(?:let's|let us|let me|i'll|"
    rf"i will|i should|i must|i can|(?:i|we) (?:need|have|want) to|we should|we must|my task is to|"
    rf"the task is to|to) (?:\w+ )?{_DO}.*\b(?:explanation|neuron|feature|latent|token|text|"
    r"example|list|pattern|activat\w+|instruction|prompt|method)"
    r"|(?:i'm|i am) (?:sorry|unable)\b.*"
    r"|i (?:cannot|can't|could not|couldn't|do not|don't) (?:find|determine|identify|provide|see|"
    r"have)\b.*\b(?:pattern|explanation|information|enough|common|clear)"
    r"|(?:sure|certainly|of course|okay)[,!.:]? (?:here|the explanation|i)\b"
    r"|here(?:'s| is| are) (?:the|a|an|my|your) (?:\w+ ){0,3}(?:explanation|answer|label|summary|"
    r"analysis|description)"
    r"|(?:based on|looking at|given|considering) (?:the|these|all the|this) (?:\w+ ){0,2}(?:tokens|"
    r"texts|examples|lists|activations|data|logits|information|excerpts)\b"
    r"|the (?:provided|given|activating|top activating) (?:\w+ )?(?:tokens|texts|examples|lists|"
    r"documents|data)\b.*\b(?:show|are|is|share|contain|suggest|indicate|do not|don't|seem)"
    r"|(?:final |the )?explanation\**:\** ?\**\w+ \w+"
    r"|(?:reasoning|analysis|thought process|rationale|chain of thought)\**:\** ?\**(?:\w+\W+){4}"
    r"|(?:method|step) \d ?[:.)-]"
    r"|<think>.{20}"
    r"|```"
    r")",
    re.IGNORECASE | re.DOTALL,
)


def check_leaks(choice: str) -> None:
    """Refuse anything but ``keep`` and ``drop`` as the treatment of leaks.

    Raises
    ------
    InvalidInputError
        If it is something else.
    """
    if choice not in ("keep", "drop"):
        raise InvalidInputError(f"leaks is {choice!r}", hint="give $leaks(drop) or $leaks(keep)")


@dataclass(frozen=True)
class LabelAudit:
    """How many labels have which problem."""

    n_leaks: int = 0
    """Labels that are reasoning or prompts of the explainer."""
    n_duplicates: int = 0
    """Labels whose text another feature has too."""
    n_empty: int = 0
    """Labels without a text."""
    openings: tuple[tuple[str, float], ...] = ()
    """Words with which many labels begin, and the share of the labels, the most frequent first."""


def leak_reason(text: str) -> str | None:
    """Return why a label is the explainer's reasoning or prompt, or None if it is not.

    Examples
    --------
    >>> leak_reason("The user wants a concise explanation (3-20 words) of the neuron")
    'reasoning of the explainer'
    >>> leak_reason("the phrase 'let me know'") is None
    True
    """
    if _PROMPTS.search(text):
        return "prompt of the explainer"
    lower = text.lower()
    if _OPENINGS.match(text) or (any(w in lower for w in _WORDS) and _ANYWHERE.search(text)):
        return "reasoning of the explainer"
    if len(text.split()) > MAX_WORDS:
        return f"more than {MAX_WORDS} words"
    return None


def audit_labels(texts: Sequence[str | None], features: Sequence[int] | None = None) -> "pa.Table":
    """Return what is wrong with labels as texts.

    Parameters
    ----------
    texts : sequence of str or None
        One label per feature.
    features : sequence of int, optional
        Features of the labels; default: their positions.

    Returns
    -------
    table : Table
        Columns feature (uint32), problem (text: ``leak``, ``duplicate``,
        ``empty`` or ``boilerplate``) and detail (text); a row per problem, by
        feature. A label may have several.
    """
    import pyarrow as pa

    numbers = range(len(texts)) if features is None else features
    plain = [(text or "").strip() for text in texts]
    shared = Counter(filter(None, plain))
    openings = dict(_common_openings(plain))
    rows: list[tuple[int, str, str]] = []
    for feature, text in zip(numbers, plain, strict=True):
        if not text:
            rows.append((int(feature), EMPTY, ""))
            continue
        if (reason := leak_reason(text)) is not None:
            rows.append((int(feature), LEAK, reason))
        if shared[text] > 1:
            rows.append((int(feature), DUPLICATE, f"{shared[text]} features have this text"))
        opening = _opening(text)
        if opening in openings:
            detail = f"{openings[opening]:.0%} begin with “{opening}”"
            rows.append((int(feature), BOILERPLATE, detail))
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    types = (pa.uint32(), pa.string(), pa.string())
    arrays = [pa.array(list(c), type=t) for c, t in zip(columns, types, strict=True)]
    return pa.table(arrays, names=["feature", "problem", "detail"])


def audit_explanations(table: "pa.Table") -> LabelAudit:
    """Count what is wrong with chosen explanations.

    Parameters
    ----------
    table : Table
        As :func:`sfal.store.explanations.read_explanations` returns it.
    """
    texts = table.column("explanation").to_pylist()
    shared = Counter(texts)
    return LabelAudit(
        n_leaks=sum(leaks(table)),
        n_duplicates=sum(n for n in shared.values() if n > 1),
        n_empty=sum(not text.strip() for text in texts),
        openings=tuple(_common_openings(texts)),
    )


def leaks(table: "pa.Table") -> list[bool]:
    """Return for each chosen explanation whether it is the explainer's reasoning or prompt.

    Labels of top tokens quote the text on which a feature fires, so they are none.
    """
    texts, types = (table.column(name).to_pylist() for name in ("explanation", "type"))
    return [
        type_ != TOP_TOKENS and leak_reason(text) is not None
        for text, type_ in zip(texts, types, strict=True)
    ]


def _common_openings(texts: Iterable[str]) -> list[tuple[str, float]]:
    counts = Counter(map(_opening, filter(None, texts)))
    total = counts.total()
    del counts[""]
    return [
        (opening, n / total)
        for opening, n in counts.most_common()
        if n >= _MIN_GROUP and n > BOILERPLATE_SHARE * total
    ]


def _opening(text: str) -> str:
    """Return the first words in lower case; empty for a text that has no more than these."""
    words = text.split(None, _OPENING_WORDS)
    return " ".join(words[:_OPENING_WORDS]).lower() if len(words) > _OPENING_WORDS else ""
