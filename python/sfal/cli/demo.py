"""``sfal demo``: run all stages on the miniature inside the package."""

import os
import shlex
import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from sfal.cli.interrupt import stopped
from sfal.cli.options import Common, command, use_threads
from sfal.store.layout import SCORES

if TYPE_CHECKING:
    from sfal.demo.run import LayerOutcome

_WIDTHS = (76, 120)
"""Narrowest and widest layout, in columns."""


@command("demo")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep everything in DIR, an ordinary data folder; default: nothing is kept.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.html",
    help="Write the page of `sfal report` for the demo, too.",
)
def demo(common: Common, keep: Path | None, report: Path | None) -> None:
    """Run all stages on a tiny language model included in the package.

    Needs neither network nor GPU, and takes under a minute. Ends with the
    scores and with the best and the worst explained features.

    \b
    sfal demo
    sfal demo --keep ./demo-data
    """
    # Everything is in the package, so nothing may be looked up on the hub.
    os.environ["HF_HUB_OFFLINE"] = "1"
    started = time.monotonic()
    from sfal.demo.run import figures, run_demo
    from sfal.demo.screen import screen

    use_threads(common)
    with ExitStack() as stack:
        folder = keep or Path(stack.enter_context(TemporaryDirectory(prefix="sfal-demo-")))
        try:
            with stopped(f"early; finished files are in {keep}"):
                layers = run_demo(folder, _say, device=common.device)
        except KeyboardInterrupt:
            if keep is not None:
                raise
            raise KeyboardInterrupt("Nothing was kept; `sfal demo` starts over.") from None
        if report is not None:
            from sfal.report.write import write_report
            from sfal.scoring.selection import Selection

            write_report(folder, Selection(), report)
    columns = shutil.get_terminal_size((96, 24)).columns
    width = min(max(columns, _WIDTHS[0]), _WIDTHS[1])
    click.echo("\n".join(screen(layers, figures(), width)))
    click.echo(f"\n{time.monotonic() - started:.0f} s. {_next_steps(layers[-1], keep)}")
    if report is not None:
        click.echo(f"Page of all labels and neighbours, for a browser: {report}")


def _next_steps(last: "LayerOutcome", keep: Path | None) -> str:
    own = (
        "Your own SAE:\n"
        "  sfal cooc sae --sae SAE --model MODEL --site res --layer N --corpus TEXT.jsonl"
    )
    if keep is None:
        return f"Nothing was kept; `sfal demo --keep DIR` keeps all files in DIR.\n{own}"
    feature = last.best[0].feature if last.best else 0
    folder = shlex.quote(str(keep))
    return (
        f"All files are in {keep}; explore them with\n"
        f"  sfal status {folder}\n"
        f"  sfal feature {last.source} {feature} --data-dir {folder}\n"
        f"  sfal audit {last.source} --data-dir {folder}\n"
        f"  sfal report --data-dir {folder} -o report.html\n"
        f"or in Python\n"
        f"  pandas.read_parquet({str(keep / last.source / SCORES)!r})\n{own}"
    )


def _say(line: str) -> None:
    click.echo(line, err=True)
