"""``sfal sources``: list the SAEs that can be named."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from sfal.cli.options import Common, Decorator, command
from sfal.cli.param_types import INTEGERS, MANY
from sfal.errors import InvalidInputError

if TYPE_CHECKING:
    from sfal.sources import Source

_MANY = 200
"""Rows from which on a word about fewer is in place."""


@command("sources")
@click.argument("pattern", default="")
@click.option("--explained", is_flag=True, help="Only those that Neuronpedia explains.")
def sources(common: Common, pattern: str, explained: bool) -> None:
    """List SAEs: SAELens release and id, Neuronpedia id, width, L0.

    The last column says why SFAL cannot count an SAE, if it cannot.

    PATTERN is searched for in all of these, ignoring case; all of its words
    must occur. SAEs that Neuronpedia explains, of the models of `sfal cooc
    gemma` and `sfal cooc llama`, come first.

    \b
    sfal sources "gemma-2-2b res-16k"
    sfal sources llama_scope_lxr_8x
    """
    from sfal.sources import PRESETS, registry
    from sfal.terminal.table import Column, render_table

    preset = {model for family in PRESETS.values() for model in family.models}
    words = pattern.lower().split()
    rows = [
        (
            e.release,
            e.sae_id,
            e.neuronpedia_id or "-",
            e.width or "-",
            f"{e.l0:g}" if e.l0 else "-",
            e.obstacle or "yes",
        )
        for e in sorted(
            registry(),
            key=lambda e: not (e.neuronpedia_id and e.model.rpartition("/")[2].lower() in preset),
        )
        if (e.neuronpedia_id or not explained)
        and all(
            w in f"{e.release} {e.sae_id} {e.neuronpedia_id or ''} {e.model} {e.path}".lower()
            for w in words
        )
    ]
    if not rows:
        click.echo(f"Nothing matches {pattern!r}; `sfal sources` alone lists all.", err=True)
        raise SystemExit(1)
    header = ("release", "sae_id", "neuronpedia_id", "width", "l0", "countable")
    click.echo("\n".join(render_table([Column(title) for title in header], rows)))
    if len(rows) > _MANY:
        click.echo(
            f'{len(rows):,} SAEs. More words give fewer, such as `sfal sources "gemma-2-2b '
            'res-16k"`, and so does --explained.',
            err=True,
        )


def joined_options(*options: Decorator) -> Decorator:
    """Return one decorator that adds several options, in order."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_PRESET_OPTIONS = ("model", "layers", "sae_type", "sae_features", "target_l0")
"""Options that choose sources of a model family instead of naming them."""

sources_options = joined_options(
    click.option(
        "--source",
        "names",
        type=MANY,
        default=(),
        help="Sources by Neuronpedia id, such as gemma-2-2b/0-gemmascope-res-16k. "
        "Default: all sources in the data folder, or those of `sfal cooc gemma` if it has none.",
    ),
    click.option(
        "--model", help="Instead of --source: gemma, llama or the hub id of such a model."
    ),
    click.option("--layers", type=INTEGERS, help="With --model: layers; default: the preset's."),
    click.option("--sae-type", type=MANY, help="With --model: res, mlp, att; default: res."),
    click.option("--sae-features", default=None, help="With --model: width, such as 16k or 8x."),
    click.option("--target-l0", type=click.IntRange(1), help="With --model: L0 of the SAE."),
)
"""Options with which a command of stage 2 names sources."""


def chosen_sources(common: Common, options: dict[str, Any]) -> "Sequence[str | Source]":
    """Return the sources that the options name; by default those on disk."""
    from sfal.store.source_folder import SourceFolder

    names: tuple[str, ...] = options["names"]
    preset = [name for name in _PRESET_OPTIONS if options[name] is not None]
    if names and preset:
        flag = preset[0].replace("_", "-")
        raise InvalidInputError(f"give --source or --{flag}, not both")
    if names:
        return names
    # The folders of the published layout are not named by a Neuronpedia id.
    on_disk = sorted(s.name for s in SourceFolder.all(common.data_dir) if s.layout == "ours")
    return on_disk if on_disk and not preset else _preset(options)


def _preset(options: dict[str, Any]) -> "list[Source]":
    from sfal.sources import PRESETS, resolve_gemma, resolve_llama

    model, layers, width = options["model"], options["layers"], options["sae_features"]
    sites = options["sae_type"] or ("res",)
    family = next((f for f in PRESETS if f in (model or "gemma").lower()), None)
    if family is None:
        raise InvalidInputError(
            f"--model {model}: there are presets for {' and '.join(PRESETS)}; "
            "name sources of other models with --source"
        )
    name = PRESETS[family].model if model in (None, family) else str(model)
    if family == "llama":
        return resolve_llama(name, layers, sites, width or "8x")
    return resolve_gemma(name, layers, sites, width or "16k", options["target_l0"], online=False)
