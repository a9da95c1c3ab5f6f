"""``sfal score``: compare neighbourhoods (stage 3)."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sfal.cli.embeddings import leaks_option
from sfal.cli.hints import told
from sfal.cli.options import Common, command, say_note
from sfal.cli.param_types import INTEGERS, MANY
from sfal.cli.scoring_options import reliability_option, scoring_options

if TYPE_CHECKING:
    from sfal.scoring.driver import Outcome
    from sfal.scoring.settings import ScoreSettings


@command("score")
@click.option("--model", help="gemma, llama or a model's id; default: all on disk.")
@click.option(
    "--layers",
    type=INTEGERS,
    default=(),
    help="Layers, such as 0 8 17 or 0-5; default: all on disk.",
)
@click.option(
    "--source", "sources", type=MANY, default=(), help="Sources by name; default: all on disk."
)
@click.option("--embeddings", type=MANY, default=(), help="Embedders; default: all found.")
@click.option("--explainer", type=MANY, default=(), help="Explainers; default: all found.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("scoring_results.csv"),
    show_default=True,
    help="CSV file for all scores.",
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.png|svg",
    help="Draw the scores; needs matplotlib (`pip install '.[plot]'`).",
)
@scoring_options
@leaks_option
@reliability_option
@click.option("--run", help="Name of another run of the same sources.")
def score(
    common: Common,
    model: str | None,
    layers: tuple[int, ...],
    sources: tuple[str, ...],
    embeddings: tuple[str, ...],
    explainer: tuple[str, ...],
    output: Path,
    plot: Path | None,
    settings: "ScoreSettings",
    run: str | None,
) -> None:
    """Compare the functional and the semantic neighbourhood of every feature.

    Reads the counts of `sfal cooc` or a published histogram, and the
    embeddings of `sfal embeddings` or published ones. Writes scores.parquet
    into each source's folder, and one CSV.

    \b
    sfal score --model gemma --layers 0 8 17
    """
    from sfal.report.plot import check_plot, plot_scores
    from sfal.scoring.driver import score_selection
    from sfal.scoring.selection import Selection

    if plot is not None:
        check_plot(plot)
    selection = Selection(model, layers, sources, embeddings, explainer, run)
    outcome = score_selection(common.data_dir, selection, settings, output=output)
    show_scores(outcome, output)
    if plot is not None:
        plot_scores(outcome.scores, plot)
        click.echo(f"Plot: {plot}")
    if outcome.refused:
        click.get_current_context().exit(1)


def show_scores(outcome: "Outcome", output: Path | None) -> None:
    """Print a summary of the scores, the notes, and what was refused."""
    from sfal.report.text import summary

    click.echo(summary(outcome.scores))
    if output is not None:
        click.echo(f"Scores: {output}")
    for note in outcome.notes:
        say_note(note)
    for error in outcome.refused:
        click.echo(f"Error: {told(error)}", err=True)
