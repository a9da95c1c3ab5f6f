"""The ``sfal`` command: each subcommand is a module, imported when it is called."""

import logging
import os
import sys
from importlib import import_module
from typing import Any

import click

from sfal.cli.hints import HintFormatter, told
from sfal.cli.interrupt import EXIT_CODE, CtrlC, Interrupted
from sfal.errors import CombinedError, Note, SfalError
from sfal.io.atomic import remove_unfinished

_COMMANDS = {
    "demo": ("sfal.cli.demo:demo", "Run all stages on a tiny model included in the package."),
    "cooc": ("sfal.cli.cooc:cooc", "Count which features occur together (stage 1)."),
    "embeddings": (
        "sfal.cli.embeddings:embeddings",
        "Download explanations and embed them (stage 2).",
    ),
    "explain": (
        "sfal.cli.explain:explain",
        "Label features by their top tokens, where no explanations exist.",
    ),
    "score": ("sfal.cli.score:score", "Compare each feature's two neighbourhoods (stage 3)."),
    "run": ("sfal.cli.run:run", "Run all stages for some sources."),
    "merge": ("sfal.cli.merge:merge", "Join separately counted runs of one source."),
    "push": ("sfal.cli.share:push", "Send what was counted to the Hugging Face hub."),
    "pull": ("sfal.cli.share:pull", "Fetch what others counted from the Hugging Face hub."),
    "feature": ("sfal.cli.feature:feature", "Show one feature with both its neighbourhoods."),
    "audit": ("sfal.cli.audit:audit", "List the labels to check, and better ones."),
    "sensitivity": (
        "sfal.cli.sensitivity:sensitivity",
        "Show how scores depend on measure, metric and window.",
    ),
    "compare": ("sfal.cli.compare:compare", "Tell whether two or more sets of scores differ."),
    "validate": ("sfal.cli.validate:validate", "Correlate scores with votes on explanations."),
    "controls": (
        "sfal.cli.controls:controls",
        "Plant errors in the labels, and see whether scores find them.",
    ),
    "report": ("sfal.cli.report:report", "Write a page to browse scores, labels and neighbours."),
    "browse": ("sfal.cli.browse:browse", "Show that page in a browser, for sources of any size."),
    "export": (
        "sfal.cli.export:export",
        "Write scores and neighbours for embedding-atlas, networkx, Gephi, spreadsheets.",
    ),
    "sources": ("sfal.cli.sources:sources", "List the known SAEs."),
    "status": ("sfal.cli.status:status", "Show what is on disk and what is missing."),
    "verify": ("sfal.cli.verify:verify", "Check the files on disk against their hashes."),
}


class _Group(click.Group):
    """A group that imports a command's module when the command is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name][0].partition(":")
        loaded: click.Command = getattr(import_module(module), attribute)
        return loaded

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as e:
            # click suggests only commands that are already loaded.
            raise click.NoSuchCommand(e.command_name, possibilities=_COMMANDS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        click.echo(f"sfal {version('sfal')}")
        ctx.exit()


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version.",
)
def sfal() -> None:
    """Semantic-functional alignment scores for sparse autoencoder features.

    Do features with similar meanings also occur together? Count which features
    of an SAE occur together, embed their explanations, and compare the two
    neighbourhoods of every feature.

    \b
    sfal cooc gemma --k 256
    sfal embeddings all --model gemma
    sfal score --model gemma
    """


def main(args: list[str] | None = None) -> Any:
    """Run the command line and exit with its code.

    0: all done. 1: something was refused or failed, as a line or two on
    standard error say. 2: the command line itself is wrong. 130: interrupted.
    """
    words = sys.argv[1:] if args is None else args
    debug = "--debug" in words
    ctrl_c = CtrlC()
    try:
        with ctrl_c:
            _quieten(debug)
            code = _run(words)
            if ctrl_c.pressed:  # but the exception was swallowed on its way
                raise KeyboardInterrupt
    except BrokenPipeError:
        # The reader closed the pipe (`sfal sources | head`), so there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except (KeyboardInterrupt, Exception) as e:
        ended = isinstance(e, click.ClickException | KeyboardInterrupt)
        if debug and not ctrl_c.pressed and not ended:
            raise
        # A library may have turned Ctrl-C into another error, such as a failed import.
        disguised = ctrl_c.pressed and not isinstance(e, KeyboardInterrupt)
        error = Interrupted() if disguised else _shown(e)
        error.show()
        code = error.exit_code
    if ctrl_c.pressed:
        # Libraries may be slow to end, and a thread of ours may still be writing.
        sys.stdout.flush()
        remove_unfinished()
        os._exit(EXIT_CODE)
    sys.exit(code if isinstance(code, int) else 0)


def _run(words: list[str]) -> Any:
    """Run click without its own main, which prints an empty line before the Ctrl-C message."""
    if os.environ.get("_SFAL_COMPLETE"):
        return sfal.main(args=words, prog_name="sfal")
    try:
        with sfal.make_context("sfal", list(words)) as context:
            return sfal.invoke(context)
    except click.exceptions.Exit as e:
        return e.exit_code


def _shown(error: BaseException) -> click.ClickException:
    if isinstance(error, click.ClickException):
        return error
    if isinstance(error, KeyboardInterrupt):
        said = error.args[0] if error.args else ""
        return Interrupted(told(said) if isinstance(said, Note) else str(said))
    if isinstance(error, MemoryError) and not isinstance(error, SfalError):
        return click.ClickException(
            "out of memory; use a smaller --batch-tokens or fewer layers at a time"
        )
    if isinstance(error, ModuleNotFoundError) and not isinstance(error, SfalError):
        package = (error.name or "a package").partition(".")[0]
        return click.ClickException(
            f"{package} is not installed, which this command needs; `pip install sfal` without "
            "--no-deps installs everything"
        )
    if isinstance(error, CombinedError):
        return click.ClickException("\nError: ".join(map(told, error.errors)))
    if isinstance(error, SfalError):
        return click.ClickException(told(error))
    if isinstance(error, OSError):
        return click.ClickException(str(error))
    return click.ClickException(
        f"{type(error).__name__}: {error} (unexpected; --debug shows the traceback)"
    )


def _quieten(debug: bool) -> None:
    """Keep the libraries' own messages off the terminal unless debugging."""
    handler = logging.StreamHandler()
    handler.setFormatter(HintFormatter())
    logging.basicConfig(level=logging.DEBUG if debug else logging.ERROR, handlers=[handler])
    logging.getLogger("sfal").setLevel(logging.DEBUG if debug else logging.WARNING)
    if not debug:
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_HUB_VERBOSITY", "error")
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
        import warnings

        warnings.simplefilter("ignore")
