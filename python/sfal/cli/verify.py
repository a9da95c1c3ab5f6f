"""``sfal verify``: checks what lies on disk, and changes nothing."""

from pathlib import Path

import click

from sfal.cli.options import Common, command
from sfal.errors import ArtifactError


@command("verify")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
def verify(common: Common, folder: Path | None) -> None:
    """Check every run in FOLDER and below it (default: the data folder).

    Reads its parts, histogram, explanations, embeddings, examples and scores.
    Says which files are damaged, and what makes them anew: parts and histograms
    `sfal cooc … --resume`, embeddings `sfal embeddings`, scores `sfal score`.

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
            click.echo(f"{checked.folder}: {problem}")
    if damaged:
        raise ArtifactError(
            f"{damaged} run{'s are' if damaged > 1 else ' is'} damaged; the `sfal cooc` command "
            "that made it redoes just its damaged parts with --resume, and the lines above say "
            "what makes other files anew"
        )
