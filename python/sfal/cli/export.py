"""``sfal export``: write scores, labels and neighbours for other tools."""

import shlex
from pathlib import Path

import click

from sfal.cli.options import Common, command, say_note
from sfal.cli.param_types import MANY

_ATLAS_OPTIONS = {
    "features.parquet": "--vector vector --text text --neighbors neighbors",
    "windows.parquet": "--text text",
}
"""How embedding-atlas is told which column is what."""


@command("export")
@click.argument("kind", type=click.Choice(["atlas", "graph", "csv"]))
@click.argument("source")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder for the files; files of the same names are replaced.",
)
@click.option(
    "--neighbours",
    type=click.IntRange(1, 50),
    default=10,
    show_default=True,
    help="Neighbours in each list.",
)
@click.option("--embeddings", type=MANY, default=(), help="Embedder; default: the first found.")
@click.option("--explainer", type=MANY, default=(), help="Explainer; default: the first found.")
@click.option("--run", help="Name of another run of the same source.")
def export(
    common: Common,
    kind: str,
    source: str,
    output: Path,
    neighbours: int,
    embeddings: tuple[str, ...],
    explainer: tuple[str, ...],
    run: str | None,
) -> None:
    """Write scores, labels and neighbours of a source for other tools.

    \b
    atlas  features.parquet, with windows.parquet where examples were
           gathered, for embedding-atlas
    graph  edges.parquet and graph.graphml, for networkx and Gephi: each
           feature connected with those that fire with it
    csv    features.csv and neighbours.csv, for spreadsheets

    Score the source first.

    \b
    sfal export graph gemma-2-2b/0-gemmascope-res-16k --output graph
    """
    from sfal.report.exports.exported import read_exported
    from sfal.scoring.selection import Selection

    selection = Selection(sources=(source,), embeddings=embeddings, explainers=explainer, run=run)
    exported = read_exported(common.data_dir, selection, neighbours)
    features = f"{len(exported.labels):,} features"
    if kind == "atlas":
        from sfal.report.exports.atlas import write_atlas

        paths = write_atlas(exported, output, neighbours)

        click.echo(f"{features} in {output}. Open with:")
        for path in paths:
            click.echo(f"  embedding-atlas {shlex.quote(str(path))} {_ATLAS_OPTIONS[path.name]}")
    elif kind == "graph":
        from sfal.report.exports.graph import write_graph

        edges = write_graph(exported, output, neighbours)
        click.echo(f"{features} and {len(edges.phi):,} edges in {output}")
    else:
        from sfal.report.exports.csv_files import write_csv

        write_csv(exported, output, neighbours)
        click.echo(f"{features} in {output}")
    for note in exported.notes:
        say_note(note)
