"""Options that choose scored sources on disk, for the commands that show them."""

from functools import wraps
from typing import Any

import click

from sfal.cli.param_types import INTEGERS, MANY

_OPTIONS = (
    click.option("--model", help="gemma, llama or a model's id; default: all on disk."),
    click.option(
        "--layers",
        type=INTEGERS,
        default=(),
        help="Layers, such as 0 8 17 or 0-5; default: all on disk.",
    ),
    click.option("--embeddings", type=MANY, default=(), help="Embedders; default: all found."),
    click.option("--explainer", type=MANY, default=(), help="Explainers; default: all found."),
    click.option("--run", help="Name of another run of the same sources."),
)


def selection_options(function: Any) -> Any:
    """Add the options, and call a command that takes ``sources`` with one ``selection`` instead."""

    @wraps(function)
    def run(
        *args: Any,
        sources: tuple[str, ...],
        model: str | None,
        layers: tuple[int, ...],
        embeddings: tuple[str, ...],
        explainer: tuple[str, ...],
        run: str | None,
        **options: Any,
    ) -> Any:
        from sfal.scoring.selection import Selection

        selection = Selection(model, layers, sources, embeddings, explainer, run)
        return function(*args, selection=selection, **options)

    made: Any = run
    for option in reversed(_OPTIONS):
        made = option(made)
    return made
