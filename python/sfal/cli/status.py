"""``sfal status``: what lies on disk, what is missing, and the command that makes it."""

from pathlib import Path

import click

from sfal.cli.options import Common, command
from sfal.errors import InvalidInputError


@command("status")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
def status(common: Common, folder: Path | None) -> None:
    """Show for every source in FOLDER (default: the data folder) which stages are done.

    FOLDER may be a source's own, such as . inside it.

    \b
    sfal status
    """
    from sfal.store.layout import data_dir_words
    from sfal.store.source_folder import source_at
    from sfal.store.status import inventory

    root, only = folder or common.data_dir, None
    if folder is not None and not folder.is_dir():
        raise InvalidInputError(f"{folder} is no folder")
    if folder is not None and (found := source_at(folder)) is not None:
        root, only = found
    empty = True
    for source in inventory(root):
        if only not in (None, source.name):
            continue
        if not empty:
            click.echo()
        empty = False
        click.echo(source.name)
        width = max(len(stage.name) for stage in source.stages)
        for stage in source.stages:
            hint = f"; next: {stage.missing}" if stage.missing else ""
            click.echo(f"  {stage.name:<{width}}  {stage.found or 'nothing yet'}{hint}")
    if empty:
        given = data_dir_words(root)
        click.echo(
            f"No data in {root} yet. `sfal cooc gemma{given}` counts the first; what it would take, "
            f"--dry-run says. `sfal demo --keep DIR` fills DIR with a small example in a minute."
        )
