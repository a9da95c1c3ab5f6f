"""``sfal report``: write one page with scores, labels and neighbours."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sfal.cli.hints import told
from sfal.cli.options import Common, command, say_note
from sfal.cli.selection_options import selection_options

if TYPE_CHECKING:
    from sfal.scoring.selection import Selection


@command("report")
@click.argument("sources", nargs=-1)
@selection_options
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
def report(common: Common, selection: "Selection", output: Path, max_mb: float) -> None:
    """Write a page with scores, labels and neighbours of all features.

    One HTML file that needs no network: browse and search the features, see
    both neighbourhoods side by side, and mark labels that are wrong. Score
    the sources first.

    \b
    sfal report gemma-2-2b/0-gemmascope-res-16k -o report.html
    """
    from sfal.report.write import write_report

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
