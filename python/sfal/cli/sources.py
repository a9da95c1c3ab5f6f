"""``sfal sources``: list the SAEs that can be named."""

import click

from sfal.cli.options import Common, command

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
