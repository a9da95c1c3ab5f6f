"""``sfal cooc``: count which features occur together (stage 1)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sfal.cli.cooc_import import import_
from sfal.cli.cooc_slurm import Slurm, slurm_options
from sfal.cli.hints import data_dir_words, told_text
from sfal.cli.options import (
    WITHOUT_ADDRESS,
    Common,
    Decorator,
    command,
    fail_for,
    say_note,
    setting_options,
    use_threads,
)
from sfal.cli.param_types import INTEGERS, MANY
from sfal.collect.settings import CollectSettings
from sfal.errors import InvalidInputError, Note, SfalError
from sfal.terminal.units import counted

if TYPE_CHECKING:
    from sfal.collect.driver import CollectResult
    from sfal.sources import Source

_COVERED = 0.25
"""Share of tokens in windows below which a run gets a note."""


def counting_options() -> Decorator:
    """Add the options of a command that counts."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for add in reversed(
            [
                setting_options(
                    CollectSettings,
                    leave_out={"device"},  # an option of every command
                    ray=WITHOUT_ADDRESS,
                ),
                click.option(
                    "--source",
                    "source_name",
                    metavar="NAME",
                    help="Folder name of the source; alone, its name on Neuronpedia.",
                ),
                click.option(
                    "--dry-run",
                    is_flag=True,
                    help="Only say what would be downloaded, computed and stored, and how long it "
                    "would take.",
                ),
            ]
        ):
            function = add(function)
        return function

    return decorate


@click.group("cooc", context_settings={"help_option_names": ["-h", "--help"]})
def cooc() -> None:
    """Count which features occur together in windows of text (stage 1).

    Run the same command again to continue where it stopped.

    \b
    sfal cooc gemma --k 256
    sfal cooc llama --k 256 --layers 0 8 17
    sfal cooc sae --sae ./my-sae --model ./my-model --site res --layer 3 --corpus text.jsonl
    """


@command("gemma")
@click.option("--model", default="google/gemma-2-2b", show_default=True, help="A Gemma 2 model.")
@click.option("--layers", type=INTEGERS, help="Layers; default: the paper's for the model.")
@click.option("--sae-type", type=MANY, default=("res",), help="Any of res, mlp, att; default: res.")
@click.option("--sae-features", default="16k", show_default=True, help="Width of the SAEs.")
@click.option(
    "--target-l0",
    type=click.IntRange(min=1),
    help="Use the SAE with the nearest L0; default: the one that Neuronpedia explains.",
)
@slurm_options
@counting_options()
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
@click.option("--sae-type", type=MANY, default=("res",), help="Any of res, mlp, att; default: res.")
@click.option(
    "--expansion",
    type=click.Choice(["8x", "32x"]),
    default="8x",
    show_default=True,
    help="Width of the SAEs: 32,768 or 131,072 features.",
)
@slurm_options
@counting_options()
def llama(
    common: Common,
    model: str,
    layers: tuple[int, ...] | None,
    sae_type: tuple[str, ...],
    expansion: Any,
    **options: Any,
) -> None:
    """Count for Llama Scope SAEs of Llama 3.1 8B.

    The published numbers were made with --input-scale none --top-k 50.

    \b
    sfal cooc llama --layers 0 8 17 --sae-type res mlp
    """
    from sfal.sources import resolve_llama

    def resolve(layers: Sequence[int] | None, sites: Sequence[str]) -> "list[Source]":
        return resolve_llama(model, layers, sites, expansion)

    count(common, *_resolve_each(resolve, layers, sae_type), options)


@command("sae")
@click.option(
    "--release",
    help="SAELens release (`sfal sources` lists them), or OWNER/NAME of a repository on the hub.",
)
@click.option("--sae-id", help="Id within the release, or folder of the repository.")
@click.option(
    "--sae",
    "sae_path",
    type=click.Path(path_type=Path),
    help="SAE on disk: a folder or file of SAELens, sparsify, dictionary_learning, Gemma Scope, …",
)
@click.option("--model", help="Language model, in place of the one that the SAE names.")
@click.option(
    "--site",
    help="Where it reads, in place of what the SAE names: one of res, res_pre, res_mid, mlp, att, "
    "attn_out, mlp_in, ln1, ln2, mlp_input, neurons, embed.",
)
@click.option(
    "--layer", type=click.IntRange(min=0), help="Layer from 0, in place of what the SAE names."
)
@click.option(
    "--hook-module",
    metavar="PATH",
    help="Module whose output the SAE reads (PATH.input: whose input), in place of a site.",
)
@slurm_options
@counting_options()
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
    """Count for any SAE, from SAELens or on disk.

    \b
    sfal cooc sae --release gpt2-small-res-jb --sae-id blocks.8.hook_resid_pre
    sfal cooc sae --release someone/their-saes --sae-id blocks.3.hook_resid_post
    sfal cooc sae --sae ./my-sae --model ./my-model --site res --layer 3
    sfal cooc sae --source qwen3-1.7b/14-transcoder-hp
    """
    from sfal.sources import resolve_local, resolve_named, resolve_saelens

    if sae_path is not None and (release or sae_id):
        raise InvalidInputError("give either --sae, or --release and --sae-id")
    if sae_path is not None:
        source = resolve_local(sae_path, model, site, layer, hook_module)
    elif release:
        source = resolve_saelens(release, sae_id, model, site, layer, hook_module)
    elif options["source_name"] is not None and not sae_id:
        source = resolve_named(options["source_name"])
    else:
        raise InvalidInputError(
            "which SAE? Give --release and --sae-id (`sfal sources` lists them), --sae PATH, or "
            "the name of a source on Neuronpedia as --source"
        )
    count(common, [source], [], options)


