"""``sfal browse``: show the page of a data folder in a browser."""

import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from sfal.cli.hints import told
from sfal.cli.options import Common, command, say_note
from sfal.cli.selection_options import selection_options

if TYPE_CHECKING:
    from sfal.scoring.selection import Selection


@command("browse")
@click.argument("sources", nargs=-1)
@selection_options
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="Port to listen on; 0: any that is free. With a fixed port, the browser finds verdicts "
    "again the next time.",
)
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
def browse(common: Common, selection: "Selection", port: int, opens: bool) -> None:
    """Show scores, labels and neighbours in a browser, for sources of any size.

    The page is that of `sfal report`, but lists are whole, and scores are
    those on disk whenever it is loaded. Only this machine can reach it, and
    only with the address printed. Ctrl-C ends it.

    \b
    sfal browse --open
    sfal browse gemma-2-2b/0-gemmascope-res-16k

    Where the data lie on another machine, forward a port and open the
    address that is printed there:

    \b
    ssh -t -L 8000:127.0.0.1:8000 HOST sfal browse --port 8000
    """
    from sfal.report.server.library import Library
    from sfal.report.server.serve import Server

    library = Library(common.data_dir, selection)
    with Server(library, port) as server:
        library.page()
        for note in library.notes:
            say_note(note)
        for error in library.refused:
            click.echo(f"Error: {told(error)}", err=True)
        n = library.n_sources
        click.echo(f"{n} source{'s' if n > 1 else ''} at {server.url}\nCtrl-C ends it.")
        if opens:
            click.launch(server.url)
        # The usual way to end, not an interruption of work.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with suppress(KeyboardInterrupt):
                server.serve_forever()
        finally:
            signal.signal(signal.SIGINT, before)
    click.echo("Stopped.")
