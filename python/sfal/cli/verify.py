"""``sfal verify``: check what is on disk, and change nothing."""

from pathlib import Path

import click

from sfal.cli.hints import told
from sfal.cli.options import Common, command
from sfal.errors import CorruptError


@command("verify")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
def verify(common: Common, folder: Path | None) -> None:
    """Check every run in FOLDER and below it (default: the data folder).

    Reads its parts, histogram, explanations, embeddings, examples and scores.
    Says which files are damaged and which command makes them again: `sfal cooc
    … --resume` for parts and histograms, `sfal embeddings` for embeddings,
    `sfal score` for scores.

    \b
    sfal verify sfal-data/gemma-2-2b
    """
    from sfal.store.verify import verify_tree

    damaged = 0
    for checked in verify_tree(folder or common.data_dir):
        if not checked.problems:
            state = "complete" if checked.complete else "not complete"
            click.echo(f"{checked.folder}: {checked.n_files} files whole, {state}")
            continue
        damaged += 1
        for problem in checked.problems:
            click.echo(f"{checked.folder}: {told(problem)}")
    if damaged:
        raise CorruptError(
            f"{damaged} run{'s are' if damaged > 1 else ' is'} damaged",
            hint="$do_redo counts only the damaged parts again; the lines above say what makes "
            "other files",
        )
