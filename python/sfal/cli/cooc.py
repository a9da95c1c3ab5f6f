"""``sfal cooc``: stage 1, which features occur together."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sfal.cli.cooc_options import corpus, shared
from sfal.cli.hints import told
from sfal.cli.options import INTEGERS, MANY, Common, command, fail_for
from sfal.errors import InvalidInputError, SfalError

if TYPE_CHECKING:
    from sfal.collect.driver import CollectResult
    from sfal.collect.settings import CollectSettings
    from sfal.sources import Source

_COVERED = 0.25
"""Share of the tokens in windows, below which a run deserves a word."""


@click.group("cooc", context_settings={"help_option_names": ["-h", "--help"]})
def cooc() -> None:
    """Count which features occur together in windows of text (stage 1).

    The same command, started again, goes on where it stopped.

    \b
    sfal cooc gemma --k 256
    sfal cooc llama --k 256 --layers 0 8 17
    sfal cooc sae --sae ./my-sae --model ./my-model --site res --layer 3 --corpus text.jsonl
    """


@command("gemma")
@click.option("--model", default="google/gemma-2-2b", show_default=True, help="A Gemma 2 model.")
@click.option("--layers", type=INTEGERS, help="Layers; default: the paper's for the model.")
@click.option("--sae-type", type=MANY, default=("res",), help="Of res, mlp, att; default: res.")
@click.option("--sae-features", default="16k", show_default=True, help="Width of the SAEs.")
@click.option(
    "--target-l0",
    type=click.IntRange(min=1),
    help="Take the SAE with the nearest L0; default: the one that Neuronpedia explains.",
)
@corpus("monology/pile-uncopyrighted")
@shared
def gemma(
    common: Common,
    model: str,
    layers: tuple[int, ...] | None,
    sae_type: tuple[str, ...],
    sae_features: str,
    target_l0: int | None,
    **options: Any,
) -> None:
    """Count for Gemma Scope SAEs of a Gemma 2 model.

    \b
    sfal cooc gemma --model google/gemma-2-9b --layers 0 8 17 --sae-type res mlp
    """
    from sfal.sources import resolve_gemma

    def resolve(layers: Sequence[int] | None, sites: Sequence[str]) -> "list[Source]":
        return resolve_gemma(model, layers, sites, sae_features, target_l0)

    count(common, *_resolve_each(resolve, layers, sae_type), options)


@command("llama")
@click.option(
    "--model", default="meta-llama/Llama-3.1-8B", show_default=True, help="A Llama 3.1 8B model."
)
@click.option("--layers", type=INTEGERS, help="Layers; default: the paper's.")
@click.option("--sae-type", type=MANY, default=("res",), help="Of res, mlp, att; default: res.")
@click.option(
    "--expansion",
    type=click.Choice(["8x", "32x"]),
    default="8x",
    show_default=True,
    help="Width of the SAEs: 32,768 or 131,072 features.",
)
@corpus("cerebras/SlimPajama-627B")
@shared
def llama(
    common: Common,
    model: str,
    layers: tuple[int, ...] | None,
    sae_type: tuple[str, ...],
    expansion: Any,
    **options: Any,
) -> None:
    """Count for Llama Scope SAEs of Llama 3.1 8B.

    The published numbers' rule is --input-scale none --top-k 50.

    \b
    sfal cooc llama --layers 0 8 17 --sae-type res mlp
    """
    from sfal.sources import resolve_llama

    def resolve(layers: Sequence[int] | None, sites: Sequence[str]) -> "list[Source]":
        return resolve_llama(model, layers, sites, expansion)

    count(common, *_resolve_each(resolve, layers, sae_type), options)


@command("sae")
@click.option("--release", help="SAELens release; `sfal sources` lists them.")
@click.option("--sae-id", help="Id inside the release.")
@click.option(
    "--sae",
    "sae_path",
    type=click.Path(path_type=Path),
    help="An SAE on disk: a folder or an npz file.",
)
@click.option("--model", help="Language model, where the SAE does not say it.")
@click.option("--site", help="Of res, res_pre, mlp, att, attn_out, likewise.")
@click.option("--layer", type=click.IntRange(min=0), help="Layer from 0, likewise.")
@click.option("--hook-module", metavar="PATH", help="Module to read at, instead of a site.")
@corpus("monology/pile-uncopyrighted")
@shared
def sae(
    common: Common,
    release: str | None,
    sae_id: str | None,
    sae_path: Path | None,
    model: str | None,
    site: str | None,
    layer: int | None,
    hook_module: str | None,
    **options: Any,
) -> None:
    """Count for any SAE: one that SAELens knows, or one on disk.

    \b
    sfal cooc sae --release gpt2-small-res-jb --sae-id blocks.8.hook_resid_pre
    sfal cooc sae --sae ./my-sae --model ./my-model --site res --layer 3
    """
    from sfal.sources import resolve_local, resolve_saelens

    if sae_path is not None and (release or sae_id):
        raise InvalidInputError("give either --sae, or --release and --sae-id")
    if sae_path is not None:
        source = resolve_local(sae_path, model, site, layer, hook_module)
    elif release and sae_id:
        if site is not None or layer is not None or hook_module is not None:
            raise InvalidInputError("--site, --layer and --hook-module go with --sae")
        source = resolve_saelens(release, sae_id, model)
    else:
        raise InvalidInputError(
            "which SAE? Give --release and --sae-id (`sfal sources` lists them), or --sae PATH"
        )
    count(common, [source], [], options)


def _resolve_each(
    resolve: "Callable[[Sequence[int] | None, Sequence[str]], list[Source]]",
    layers: Sequence[int] | None,
    sites: Sequence[str],
) -> "tuple[list[Source], list[SfalError]]":
    """Sources of all layers and sites; where some are refused, those of the others."""
    if not sites:
        raise InvalidInputError("--sae-type names no site")
    try:
        return resolve(layers, sites), []
    except SfalError:
        if layers is None or len(layers) * len(sites) == 1:
            raise
    sources: list[Source] = []
    refused: list[SfalError] = []
    for site in sites:
        for layer in layers:
            try:
                sources += resolve([layer], [site])
            except SfalError as e:
                refused.append(e)
    if not sources:
        raise refused[0]
    return sources, refused


def count(
    common: Common,
    sources: "Sequence[Source]",
    refused: Sequence[SfalError],
    options: dict[str, Any],
) -> None:
    """Count the sources, and say what became of each."""
    name = options.pop("source_name")
    dry_run = options.pop("dry_run")
    if name is not None:
        if len(sources) > 1:
            raise InvalidInputError(f"--source names one folder, but these are {len(sources)}")
        sources = [replace(sources[0], name=name)]
    for note in {note: None for source in sources for note in source.notes}:
        click.echo(f"Note: {note}", err=True)
    settings = _settings(common, options)
    if common.threads is not None:
        import torch

        torch.set_num_threads(common.threads)
    if dry_run:
        from sfal.collect.dry_run.estimate import estimate

        lines, errors = estimate(sources, settings, common.data_dir)
        click.echo("\n".join(map(told, lines)))
        fail_for([*refused, *errors])
        return
    from sfal.collect.driver import collect

    results = collect(sources, settings, common.data_dir)
    for result in results:
        if result.error is None:
            click.echo(_summary(result))
            if settings.examples:
                click.echo(f"  {_examples(result, common.data_dir)}")
        for said in (result.note, _little_covered(result)):
            if said is not None:
                click.echo(f"Note: {result.source.name}: {said}", err=True)
    fail_for([*refused, *(result.error for result in results if result.error is not None)])


def _settings(common: Common, options: dict[str, Any]) -> "CollectSettings":
    from sfal.collect.settings import CollectSettings
    from sfal.collect.shard import Shard

    shard = options.pop("shard")
    histogram = options.pop("histogram")
    source = click.get_current_context().get_parameter_source("histogram")
    if histogram == "npz" and source is click.core.ParameterSource.DEFAULT:
        histogram = "auto"
    return CollectSettings(
        window_size=options.pop("k"),
        shard=None if shard is None else Shard.parse(shard),
        histogram=histogram,
        redo_damaged=options.pop("resume"),
        device=common.device,
        **options,
    )


def _summary(result: "CollectResult") -> str:
    manifest = result.manifest
    if manifest is None:
        return f"{result.source.name}: nothing counted"
    counts = manifest.counts
    mean = counts.occurrences / counts.windows if counts.windows else 0.0
    short = f" ({counts.empty} empty, {counts.too_short} too short)"
    done = "" if result.counted else ", counted before"
    return (
        f"{result.source.name}: {counts.documents} documents{short}, {counts.windows} windows, "
        f"{100 * manifest.coverage:.1f} % of the tokens, {mean:.1f} features a window{done}; "
        f"in {result.folder}"
    )


def _little_covered(result: "CollectResult") -> str | None:
    """What to say of a run most of whose text lies in no window."""
    manifest = result.manifest
    if manifest is None or not manifest.n_windows or manifest.coverage >= _COVERED:
        return None
    size = manifest.settings.get("window_size")
    return (
        f"only {manifest.coverage:.0%} of the tokens lie in a window, since most documents are "
        f"short beside --k {size}; take longer documents or a smaller --k, with --run NAME or in "
        "another --data-dir"
    )


def _examples(result: "CollectResult", data_dir: Path) -> str:
    from sfal.store.examples import read_examples_metadata
    from sfal.store.layout import data_dir_words

    told = read_examples_metadata(result.folder)
    first, stop = told["documents"]
    return (
        f"examples of {told['features']:,} features in documents {first} to {stop - 1}; "
        f"next: sfal explain {result.source.name}{data_dir_words(data_dir)}"
    )


cooc.add_command(gemma)
cooc.add_command(llama)
cooc.add_command(sae)
