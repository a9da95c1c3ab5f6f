"""``sfal sensitivity``: show how scores depend on the measure, the metric and the window."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sfal.cli.options import Common, command, say_note, table_option
from sfal.cli.param_types import MANY
from sfal.cli.scoring_options import n_windows_option, top_n_option
from sfal.scoring.settings import MEASURES, ScoreSettings

if TYPE_CHECKING:
    from sfal.scoring.settings import Measure


@command("sensitivity")
@click.argument("source")
@click.option("--embeddings", type=MANY, default=(), help="Embedder; default: the first found.")
@click.option("--explainer", type=MANY, default=(), help="Explainer; default: the first found.")
@click.option("--run", help="Name of another run of the same source.")
@click.option("--measures", type=MANY, default=MEASURES, help="Measures to compare; default: all.")
@top_n_option
@n_windows_option
@table_option("Write one row per measure, metric and window.")
def sensitivity(
    common: Common,
    source: str,
    embeddings: tuple[str, ...],
    explainer: tuple[str, ...],
    run: str | None,
    measures: "tuple[Measure, ...]",
    top_n: int,
    n_windows: int | None,
    output: Path | None,
) -> None:
    """Show how scores depend on the measure, the metric and the window.

    Scores the source by each measure of co-occurrence and by windows two and
    four times as long, and correlates the scores with the usual ones. Each
    ranking takes about as long as `sfal score`. The table is kept beside the
    scores, where `sfal report` finds it.

    \b
    sfal sensitivity gemma-2-2b/0-gemmascope-res-16k
    """
    from sfal.io.table_files import check_table_name, write_table
    from sfal.report.sensitivity import sensitivity_text
    from sfal.scoring.selection import Selection, select_sources
    from sfal.scoring.sensitivity import source_sensitivity
    from sfal.scoring.tables.sensitivity_table import write_sensitivity

    if output is not None:
        check_table_name(output)
    for measure in measures:
        ScoreSettings(measure=measure)  # refuses unknown ones
    selection = Selection(sources=(source,), embeddings=embeddings, explainers=explainer, run=run)
    (found,) = select_sources(common.data_dir, selection).sources
    result = source_sensitivity(found, measures, ScoreSettings(top_n, n_windows))
    click.echo("\n".join(sensitivity_text(result)))
    facts = {"embedding": result.embedder, "stem": result.stem, "window_size": result.window_size}
    write_sensitivity(found.run_folder, result.table(), facts)
    if output is not None:
        write_table(result.table(), output)
        click.echo(f"Sensitivity: {output}")
    for note in result.notes:
        say_note(note)
