"""``sfal controls``: whether scores find planted errors, and nothing in meaningless data."""

from pathlib import Path

import click

from sfal.cli.options import Common, command, say_note, table_option
from sfal.cli.param_types import MANY
from sfal.cli.scoring_options import n_windows_option, top_n_option


@command("controls")
@click.argument("source")
@click.option("--embeddings", type=MANY, default=(), help="Embedders; default: all found.")
@click.option("--explainer", type=MANY, default=(), help="Explainers; default: all found.")
@click.option("--run", help="Name of another run of the same source.")
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.05,
    show_default=True,
    help="Share of the labels that is exchanged.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random numbers.")
@top_n_option
@n_windows_option
@table_option("Write one row for each set of labels.")
def controls(
    common: Common,
    source: str,
    embeddings: tuple[str, ...],
    explainer: tuple[str, ...],
    run: str | None,
    share: float,
    seed: int,
    top_n: int,
    n_windows: int | None,
    output: Path | None,
) -> None:
    """Exchange some labels and see whether scores notice; remove all meaning and see that none is found.

    \b
    sfal controls gemma-2-2b/0-gemmascope-res-16k
    """
    from sfal.io.table_files import check_table_name, write_table
    from sfal.report.evidence import controls_text
    from sfal.scoring.selection import Selection, select_sources
    from sfal.stats.source_controls import controls_of_source, controls_table

    if output is not None:
        check_table_name(output)
    selection = Selection(sources=(source,), embeddings=embeddings, explainers=explainer, run=run)
    (selected,) = select_sources(common.data_dir, selection).sources
    found, notes = controls_of_source(
        selected, top_n=top_n, n_windows=n_windows, share=share, seed=seed
    )
    click.echo(controls_text(found))
    if output is not None:
        write_table(controls_table(found), output)
        click.echo(f"Controls: {output}")
    for note in notes:
        say_note(note)
