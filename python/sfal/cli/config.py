"""``--config``: a TOML file with default values for options.

Keys at the top level hold for all commands; keys in a table such as ``[score]``
or ``[cooc.gemma]`` hold for one command.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from sfal.cli.param_types import Many
from sfal.errors import InvalidInputError


def read_config(ctx: click.Context, path: Path) -> None:
    """Read the current command's defaults from a file into click's ``default_map``.

    All names in the file are checked, including those for other commands;
    values for other commands are not.

    Raises
    ------
    InvalidInputError
        If the file cannot be read, a section or an option does not exist, or
        a value does not have the option's type.
    """
    where = f"--config {path}"
    table: Any = _load(path, where)
    _check_names(table, ctx.find_root(), where)
    options = _options(ctx.command)
    chosen: dict[str, Any] = {}
    for current in _path(ctx):
        if current.parent is not None:
            table = table.get(current.command.name, {})
            table = table if isinstance(table, dict) else {}  # otherwise an option with that name
        for key, value in table.items():
            option = options.get(_plain(key))
            is_section = current is not ctx and isinstance(value, dict)
            if option is not None and option.name is not None and not is_section:
                chosen[option.name] = _value(option, value, f"{where}: {key}")
    ctx.default_map = {**(ctx.default_map or {}), **chosen}


def _load(path: Path, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise InvalidInputError(f"{where}: there is no such file") from e
    except OSError as e:
        raise InvalidInputError(f"{where} cannot be read: {e.strerror or e}") from e
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise InvalidInputError(f"{where}: {e}") from e


def _check_names(table: Mapping[str, Any], ctx: click.Context, where: str) -> None:
    """Reject unknown sections and options in a table and its subtables."""
    sections = dict(_subcommands(ctx))
    options = {name for below in _commands(ctx) for name in _options(below.command)}
    for key, value in table.items():
        section = sections.get(key)
        if sections and isinstance(value, dict):
            if section is None:
                near = _near(key, sections)
                raise InvalidInputError(f"{where}: no section [{key}]; {near}")
            _check_names(value, section, f"{where}: [{key}]")
        elif _plain(key) not in options:
            if section is not None:
                raise InvalidInputError(f"{where}: [{key}] is not a table")
            near = _near(_plain(key), options)
            raise InvalidInputError(f"{where}: no option {key!r}; {near}")


def _near(key: str, known: Iterable[str]) -> str:
    near = get_close_matches(key, list(known))
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(sorted(known))}"


def _subcommands(ctx: click.Context) -> Iterator[tuple[str, click.Context]]:
    group = ctx.command
    if isinstance(group, click.Group):
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            if command is not None:
                yield name, click.Context(command, ctx, name)


def _commands(ctx: click.Context) -> Iterator[click.Context]:
    """Yield the commands at and below a context that take options."""
    if not isinstance(ctx.command, click.Group):
        yield ctx
    for _, below in _subcommands(ctx):
        yield from _commands(below)


def _options(command: click.Command) -> dict[str, click.Option]:
    """Return the options that a file may set, by their long names without the leading dashes."""
    return {
        name.removeprefix("--"): option
        for option in command.params
        if isinstance(option, click.Option) and option.name != "config"
        for name in option.opts
        if name.startswith("--")
    }


def _plain(key: str) -> str:
    return key.replace("_", "-")


def _path(ctx: click.Context) -> list[click.Context]:
    """Return the contexts from the outermost command to the one being run."""
    found = [ctx]
    while found[0].parent is not None:
        found.insert(0, found[0].parent)
    return found


def _value(option: click.Option, value: Any, where: str) -> Any:
    """Convert a value from the file to what the command line would give."""
    if option.is_flag:
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
