"""``sfal compare``: whether two or more sets of scores differ."""

from pathlib import Path

import click

from sfal.cli.options import Common, command, say_note, table_option
from sfal.cli.param_types import MANY


@command("compare")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "--embeddings", type=MANY, default=(), help="Embedders to compare, or the one to use."
)
@click.option(
    "--explainer", type=MANY, default=(), help="Explainers to compare, or the one to use."
)
@click.option("--run", "runs", type=MANY, default=(), help="Further runs to compare.")
@click.option(
    "--measure", "measures", type=MANY, default=(), help="Measures of co-occurrence to compare."
)
@click.option(
    "--metric", default="sfal", show_default=True, help="Column of the scores to compare."
)
@table_option("Write one row per pair.")
def compare(
    common: Common,
    sources: tuple[str, ...],
    embeddings: tuple[str, ...],
    explainer: tuple[str, ...],
    runs: tuple[str, ...],
    measures: tuple[str, ...],
    metric: str,
    output: Path | None,
) -> None:
    """Compare scores of the same features, in pairs.

    Takes two sources, or two or more embedders, explainers, runs or measures
    of one; without options, all sets of scores of one source. Run
    `sfal score` first.

    \b
    sfal compare gemma-2-2b/0-gemmascope-res-16k --embeddings all-MiniLM-L6-v2 Qwen3-Embedding-0.6B
    """
    from sfal.io.table_files import check_table_name, write_table
    from sfal.report.evidence import comparison_text
    from sfal.stats.compare import compare as compare_scores
    from sfal.stats.sides import sides_on_disk

    if output is not None:
        check_table_name(output)
    found = sides_on_disk(
        common.data_dir,
        sources,
        embeddings=embeddings,
        explainers=explainer,
        runs=runs,
        measures=measures,
    )
    compared = compare_scores(
        *(side.table for side in found.sides),
        names=[side.name for side in found.sides],
        metric=metric,
        replicates=[side.halves for side in found.sides],
        clusters=found.clusters,
    )
    click.echo(comparison_text(compared))
    if output is not None:
        write_table(compared.table(), output)
        click.echo(f"Comparison: {output}")
    for note in found.notes:
        say_note(note)
