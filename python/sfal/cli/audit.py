"""``sfal audit``: list the labels to check, and the faulty texts."""

from pathlib import Path

import click

from sfal.cli.options import Common, command, say_note, table_option
from sfal.cli.param_types import MANY
from sfal.cli.scoring_options import n_windows_option


@command("audit")
@click.argument("source")
@click.option("--embeddings", type=MANY, default=(), help="Embedder; default: the first found.")
@click.option("--explainer", type=MANY, default=(), help="Explainer; default: the first found.")
@click.option("--run", help="Name of another run of the same source.")
@click.option(
    "--top",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="How many of the labels to check are shown, worst first.",
)
@table_option("Write all of them, and the faulty texts.")
@n_windows_option
@click.option(
    "--leaks",
    type=click.Choice(["drop", "keep"]),
    help="Refuse scores for which labels that are the explainer's reasoning or prompt were not left "
    "out (drop) or not kept (keep). Default: take the scores on disk.",
)
def audit(
    common: Common,
    source: str,
    embeddings: tuple[str, ...],
    explainer: tuple[str, ...],
    run: str | None,
    top: int,
    output: Path | None,
    n_windows: int | None,
    leaks: str | None,
) -> None:
    """List the labels to check, worst first, and what would fit better.

    Needs the scores of `sfal score`. A label is to be checked if more than one
    in twenty labels fits what its feature does at least as well. Also lists
    labels that are faulty as texts: leaked prompts, duplicates, empty ones,
    boilerplate.

    \b
    sfal audit gemma-2-2b/0-gemmascope-res-16k
    """
    from sfal.io.table_files import check_table_name, write_table
    from sfal.report.audit import audit_text
    from sfal.scoring.audit import audit_source
    from sfal.scoring.selection import Selection, select_sources
    from sfal.terminal.table import terminal_width

    if output is not None:
        check_table_name(output)
    selection = Selection(sources=(source,), embeddings=embeddings, explainers=explainer, run=run)
    (found,) = select_sources(common.data_dir, selection).sources
    result = audit_source(found, shown=top, n_windows=n_windows, leaks=leaks)
    click.echo("\n".join(audit_text(result, top, terminal_width())))
    if output is not None:
        write_table(result.table(), output)
        click.echo(f"Audit: {output}")
    for note in result.notes:
        say_note(note)
