"""What all commands share: the spelling of options, common options, notes and errors.

Options may be written with underscores (``--n_docs``), as the published
scripts write them. Options with several values take them as separate words
(``--layers 0 8 17``), as a list (``--layers 0,8,17``) or as a range
(``--layers 0-5``).
"""

import os
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any, get_args

import click

from sfal.cli.config import read_config
from sfal.cli.hints import told, use_data_dir
from sfal.cli.param_types import Many, Parsed
from sfal.errors import Note, SfalError
from sfal.io.devices import device_name
from sfal.store.layout import DEFAULT_DATA_DIR

WORDS = "sfal.cli.words"
"""Where a click context keeps the words after the command's name, as they were typed."""

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True)
class Common:
    """Options that every command takes."""

    data_dir: Path
    """Root of the data tree."""
    device: str
    """As :func:`sfal.io.devices.resolve_device` takes it."""
    threads: int | None
    """Threads for PyTorch and the Rust core; None: one per core."""
    debug: bool
    """Show tracebacks and the libraries' own log messages."""


class SfalCommand(click.Command):
    """A command that accepts options as the published scripts spell them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Rewrite the words in click's form, then parse them."""
        ctx.meta[WORDS] = tuple(args)
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
            if name in result:  # repeated: append to the earlier values
                result[result.index(name) + 1] += "," + ",".join(values)
            else:
                result += [name, ",".join(values)]
        return result


WITHOUT_ADDRESS = {"is_flag": False, "flag_value": "auto"}
"""Attributes of the option ``--ray``, whose value may be left out."""


def _read_config(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    if path is not None:
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
        help="TOML file with default values for options.",
    ),
    click.option(
        "--device",
        type=Parsed(device_name, "auto|cpu|cuda|cuda:N|mps|xpu"),
        default="auto",
        show_default=True,
        help="Where models run.",
    ),
    click.option(
        "--threads", type=click.IntRange(1, 4096), help="CPU threads; default: one per core."
    ),
    click.option("--debug", is_flag=True, help="Show tracebacks and library logs."),
]


def command(name: str, **attributes: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Turn a function into a command that also takes the common options.

    The function receives them as :class:`Common` in its first argument; its
    docstring is the command's help text.
    """

    def decorate(function: Callable[..., Any]) -> click.Command:
        @wraps(function)
        def run(
            data_dir: Path, device: str, threads: int | None, debug: bool, **options: Any
        ) -> Any:
            if threads is not None:
                # Rust's and OpenMP's thread pools read these when they are first created.
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


def setting_options(
    settings: type[Any], *, leave_out: Container[str] = (), **changes: Mapping[str, Any]
) -> Decorator:
    """Add an option for each field of a settings dataclass, from the field's metadata.

    Parameters
    ----------
    settings : type
        The dataclass. :func:`sfal.collect.options.option` describes the
        metadata. A parameter of the command is named after its field.
    leave_out : container of str, optional
        Fields without an option.
    **changes : mapping
        By field: attributes of the option that differ, such as its default.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for field in reversed(fields(settings)):
            if field.name not in leave_out:
                function = _setting_option(field, changes.get(field.name, {}))(function)
        return function

    return decorate


def _setting_option(field: Field[Any], changes: Mapping[str, Any]) -> Decorator:
    described = field.metadata
    kinds = get_args(field.type) or (field.type,)
    attributes: dict[str, Any] = {
        "help": described["help"],
        "metavar": described.get("metavar"),
        "default": None if field.default is MISSING else field.default,
    }
    if bool in kinds:
        attributes["is_flag"] = True
    else:
        attributes["type"] = _type_of(kinds, described)
        attributes["show_default"] = attributes["default"] is not None
    flag = described.get("flag") or "--" + field.name.replace("_", "-")
    return click.option(flag, field.name, **{**attributes, **changes})


def _type_of(kinds: Sequence[Any], described: Mapping[str, Any]) -> click.ParamType[Any]:
    if "choices" in described:
        return click.Choice(described["choices"])
    if "parse" in described:
        return Parsed(described["parse"], described["metavar"])
    if Path in kinds:
        return click.Path(path_type=Path)
    return click.IntRange(min=described.get("min")) if int in kinds else click.STRING


def table_option(help_text: str) -> Decorator:
    """Return the option ``--output`` of commands that write a table of results."""
    return click.option(
        "--output",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE.csv|parquet",
        help=help_text,
    )


def use_threads(common: Common) -> None:
    """Let PyTorch use as many threads as the command line says."""
    if common.threads is not None:
        import torch

        torch.set_num_threads(common.threads)


def say_note(note: Note | str, source: str = "") -> None:
    """Print a note on standard error, after the name of the source it concerns."""
    where = f"{source}: " if source else ""
    click.echo(f"Note: {where}{told(note)}", err=True)


def fail_for(errors: Sequence[SfalError]) -> None:
    """Report what failed while the rest was done: print all errors but the last, raise that one."""
    for error in errors[:-1]:
        click.echo(f"Error: {told(error)}", err=True)
    if errors:
        raise errors[-1]
