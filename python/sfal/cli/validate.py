"""``sfal validate``: whether scores agree with votes."""

from pathlib import Path

import click

from sfal.cli.options import Common, command, say_note, table_option
from sfal.cli.param_types import MANY


@command("validate")
@click.argument("source")
@click.argument(
    "votes", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="VOTES..."
)
@click.option(
    "--metrics",
    type=MANY,
    default=("sfal",),
    show_default="sfal",
    help="Columns of the scores or of the votes; each two are compared.",
)
@click.option("--embeddings", help="Embedder, if there are scores by several.")
@click.option("--explainer", help="Explainer, if there are scores of several.")
@click.option("--run", help="Name of another run of the same source.")
@click.option("--score-type", help="Kind of score in delphi's or Neuronpedia's files.")
@click.option("--hookpoint", help="Hookpoint in delphi's files.")
@table_option("Write one row per metric.")
def validate(
    common: Common,
    source: str,
    votes: tuple[Path, ...],
    metrics: tuple[str, ...],
    embeddings: str | None,
    explainer: str | None,
    run: str | None,
    score_type: str | None,
    hookpoint: str | None,
    output: Path | None,
) -> None:
    """Correlate scores with votes of people or models on the same explanations.

    VOTES is a CSV or Parquet file with columns feature and score, and
    optionally rater, weight and source; verdicts exported by the report; a
    folder of delphi's scores; or Neuronpedia's records as JSON. Run
    `sfal score` first.

    \b
    sfal validate gemma-2-2b/0-gemmascope-res-16k votes.csv --metrics sfal rbo98
    """
    from sfal.io.table_files import check_table_name, write_table
    from sfal.report.evidence import validation_text
    from sfal.stats.sides import choose_set
    from sfal.stats.validate import validate as validate_scores

    if output is not None:
        check_table_name(output)
    chosen = choose_set(common.data_dir, source, embedding=embeddings, explainer=explainer, run=run)
    found = validate_scores(
        chosen.table,
        list(votes),
        metrics,
        source=source,
        score_type=score_type,
        hookpoint=hookpoint,
        # Scores of other explanations say nothing about these.
        explainer=None if chosen.explainer == "mixed" else chosen.explainer,
    )
    click.echo(validation_text(found))
    if output is not None:
        write_table(found.table(), output)
        click.echo(f"Validation: {output}")
    for note in found.notes:
        say_note(note)
