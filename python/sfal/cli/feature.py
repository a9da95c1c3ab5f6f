"""``sfal feature``: one feature, both its neighbourhoods side by side."""

import math
import shutil
from typing import TYPE_CHECKING

import click

from sfal.cli.options import MANY, Common, command

if TYPE_CHECKING:
    from sfal.scoring.feature import FeatureView, Neighbour

_SIDE = 34
"""Narrowest column that still shows a few words of an explanation."""

_NEAR = 50
"""Places of the other list that count as a match."""


@command("feature")
@click.argument("source")
@click.argument("index", type=click.IntRange(0))
@click.option("--embeddings", type=MANY, default=(), help="Embedder; default: the first found.")
@click.option("--explainer", type=MANY, default=(), help="Explainer; default: the first found.")
@click.option("--shown", type=click.IntRange(1), default=15, show_default=True, help="Neighbours.")
@click.option("--top-n", type=click.IntRange(1), default=1023, help="Neighbours that score.")
@click.option("--n-windows", type=click.IntRange(1), help="Windows, for an .npz that lacks them.")
@click.option("--run", help="Name of a further run of the same source.")
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
    """Show one feature with both its neighbourhoods.

    \b
    sfal feature gemma-2-2b/0-gemmascope-res-16k 1234
    """
    from sfal.scoring.feature import view_feature
    from sfal.scoring.score import ScoreSettings
    from sfal.scoring.select import Selection, select_sources

    selection = Selection(sources=(source,), embeddings=embeddings, explainers=explainer, run=run)
    (found,) = select_sources(common.data_dir, selection).sources
    view = view_feature(found, index, shown, ScoreSettings(top_n, n_windows))
    width = shutil.get_terminal_size((120, 24)).columns
    click.echo("\n".join(render(view, width)))


def render(view: "FeatureView", width: int) -> list[str]:
    """Lines that show a feature in `width` columns."""
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
    side = max(_SIDE, (width - 3) // 2)
    lines += [
        "",
        f"{'fires with it (phi)':<{side}} | {'means the same (cosine)'}".rstrip(),
        f"{'-' * side}-+-{'-' * side}",
    ]
    for left, right in zip(view.functional, view.semantic, strict=True):
        lines.append(f"{_cell(left, side)} | {_cell(right, side)}".rstrip())
    return [
        *lines,
        "",
        f"#N: its place in the other list; *: among the first {_NEAR} there.",
    ]


def _cell(neighbour: "Neighbour", width: int) -> str:
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
