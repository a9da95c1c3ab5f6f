"""What is wrong with the labels of a source, as text for the terminal."""

from collections.abc import Iterator

from sfal.scoring.audit import RELIABLE, WRONG_P, Audit, Suspect
from sfal.terminal.table import cut, one_line
from sfal.terminal.units import counted

_TEXT = {
    "leak": ("is the explainer's prompt or reasoning", "are the explainer's prompt or reasoning"),
    "duplicate": ("shares its text with another feature", "share their text with another feature"),
    "empty": ("has no text", "have no text"),
    "boilerplate": (
        "begins with the same words as many others",
        "begin with the same words as many others",
    ),
}
"""What is wrong with one label, and with several."""
_BETTER = 2
_EXAMPLES = 3


def audit_text(audit: Audit, shown: int, width: int) -> list[str]:
    """Lay out an audit in lines.

    Parameters
    ----------
    audit : Audit
        As :func:`sfal.scoring.audit.audit_source` makes it.
    shown : int
        Suspects to show.
    width : int
        Columns of the terminal.

    Returns
    -------
    lines : list of str
    """
    n = len(audit.suspects)
    lines = [
        f"{audit.source}: {counted(audit.n_labels, 'label')} by {audit.explainer}, embedded by "
        f"{audit.embedder}",
        "",
        f"Labels to check: {n:,} (more than 1 in {round(1 / WRONG_P)} labels fits at least as well)"
        + _worst(shown, n),
    ]
    for one in audit.suspects[:shown]:
        lines += ["", *suspect_lines(one, audit.n_labels, width)]
    if audit.n_unreliable:
        lines += [
            "",
            f"Not judged: {counted(audit.n_unreliable, 'feature')} whose co-occurrence differs too "
            f"much from one half of the text to the other (ceiling below {f'{RELIABLE:g}'[1:]})",
        ]
    return [*lines, "", *_texts(audit, width)]


def _worst(shown: int, n: int) -> str:
    """Say how many of the suspects follow, if not all do."""
    if n <= shown:
        return ""
    return "; the worst" if shown == 1 else f"; the {shown:,} worst"


def suspect_lines(one: Suspect, n_labels: int, width: int) -> Iterator[str]:
    """Lay out a suspect: its label, the labels that fit better, and the neighbours that say so."""
    yield cut(f"  {one.feature:>6}  {_quoted(one.explanation)}", width)
    ceiling = "" if one.ceiling != one.ceiling else f", ceiling {one.ceiling:.2f}"
    yield f"          label rank {one.label_rank:,} of {n_labels:,}, sfal {one.sfal:+.3f}{ceiling}"
    for feature, sfal, text in one.better[:_BETTER]:
        yield cut(f"          better {sfal:+.3f}  {_quoted(text)} (feature {feature})", width)
    if one.neighbours:
        near = ", ".join(map(_quoted, one.neighbours))
        yield cut(f"          fires with {near}", width)


def _texts(audit: Audit, width: int) -> Iterator[str]:
    problems = audit.problems
    if not problems:
        yield "No text is faulty."
    for problem, n in problems.items():
        yield f"{counted(n, 'label')} {_TEXT[problem][n != 1]}"
        found = [text for text in audit.texts if text.problem == problem][:_EXAMPLES]
        for text in found:
            yield cut(f"  {text.feature:>6}  {_quoted(text.explanation)} ({text.detail})", width)


def _quoted(text: str) -> str:
    return f"“{one_line(text)}”" if text else "(no text)"
