"""``sfal feature``: show one feature and its two neighbourhoods side by side."""

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from sfal.cli.options import Common, command, say_note
from sfal.cli.param_types import MANY
from sfal.cli.scoring_options import scoring_options

if TYPE_CHECKING:
    from sfal.scoring.settings import ScoreSettings


@command("feature")
@click.argument("source")
@click.argument("index", type=click.IntRange(0))
@click.option("--embeddings", type=MANY, default=(), help="Embedder; default: the first found.")
@click.option("--explainer", type=MANY, default=(), help="Explainer; default: the first found.")
@click.option(
    "--shown", type=click.IntRange(1), default=15, show_default=True, help="Neighbours to show."
)
@scoring_options
@click.option("--run", help="Name of another run of the same source.")
def feature(
    common: Common,
    source: str,
    index: int,
    embeddings: tuple[str, ...],
    explainer: tuple[str, ...],
    shown: int,
    settings: "ScoreSettings",
    run: str | None,
) -> None:
    """Show one feature and its two neighbourhoods.

    \b
    sfal feature gemma-2-2b/0-gemmascope-res-16k 1234
    """
    from sfal.report.feature import feature_text
    from sfal.scoring.feature import view_feature
    from sfal.scoring.selection import Selection, select_sources
    from sfal.scoring.tables.stored import stored_leaks
    from sfal.terminal.table import terminal_width

    selection = Selection(sources=(source,), embeddings=embeddings, explainers=explainer, run=run)
    (found,) = select_sources(common.data_dir, selection).sources
    if settings.leaks == "drop":  # the default
        settings = replace(settings, leaks=stored_leaks(found))
    view = view_feature(found, index, shown, settings)
    click.echo("\n".join(feature_text(view, terminal_width())))
    for note in view.notes:
        say_note(note)
