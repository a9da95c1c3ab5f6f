"""``sfal run``: all stages for sources named by their Neuronpedia id."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sfal.cli.cooc import count, counting_options
from sfal.cli.embeddings import embeddings
from sfal.cli.options import Common, command, fail_for
from sfal.cli.param_types import MANY
from sfal.cli.score import score
from sfal.errors import InvalidInputError, SfalError

if TYPE_CHECKING:
    from sfal.sources import Source


@command("run")
@click.argument("names", nargs=-1, required=True, metavar="SOURCE…")
@counting_options(None, "the model family's")
@click.option(
    "--embedding-model", "models", type=MANY, default=None, help="As in `sfal embeddings`."
)
@click.option("--explainer", type=MANY, default=None, help="As in `sfal embeddings`.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("scoring_results.csv"),
    show_default=True,
    help="Wide CSV of all scores.",
)
def run(
    common: Common,
    names: tuple[str, ...],
    corpus: str | None,
    models: tuple[str, ...] | None,
    explainer: tuple[str, ...] | None,
    output: Path,
    **options: Any,
) -> None:
    """Count, fetch and embed explanations, and score; what exists is not done again.

    A SOURCE is a Neuronpedia id, as `sfal sources` lists them. Sources of one
    model share each forward pass.

    \b
    sfal run gemma-2-2b/0-gemmascope-res-16k gemma-2-2b/5-gemmascope-res-16k --n-docs 2000
    """
    if options["shard"] is not None or options["source_name"] is not None:
        raise InvalidInputError("--shard and --source go with `sfal cooc`, then `sfal merge`")
    refused: list[SfalError] = []
    groups: dict[str, list[Source]] = {}
    for source in _resolved(names, refused):
        groups.setdefault(source.model, []).append(source)
    for model, sources in groups.items():
        try:
            count(common, sources, [], {**options, "corpus": corpus or _corpus_of(model)})
        except SfalError as e:
            refused.append(e)
    done = tuple(source.name for sources in groups.values() for source in sources)
    if options["dry_run"]:
        from sfal.embeddings.dry_run import estimate

        for line in estimate(done, common.data_dir, models):
            click.echo(line)
        click.echo(f"scores into {output}")
    elif done:
        _explain_and_score(common, done, models, explainer, output, options["run"])
    fail_for(refused)


def _resolved(names: tuple[str, ...], refused: list[SfalError]) -> "list[Source]":
    from sfal.sources import resolve_named

    found = []
    for name in dict.fromkeys(names):
        try:
            found.append(resolve_named(name))
        except SfalError as e:
            refused.append(e)
    return found


def _corpus_of(model: str) -> str:
    """Corpus of the model's family, else Gemma's."""
    from sfal.sources import PRESETS

    family = next((f for f in PRESETS if f in model.lower()), "gemma")
    return PRESETS[family].corpus


def _explain_and_score(
    common: Common,
    names: tuple[str, ...],
    models: tuple[str, ...] | None,
    explainer: tuple[str, ...] | None,
    output: Path,
    run: str | None,
) -> None:
    """Call the commands of stages 2 and 3 as if they had been typed."""
    context = click.get_current_context()
    shared_values = asdict(common)
    failed = False
    try:
        context.invoke(
            embeddings.commands["all"],
            names=names,
            models=models,
            explainer=explainer,
            **shared_values,
        )
    except click.exceptions.Exit as e:
        # Some source has no explanations; those that have are scored all the same.
        failed = e.exit_code != 0
    context.invoke(score, sources=names, output=output, run=run, **shared_values)
    if failed:
        context.exit(1)