def _resolve_each(
    resolve: "Callable[[Sequence[int] | None, Sequence[str]], list[Source]]",
    layers: Sequence[int] | None,
    sites: Sequence[str],
) -> "tuple[list[Source], list[SfalError]]":
    """Resolve all layers and sites, one by one if some are refused."""
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
    """Count for the sources, and print the result for each."""
    name = options.pop("source_name")
    dry_run = options.pop("dry_run")
    slurm = Slurm(options.pop("slurm"), options.pop("slurm_tasks"))
    if name is not None:
        if len(sources) > 1:
            raise InvalidInputError(
                f"--source names one folder, but there are {len(sources)} sources"
            )
        sources = [replace(sources[0], name=name)]
    show_source_notes(sources)
    settings = collect_settings(common, options)
    if slurm.file is not None:
        slurm.write([source.name for source in sources], settings, common, dry_run=dry_run)
        fail_for(refused)
        return
    use_threads(common)
    if dry_run:
        from sfal.collect.dry_run.estimate import estimate

        lines, errors = estimate(sources, settings, common.data_dir)
        click.echo("\n".join(map(told_text, lines)))
        fail_for([*refused, *errors])
        return
    from sfal.collect.driver import collect

    results = collect(sources, settings, common.data_dir)
    for result in results:
        show_collected(result, settings)
    fail_for([*refused, *(result.error for result in results if result.error is not None)])


def collect_settings(common: Common, options: dict[str, Any]) -> CollectSettings:
    """Return the settings that the options of :func:`counting_options` stand for."""
    return CollectSettings(**options, device=common.device)


def show_source_notes(sources: "Sequence[Source]") -> None:
    """Print what the user should know about sources before they are counted, each note once."""
    for note in dict.fromkeys(note for source in sources for note in source.notes):
        say_note(note)


def show_collected(result: "CollectResult", settings: CollectSettings) -> None:
    """Print what was counted for a source, unless it failed, and the notes about it."""
    if result.error is None:
        click.echo(_summary(result))
        if settings.examples:
            click.echo(f"  {_examples(result)}")
    for note in (*result.notes, result.note, _low_coverage(result)):
        if note is not None:
            say_note(note, result.source.name)


def _summary(result: "CollectResult") -> str:
    manifest = result.manifest
    if manifest is None:
        return f"{result.source.name}: nothing counted"
    counts = manifest.counts
    mean = counts.occurrences / counts.windows if counts.windows else 0.0
    short = f" ({counts.empty:,} empty, {counts.too_short:,} too short)"
    done = "" if result.counted else ", counted before"
    return (
        f"{result.source.name}: {counted(counts.documents, 'document')}{short}, "
        f"{counted(counts.windows, 'window')}, "
        f"{100 * manifest.coverage:.1f} % of the tokens, {mean:.1f} features per window{done}; "
        f"in {result.folder}"
    )


def _low_coverage(result: "CollectResult") -> Note | None:
    """Return a note on a run with most of its text outside windows."""
    manifest = result.manifest
    if manifest is None or not manifest.n_windows or manifest.coverage >= _COVERED:
        return None
    size = manifest.window_size
    return Note(
        f"only {manifest.coverage:.0%} of the tokens lie in a window, since most documents are "
        f"shorter than {size} tokens",
        "use longer documents or a smaller $window_size, with $run(NAME) or another $data_dir",
    )


def _examples(result: "CollectResult") -> str:
    from sfal.store.examples import read_examples_metadata

    found = read_examples_metadata(result.folder)
    first, stop = found["documents"]
    return (
        f"examples of {found['features']:,} features in documents {first} to {stop - 1}; "
        f"next: sfal explain {result.source.name}{data_dir_words()}"
    )


cooc.add_command(import_)
cooc.add_command(gemma)
cooc.add_command(llama)
cooc.add_command(sae)
