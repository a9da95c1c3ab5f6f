"""``sfal report``: write one page with scores, labels and neighbours."""

from pathlib import Path

import click

from sfal.cli.hints import told
from sfal.cli.options import Common, command, say_note
from sfal.cli.param_types import INTEGERS, MANY


@command("report")
@click.argument("sources", nargs=-1)
@click.option("--model", help="gemma, llama or a model's id; default: all on disk.")
@click.option(
    "--layers",
    type=INTEGERS,
    default=(),
    help="Layers, such as 0 8 17 or 0-5; default: all on disk.",
)
@click.option("--embeddings", type=MANY, default=(), help="Embedders; default: all found.")
@click.option("--explainer", type=MANY, default=(), help="Explainers; default: all found.")
@click.option("--run", help="Name of another run of the same sources.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="HTML file to write.",
)
@click.option(
    "--max-mb",
    type=click.FloatRange(0.1),
    default=10.0,
    show_default=True,
    help="Most megabytes of the file; neighbour lists are shortened to fit.",
)
def report(
    common: Common,
    sources: tuple[str, ...],
    model: str | None,
    layers: tuple[int, ...],
    embeddings: tuple[str, ...],
    explainer: tuple[str, ...],
    run: str | None,
    output: Path,
    max_mb: float,
) -> None:
    """Write a page with scores, labels and neighbours of all features.

    One HTML file that needs no network: browse and search the features, see
    both neighbourhoods side by side, and mark labels that are wrong. Score
    the sources first.

    \b
    sfal report gemma-2-2b/0-gemmascope-res-16k -o report.html
    """
    from sfal.report.write import write_report
    from sfal.scoring.selection import Selection

    selection = Selection(model, layers, sources, embeddings, explainer, run)
    written = write_report(common.data_dir, selection, output, max_mb=max_mb)
    payload = written.payload
    click.echo(
        f"Page: {output} ({written.n_bytes / 1e6:.1f} MB; "
        f"up to {payload.shown} neighbours in each list)"
    )
    if payload.n_kept is not None:
        click.echo(
            "Neighbours are listed only for the best, the worst and the most frequent features, "
            f"to stay near {max_mb:g} MB; a larger --max-mb keeps more."
        )
    for note in written.notes:
        say_note(note)
    for error in written.refused:
        click.echo(f"Error: {told(error)}", err=True)
    if written.refused:
        click.get_current_context().exit(1)
