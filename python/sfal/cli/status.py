"""``sfal status``: what is on disk, what is missing, and the command that makes it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sfal.cli.hints import data_dir_words, told, told_hint, use_data_dir
from sfal.cli.options import Common, command
from sfal.errors import InvalidInputError
from sfal.terminal.table import Column, render_table

if TYPE_CHECKING:
    from sfal.store.status import Stage


@command("status")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
def status(common: Common, folder: Path | None) -> None:
    """Show which stages are done for every source in FOLDER (default: the data folder).

    FOLDER may also be the folder of one source, such as . inside it.

    \b
    sfal status
    """
    from sfal.store.source_folder import SourceFolder
    from sfal.store.status import inventory, source_status

    root, only = folder or common.data_dir, None
    if folder is not None and not folder.is_dir():
        raise InvalidInputError(f"{folder} is not a folder")
    if folder is not None and (only := SourceFolder.containing(folder)) is not None:
        root = only.root
    use_data_dir(root)
    empty = True
    for source in inventory(root) if only is None else [source_status(only)]:
        if not empty:
            click.echo()
        empty = False
        click.echo(source.name)
        rows = [(stage.name, _describe(stage)) for stage in source.stages]
        click.echo("\n".join(render_table([Column(), Column()], rows, indent="  ")))
    if empty:
        click.echo(
            f"No data in {root} yet. `sfal cooc gemma{data_dir_words()}` counts the first "
            "sources; add --dry-run to see what it would take. `sfal demo --keep DIR` fills DIR "
            "with a small example in a minute."
        )


def _describe(stage: "Stage") -> str:
    """Say what a stage has, and what makes the rest."""
    words = stage.found or "nothing yet"
    if stage.hint:
        words += f"; next: {told_hint(stage.hint)}"
    return words if stage.error is None else f"{words}  ({told(stage.error)})"
