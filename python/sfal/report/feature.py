"""One feature as text for the terminal, with both of its neighbourhoods."""

import math
from collections.abc import Sequence

from sfal.scoring.feature import FeatureView, Neighbour
from sfal.terminal.table import Column, cut, one_line, render_table, side_by_side

_NARROWEST = 34
"""Narrowest list that still shows a few words of an explanation."""

_MEANS_THE_SAME = "means the same (cosine)"

_MATCH = 50
"""Places of the other list that count as a match."""

_COLUMNS = (
    Column(),
    Column(align="right"),
    Column(align="right"),
    Column(align="right"),
    Column(shrinks=True),
)


def feature_text(view: FeatureView, width: int) -> list[str]:
    """Lay out a feature in lines.

    Parameters
    ----------
    view : FeatureView
        As :func:`sfal.scoring.feature.view_feature` computes it.
    width : int
        Columns of the terminal; the lists take at least 71.

    Returns
    -------
    lines : list of str
    """
    share = view.windows / view.n_windows if view.n_windows else 0.0
    lines = [
        f"{view.source}, feature {view.feature}",
        f"  explanation  {one_line(view.explanation) or '(none)'}",
        f"               {view.kind} by {view.explainer}, embedded by {view.embedder}",
        f"  fires in     {view.windows:,} of {view.n_windows:,} windows ({share:.1%})",
    ]
    if math.isnan(view.ndcg):
        lines.append(f"  score        none: the feature is {view.status.replace('_', ' ')}")
    else:
        lines += _score(view, width)
    if view.url:
        lines.append(f"  page         {view.url}")
    return [*lines, "", *(_both_lists(view, width) or _separate_lists(view, width))]


def _score(view: FeatureView, width: int) -> list[str]:
    chance = f"chance {view.chance:.3f}, p {_probability(view.p_chance)}"
    lines = [f"  score        sfal {view.sfal:.3f}  (ndcg {view.ndcg:.3f}, {chance})"]
    sure = view.reliability
    if sure is None:
        lines.append(f"  how sure     unknown: {view.no_reliability}")
    elif sure.se == sure.se:
        lines.append(
            f"  how sure     95 % interval {sure.low:.3f} to {sure.high:.3f}; with endless text "
            f"{sure.sfal_corrected:.3f}"
        )
    label = view.label
    if label is None:
        return lines
    lines.append(
        f"  label        rank {label.rank:,} of {label.n_labels:,}: the labels that fit what it does "
        f"at least as well, its own included (p {_probability(label.p)})"
    )
    for i, better in enumerate(label.better):
        head = f"  {'' if i else 'better':<12} sfal {better.sfal:.3f}  {better.feature:>6}  "
        text = one_line(better.explanation) or "(text missing)"
        lines.append(head + cut(text, max(width, _NARROWEST) - len(head)))
    return lines


def _probability(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"


def _both_lists(view: FeatureView, width: int) -> list[str]:
    """Return the lists side by side with their matches; nothing if one of them is empty."""
    if not view.functional or not view.semantic:
        return []
    side = max(_NARROWEST, (width - 3) // 2)
    return [
        *side_by_side([_fires_with(view)], [_MEANS_THE_SAME], side),
        f"{'-' * side}-+-{'-' * side}",
        *side_by_side(_list(view.functional, side), _list(view.semantic, side), side),
        "",
        f"#N: place in the other list; *: among the first {_MATCH} there.",
    ]


def _separate_lists(view: FeatureView, width: int) -> list[str]:
    """Return one list after the other, or why it is empty; without matches there are no marks."""
    lines: list[str] = []
    for title, neighbours, why in (
        (_fires_with(view), view.functional, _why_nothing_fires_with(view)),
        (_MEANS_THE_SAME, view.semantic, _why_nothing_means_the_same(view)),
    ):
        if lines:
            lines.append("")
        lines += [title, "-" * len(title), *(_list(neighbours, max(_NARROWEST, width)) or [why])]
    return lines


def _list(neighbours: Sequence[Neighbour], width: int) -> list[str]:
    return render_table(_COLUMNS, map(_row, neighbours), width=width, separator=" ")


def _row(neighbour: Neighbour) -> tuple[str, ...]:
    rank = neighbour.other_rank
    return (
        "*" if rank is not None and rank < _MATCH else "",
        f"{neighbour.similarity:.3f}",
        str(neighbour.feature),
        "" if rank is None else f"#{rank + 1}",
        neighbour.explanation or "(no explanation)",
    )


def _fires_with(view: FeatureView) -> str:
    return f"fires with it ({view.measure})"


def _why_nothing_fires_with(view: FeatureView) -> str:
    if view.windows == 0:
        return "Nothing: it fires in no window."
    if view.windows == view.n_windows:
        return "Nothing in particular: it fires in every window."
    return "Nothing: no other feature that can be compared fires in some windows only."


def _why_nothing_means_the_same(view: FeatureView) -> str:
    if not view.explained:
        return "Unknown: it has no explanation."
    if not view.n_unexplained:
        return "Nothing: no other feature that can be compared has an explanation."
    return f"Nothing: none of the {view.n_unexplained:,} nearest features has an explanation."
