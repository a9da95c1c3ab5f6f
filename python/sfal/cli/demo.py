"""``sfal demo``: all stages on the miniature inside the package."""

import os
import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from sfal.cli.options import Common, command

_WIDTHS = (76, 120)
"""Narrowest and widest screen that is drawn for."""


@command("demo")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Leave everything in DIR, a data folder like any other; default: nothing is left.",
)
def demo(common: Common, keep: Path | None) -> None:
    """Run all stages on a tiny language model that the package carries.

    No network and no GPU are needed, and it takes under a minute. Ends with
    the scores, and the best and the worst explained features.

    \b
    sfal demo
    sfal demo --keep ./demo-data
    """
    # Everything lies in the package: a name that is not there must not be looked for elsewhere.
    os.environ["HF_HUB_OFFLINE"] = "1"
    started = time.monotonic()
    from sfal.demo.run import figures, run_demo
    from sfal.demo.screen import screen

    if common.threads is not None:
        import torch

        torch.set_num_threads(common.threads)
    with ExitStack() as stack:
        folder = keep or Path(stack.enter_context(TemporaryDirectory(prefix="sfal-demo-")))
        layers = run_demo(folder, _say, device=common.device)
    columns = shutil.get_terminal_size((96, 24)).columns
    width = min(max(columns, _WIDTHS[0]), _WIDTHS[1])
    click.echo("\n".join(screen(layers, figures(), width)))
    click.echo(f"\n{time.monotonic() - started:.0f} s.", nl=keep is None)
    if keep is not None:
        last = layers[-1]
        feature = last.best[0].feature if last.best else 0
        click.echo(f" All of it is in {keep}; look further with")
        click.echo(f"  sfal feature {last.source} {feature} --data-dir {keep}")
        click.echo(f"  sfal score --data-dir {keep}")


def _say(line: str) -> None:
    click.echo(line, err=True)
