"""Parameter types that click does not have: lists of words, of integers, values with a parser."""

from collections.abc import Callable
from typing import Any

import click

from sfal.cli.hints import told
from sfal.errors import SfalError


class Many(click.ParamType[Any]):
    """Several words, separated by spaces or commas."""

    name = "words"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Split on commas and white space."""
        if isinstance(value, tuple):
            return value
        if isinstance(value, list):
            value = " ".join(map(str, value))
        return tuple(str(value).replace(",", " ").split())


class Integers(Many):
    """Several integers, separated by spaces or commas, or given as ranges such as ``0-5``."""

    name = "integers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the words as integers and ranges, and drop repeated numbers."""
        numbers: dict[int, None] = {}
        for word in super().convert(value, param, ctx):
            first, dash, last = str(word).partition("-")
            if not first.isdecimal() or (dash and not last.isdecimal()):
                self.fail(f"{word!r} is neither an integer nor a range such as 0-5", param, ctx)
            stop = int(last) if dash else int(first)
            if stop < int(first):
                self.fail(f"{word!r} runs backwards; put the smaller number first", param, ctx)
            if stop - int(first) > 10_000:
                self.fail(f"{word!r} is too long a range; the limit is 10,000", param, ctx)
            numbers.update(dict.fromkeys(range(int(first), stop + 1)))
        return tuple(numbers)


class Parsed(click.ParamType[Any]):
    """A value that a function reads from text."""

    def __init__(self, parse: Callable[[str], Any], name: str) -> None:
        self._parse = parse
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the text; an error of the function is a usage error."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except SfalError as e:
            self.fail(told(e), param, ctx)


MANY = Many()
INTEGERS = Integers()
