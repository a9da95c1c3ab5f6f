"""What every command shares: spelling of options, common options, errors.

Options are accepted with underscores too (``--n_docs``), as the published
scripts spell them, and options of several values take them as separate words
(``--layers 0 8 17``), as a list (``--layers 0,8,17``) or as a range
(``--layers 0-5``).
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from sfal.cli.hints import told, use_data_dir
from sfal.errors import SfalError
from sfal.store.layout import DEFAULT_DATA_DIR


@dataclass(frozen=True)
class Common:
    """Options that every command takes."""

    data_dir: Path
    """Root of the data tree."""
    device: str
    """``auto``, ``cpu`` or ``cuda``."""
    threads: int | None
    """Threads for PyTorch and the Rust core; None: as many as there are cores."""
    debug: bool
    """Show tracebacks and what the libraries report."""


class Many(click.ParamType[Any]):
    """Several words, given apart or with commas between them."""

    name = "words"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Split on commas and white space."""
        if isinstance(value, tuple):
            return value
        if isinstance(value, list):
            value = " ".join(map(str, value))
        return tuple(str(value).replace(",", " ").split())


class Integers(Many):
    """Several integers, given apart, with commas, or as ranges such as ``0-5``."""

    name = "integers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the words as integers and ranges; repeated ones count once."""
        numbers: dict[int, None] = {}
        for word in super().convert(value, param, ctx):
            first, dash, last = str(word).partition("-")
            if not first.isdecimal() or (dash and not last.isdecimal()):
                self.fail(f"{word!r} is neither an integer nor a range such as 0-5", param, ctx)
            stop = int(last) if dash else int(first)
            if stop < int(first) or stop - int(first) > 10_000:
                self.fail(f"{word!r} is no range: the first number is the smaller one", param, ctx)
            numbers.update(dict.fromkeys(range(int(first), stop + 1)))
        return tuple(numbers)


MANY = Many()
INTEGERS = Integers()


class SfalCommand(click.Command):
    """A command whose options may be spelled as the published scripts spell them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Bring the words into click's form, then parse them."""
        return super().parse_args(ctx, self._normalise(args))

    def _normalise(self, args: Sequence[str]) -> list[str]:
        many = {
            name
            for param in self.params
            if isinstance(param, click.Option) and isinstance(param.type, Many)
            for name in param.opts
        }
        result: list[str] = []
        words = list(args)
        while words:
            word = words.pop(0)
            if word == "--":
                return [*result, word, *words]
            if not word.startswith("--"):
                result.append(word)
                continue
            name, equals, value = word.partition("=")
            name = name.replace("_", "-")
            if name not in many:
                result.append(name + equals + value)
                continue
            values = [value] if equals else []
            while words and not words[0].startswith("-"):
                values.append(words.pop(0))
            if name in result:  # given again: add to what was given before
                result[result.index(name) + 1] += "," + ",".join(values)
            else:
                result += [name, ",".join(values)]
        return result


def _read_config(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    if path is not None:
        from sfal.cli.config import read_config

        read_config(ctx, path)


_COMMON = [
    click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="SFAL_DATA",
        default=Path(DEFAULT_DATA_DIR),
        show_default=f"$SFAL_DATA or ./{DEFAULT_DATA_DIR}",
        help="Root of the data tree.",
    ),
    click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_read_config,
        help="TOML file with defaults for any option.",
    ),
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help="Where models run.",
    ),
    click.option("--threads", type=click.IntRange(1, 4096), help="CPU threads; default: all."),
    click.option("--debug", is_flag=True, help="Show tracebacks and the libraries' own reports."),
]


def command(name: str, **attributes: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a function a command with the common options.

    The function's first argument is the :class:`Common` of the call; its
    docstring is the help text.
    """

    def decorate(function: Callable[..., Any]) -> click.Command:
        @wraps(function)
        def run(
            data_dir: Path, device: str, threads: int | None, debug: bool, **options: Any
        ) -> Any:
            if threads is not None:
                # Read when the Rust core's and OpenMP's pools are first made.
                os.environ["RAYON_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(threads)
            use_data_dir(data_dir)
            return function(Common(data_dir, device, threads, debug), **options)

        made = click.command(name, cls=SfalCommand, **attributes)(run)
        for option in _COMMON:
            made = option(made)
        made.params.sort(key=lambda param: param.name in _COMMON_NAMES)
        return made

    return decorate


_COMMON_NAMES = frozenset({"data_dir", "config", "device", "threads", "debug"})


def fail_for(errors: Sequence[SfalError]) -> None:
    """Say what was refused while the rest was done, the last of it by raising it."""
    for error in errors[:-1]:
        click.echo(f"Error: {told(error)}", err=True)
    if errors:
        raise errors[-1]
