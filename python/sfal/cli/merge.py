"""``sfal merge``: join separately counted runs of one source."""

from pathlib import Path

import click

from sfal.cli.interrupt import stopped
from sfal.cli.options import Common, command, fail_for
from sfal.errors import SfalError


@command("merge")
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
def merge(common: Common, folders: tuple[Path, ...]) -> None:
    """Join separately counted runs of one source, such as shards.

    FOLDERS are data trees, sources or runs (default: the data folder). The
    runs of each source found there are joined into its folder in --data-dir.
    Their settings must be equal, and no document may be in two runs.

    \b
    sfal cooc gemma --shard 1/2 --data-dir a   # on one machine
    sfal cooc gemma --shard 2/2 --data-dir b   # on another
    sfal merge a b --data-dir all
    """
    from sfal.collect.merge import find_runs, merge_runs

    refused: list[SfalError] = []
    for name, runs in find_runs(folders or (common.data_dir,)).items():
        try:
            with stopped(f"while joining {name}"):
                merged = merge_runs(name, runs, common.data_dir)
        except SfalError as e:
            refused.append(e)
            continue
        manifest = merged.manifest
        before = ", joined before" if merged.done_before else ""
        click.echo(
            f"{name}: {merged.n_runs} runs, {manifest.counts.documents:,} documents, "
            f"{manifest.n_windows:,} windows{before}; in {merged.folder}"
        )
    fail_for(refused)
