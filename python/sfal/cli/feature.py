"""``sfal feature``: show one feature and its two neighbourhoods side by side."""

import math
import shutil
from itertools import zip_longest
from typing import TYPE_CHECKING

import click

from sfal.cli.options import Common, command
from sfal.cli.param_types import MANY

if TYPE_CHECKING:
    from sfal.scoring.feature import FeatureView, Neighbour

_SIDE = 34
"""Width of the narrowest column with room for a few words of an explanation."""

_WITH, _LIKE = "fires with it (phi)", "means the same (cosine)"

_NEAR = 50
"""Length of the start of the other list in which a neighbour counts as a match."""


@command("feature")
@click.argument("source")
@click.argument("index", type=click.IntRange(0))
@click.option("--embeddings", type=MANY, default=(), help="Embedder; default: the first found.")
@click.option("--explainer", type=MANY, default=(), help="Explainer; default: the first found.")
@click.option(
    "--shown", type=click.IntRange(1), default=15, show_default=True, help="Neighbours to show."
)
@click.option(
    "--top-n", type=click.IntRange(1), default=1023, help="Neighbours used for the score."
)
@click.option(
    "--n-windows", type=click.IntRange(1), help="Number of windows, if the .npz lacks it."
)
@click.option("--run", help="Name of another run of the same source.")
def feature(
    common: Common,
    source: str,
    index: int,
    embeddings: tuple[str, ...],
    explainer: tuple[str, ...],
    shown: int,
    top_n: int,
    n_windows: int | None,
    run: str | None,
) -> None:
    """Show one feature and its two neighbourhoods.

    \b
    sfal feature gemma-2-2b/0-gemmascope-res-16k 1234
    """
    from sfal.scoring.feature import view_feature
    from sfal.scoring.score import ScoreSettings
    from sfal.scoring.selection import Selection, select_sources

    selection = Selection(sources=(source,), embeddings=embeddings, explainers=explainer, run=run)
    (found,) = select_sources(common.data_dir, selection).sources
    view = view_feature(found, index, shown, ScoreSettings(top_n, n_windows))
    width = shutil.get_terminal_size((120, 24)).columns
    click.echo("\n".join(render(view, width)))


def render(view: "FeatureView", width: int) -> list[str]:
    """Return the lines that show a feature in `width` columns."""
    share = view.windows / view.n_windows if view.n_windows else 0.0
    lines = [
        f"{view.source}, feature {view.feature}",
        f"  explanation  {_one_line(view.explanation) or '(none)'}",
        f"               {view.kind} by {view.explainer}, embedded by {view.embedder}",
        f"  fires in     {view.windows:,} of {view.n_windows:,} windows ({share:.1%})",
    ]
    if math.isnan(view.ndcg):
        lines.append(f"  score        none: the feature is {view.status.replace('_', ' ')}")
    else:
        lines.append(
            f"  score        sfal {view.sfal:.3f}  (ndcg {view.ndcg:.3f}, chance {view.chance:.3f})"
        )
    if view.url:
        lines.append(f"  page         {view.url}")
    return [*lines, "", *(_side_by_side(view, width) or _one_by_one(view, width))]


def _side_by_side(view: "FeatureView", width: int) -> list[str]:
    """Lay out both lists with their matches; return nothing if one of them is empty."""
    if not view.functional or not view.semantic:
        return []
    side = max(_SIDE, (width - 3) // 2)
    pairs = zip_longest(view.functional, view.semantic)
    return [
        f"{_WITH:<{side}} | {_LIKE}",
        f"{'-' * side}-+-{'-' * side}",
        *(f"{_cell(left, side)} | {_cell(right, side)}".rstrip() for left, right in pairs),
        "",
        f"#N: place in the other list; *: among the first {_NEAR} there.",
    ]


def _one_by_one(view: "FeatureView", width: int) -> list[str]:
    """Lay out one list after the other, or say why it is empty; there are no matches to mark."""
    lines: list[str] = []
    for title, neighbours, why in (
        (_WITH, view.functional, _nothing_fires_with(view)),
        (_LIKE, view.semantic, _nothing_is_like(view)),
    ):
        if lines:
            lines.append("")
        lines += [title, "-" * len(title)]
        lines += [_cell(neighbour, max(_SIDE, width)).rstrip() for neighbour in neighbours] or [why]
    return lines


def _nothing_fires_with(view: "FeatureView") -> str:
    if view.windows == 0:
        return "Nothing: it fires in no window."
    if view.windows == view.n_windows:
        return "Nothing in particular: it fires in every window."
    return "Nothing: every other feature fires in no window or in every window."


def _nothing_is_like(view: "FeatureView") -> str:
    if not view.explained:
        return "Nothing can be said: it has no explanation."
    return f"Nothing: none of the {view.n_unexplained:,} nearest features has an explanation."


def _cell(neighbour: "Neighbour | None", width: int) -> str:
    if neighbour is None:
        return " " * width
    rank = neighbour.other_rank
    place = "" if rank is None else f"#{rank + 1}"
    mark = "*" if rank is not None and rank < _NEAR else " "
    head = f"{mark} {neighbour.similarity:6.3f} {neighbour.feature:>6} {place:>5} "
    room = width - len(head)
    text = _one_line(neighbour.explanation) or "(no explanation)"
    text = text if len(text) <= room else text[: room - 1] + "…"
    return f"{head}{text}".ljust(width)


def _one_line(text: str) -> str:
    return " ".join(text.split())
