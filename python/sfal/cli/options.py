"""What every command shares: spelling of options, common options, errors.

Options are accepted with underscores too (``--n_docs``), as the published
scripts spell them, and options of several values take them as separate words
(``--layers 0 8 17``), as a list (``--layers 0,8,17``) or as a range
(``--layers 0-5``).
"""

import os
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from sfal.errors import InvalidInputError, SfalError
from sfal.store.paths import DEFAULT_DATA_DIR


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
    """Take defaults from a TOML file: top-level keys for all, tables for one command."""
    if path is None:
        return
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise InvalidInputError(f"--config {path}: {e}") from e
    options = {p.name: p for p in ctx.command.params}
    chosen: dict[str, Any] = {}
    table: Any = values
    for level in [None, *_command_words(ctx)]:
        if level is not None:
            table = table.get(level, {}) if isinstance(table, dict) else {}
            if not isinstance(table, dict):
                raise InvalidInputError(f"--config {path}: [{level}] is no table")
        for key, value in table.items():
            name = key.replace("-", "_")
            if isinstance(value, dict) and level != ctx.command.name:
                continue  # of other commands
            if name in options:
                chosen[name] = _config_value(options[name], value, f"--config {path}: {key}")
            elif level == ctx.command.name:
                known = ", ".join(sorted(str(o).replace("_", "-") for o in options))
                raise InvalidInputError(f"--config {path}: no option {key!r}; there are {known}")
    ctx.default_map = {**(ctx.default_map or {}), **chosen}


def _config_value(option: click.Parameter, value: Any, where: str) -> Any:
    """What the command line would give for a value of the file."""
    if isinstance(option, click.Option) and option.is_flag:
        if not isinstance(value, bool):
            raise InvalidInputError(f"{where} is {value!r}, but must be true or false")
        return value
    several = isinstance(value, list) and isinstance(option.type, Many)
    words = [str(word) for word in (value if several else [value]) if _is_word(word)]
    if len(words) != (len(value) if several else 1):
        kinds = (
            "a list, a text or a number" if isinstance(option.type, Many) else "a text or a number"
        )
        raise InvalidInputError(f"{where} is {value!r}, but must be {kinds}")
    return words if several else words[0]


def _is_word(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number or (isinstance(value, str) and "\0" not in value)


def _command_words(ctx: click.Context) -> list[str]:
    words: list[str] = []
    current: click.Context | None = ctx
    while current is not None and current.parent is not None:
        words.insert(0, str(current.command.name))
        current = current.parent
    return words


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
        click.echo(f"Error: {error}", err=True)
    if errors:
        raise errors[-1]
