"""``sfal status``: what lies on disk, what is missing, and the command that makes it."""

from pathlib import Path

import click

from sfal.cli.options import Common, command
from sfal.errors import InvalidInputError


@command("status")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
def status(common: Common, folder: Path | None) -> None:
    """Show for every source in FOLDER (default: the data folder) which stages are done.

    \b
    sfal status
    """
    from sfal.store.inventory import inventory

    root = folder or common.data_dir
    if folder is not None and not folder.is_dir():
        raise InvalidInputError(f"{folder} is no folder")
    empty = True
    for source in inventory(root):
        if not empty:
            click.echo()
        empty = False
        click.echo(source.name)
        width = max(len(stage.name) for stage in source.stages)
        for stage in source.stages:
            found = stage.found or "nothing yet"
            hint = f"; next: {stage.missing}" if stage.missing else ""
            click.echo(f"  {stage.name:<{width}}  {found}{hint}")
    if empty:
        click.echo(f"No data in {root} yet; `sfal cooc gemma` makes some.")
