"""What a settings dataclass says about its fields: help, bounds, and how they are spelled."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from sfal.errors import InvalidInputError


def option(
    help: str,
    *,
    flag: str | None = None,
    choices: tuple[str, ...] | None = None,
    minimum: int | None = None,
    metavar: str | None = None,
    parse: Callable[[str], Any] | None = None,
) -> dict[str, Any]:
    """Describe a setting, as the metadata of its field.

    Parameters
    ----------
    help : str
        What the setting does, in one sentence.
    flag : str, optional
        Option of the command line; default: the field's name with dashes.
    choices : tuple of str, optional
        The only values allowed.
    minimum : int, optional
        Smallest value allowed.
    metavar : str, optional
        Placeholder for the value.
    parse : callable, optional
        Turns the option's text into the value, for types that are neither
        text nor a number, a flag or a path.

    Returns
    -------
    dict
        Under ``help``, ``flag``, ``choices``, ``min``, ``metavar`` and
        ``parse``, those that are given.
    """
    described = {
        "help": help,
        "flag": flag,
        "choices": choices,
        "min": minimum,
        "metavar": metavar,
        "parse": parse,
    }
    return {key: value for key, value in described.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Checked:
    """Settings that are checked against the bounds and choices in their metadata."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value, choices = getattr(self, one.name), one.metadata.get("choices")
            if choices is not None and value not in choices:
                raise InvalidInputError(
                    f"{one.name} is {value!r}, but must be {' or '.join(choices)}"
                )
            minimum = one.metadata.get("min")
            if minimum is not None and value is not None and not value >= minimum:
                raise InvalidInputError(f"{one.name} is {value}, but must be at least {minimum}")
