"""Options that say how scores are computed, for every command that computes some."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from sfal.scoring.settings import CANDIDATES, MEASURES, TIES, ScoreSettings

top_n_option = click.option(
    "--top-n",
    type=click.IntRange(1),
    default=1023,
    show_default=True,
    help="Neighbours per feature.",
)
n_windows_option = click.option(
    "--n-windows", type=click.IntRange(1), help="Number of windows, if the .npz lacks it."
)

_OPTIONS = (
    top_n_option,
    n_windows_option,
    click.option(
        "--measure",
        default="phi",
        show_default=True,
        metavar="|".join(MEASURES),
        help="Measure of co-occurrence.",
    ),
    click.option(
        "--candidates",
        type=click.Choice(CANDIDATES),
        default="comparable",
        show_default=True,
        help="Neighbours: features that are scored, or all, as published.",
    ),
    click.option(
        "--ties",
        type=click.Choice(TIES),
        default="average",
        show_default=True,
        help="Neighbours that tie: mean over their orders, or by index, as published.",
    ),
    click.option(
        "--published",
        is_flag=True,
        help="Rank as published: --candidates all --ties index --measure phi, all labels kept.",
    ),
)


def scoring_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options, and hand them to the command as `settings`, a `ScoreSettings`."""

    @wraps(function)
    def run(*args: Any, published: bool, **options: Any) -> Any:
        chosen = {name: options.pop(name) for name in _NAMES if name in options}
        settings = ScoreSettings(**chosen)
        return function(*args, settings=settings.published() if published else settings, **options)

    decorated: Callable[..., Any] = run
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def reliability_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--no-reliability`` to a command with the options above."""
    return click.option(
        "--reliability/--no-reliability",
        default=True,
        show_default=True,
        help="Report how precise scores are, from scores of parts of the documents.",
    )(function)


_NAMES = ("top_n", "n_windows", "measure", "candidates", "ties", "reliability", "leaks")
