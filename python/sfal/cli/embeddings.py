"""``sfal embeddings``: download, choose and embed explanations (stage 2)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sfal.cli.hints import told
from sfal.cli.options import Common, command
from sfal.cli.param_types import INTEGERS, MANY
from sfal.errors import InvalidInputError, SfalError

if TYPE_CHECKING:
    from sfal.embeddings.driver import EmbedResult
    from sfal.embeddings.settings import EmbedSettings
    from sfal.embeddings.source_embeddings import EmbeddedSummary
    from sfal.explanations.driver import DownloadResult
    from sfal.explanations.settings import DownloadSettings
    from sfal.explanations.source_explanations import ChosenSummary
    from sfal.sources import Source

_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _options(*options: _Decorator) -> _Decorator:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_PRESET_OPTIONS = ("model", "layers", "sae_type", "sae_features", "target_l0")
"""Options that choose sources of a model family instead of naming them."""

_sources_options = _options(
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
_choice_options = _options(
    click.option(
        "--explainer",
        type=MANY,
        default=None,
        help="Only explanations by these models, in order of preference. "
        "Default: gpt-4o-mini, then any other.",
    ),
    click.option(
        "--type",
        "types",
        type=MANY,
        default=None,
        help="Only explanations of these types, in order of preference. "
        "Default: oai_token-act-pair, then any other.",
    ),
)
_file_options = click.option(
    "--explanations",
    "file",
    type=click.Path(path_type=Path),
    help="Read them from this CSV, TSV, JSON, JSONL or Parquet file (columns feature, explanation), "
    "or from delphi's folder.",
)
_embedding_options = _options(
    click.option(
        "--embedding-model",
        "models",
        type=MANY,
        default=None,
        help="Hub ids, folders, or neuronpedia for the export's own vectors. "
        "Default: Qwen/Qwen3-Embedding-0.6B.",
    ),
    click.option("--embedding-name", help="Name of a folder's model, instead of local/FOLDER."),
    click.option("--revision", help="Commit, branch or tag of a hub model."),
    click.option(
        "--batch-size",
        type=click.IntRange(1, 4096),
        default=32,
        show_default=True,
        help="Texts per batch.",
    ),
    click.option(
        "--trust-remote-code",
        is_flag=True,
        help="Let Python code from the model's repository run (gte-Qwen2 and bilingual need it).",
    ),
)


@click.group("embeddings")
def embeddings() -> None:
    """Download the explanations of features and embed them (stage 2)."""


@_sources_options
@_choice_options
@_file_options
def _download(common: Common, **options: Any) -> None:
    """Download explanations and choose one per feature.

    Files that were downloaded before and have not changed are not downloaded
    again.

    \b
    sfal embeddings download --source gemma-2-2b/0-gemmascope-res-16k
    sfal embeddings download --model gemma --layers 0-5 --explainer gpt-4o-mini
    """
    from sfal.explanations.driver import download_explanations

    settings = download_settings(options, keep_own=not options["names"])
    report = Report(common)
    download_explanations(
        _sources(common, options), settings, common.data_dir, on_result=report.downloaded
    )
    report.end()


@_sources_options
@_choice_options
@_embedding_options
def _embed(common: Common, **options: Any) -> None:
    """Embed the explanations on disk.

    \b
    sfal embeddings embed --embedding-model Qwen/Qwen3-Embedding-0.6B
    sfal embeddings embed --embedding-model ./my-model --source gemma-2-2b/0-gemmascope-res-16k
    """
    from sfal.embeddings.driver import embed_explanations

    settings = embed_settings(common, options)
    report = Report(common)
    embed_explanations(
        _sources(common, options), settings, common.data_dir, on_result=report.embedded
    )
    report.end()


@_sources_options
@_choice_options
@_file_options
@_embedding_options
def _all(common: Common, **options: Any) -> None:
    """Download explanations and embed them.

    \b
    sfal embeddings all
    sfal embeddings all --model llama --layers 0 8 17
    sfal embeddings all --source my-model/3-my-sae-res --explanations mine.csv
    """
    from sfal.embeddings.driver import embed_explanations
    from sfal.explanations.driver import download_explanations

    embedding = embed_settings(common, options)
    embedding.embedders()  # report an unusable one before anything is downloaded
    report = Report(common)
    results = download_explanations(
        _sources(common, options),
        download_settings(options, keep_own=True),
        common.data_dir,
        on_result=report.downloaded,
    )
    explained = [result.source for result in results if result.error is None]
    if explained:
        embed_explanations(explained, embedding, common.data_dir, on_result=report.embedded)
    report.end()


embeddings.add_command(command("download")(_download))
embeddings.add_command(command("embed")(_embed))
embeddings.add_command(command("all")(_all))


def download_settings(options: dict[str, Any], *, keep_own: bool) -> "DownloadSettings":
    """Return the settings that options of this module stand for."""
    from sfal.explanations.settings import DownloadSettings

    return DownloadSettings(
        explainers=options["explainer"] or None,
        types=options.get("types") or None,
        explanations_file=options.get("file"),
        keep_own=keep_own,
    )


def embed_settings(common: Common, options: dict[str, Any]) -> "EmbedSettings":
    """Return the settings that options of this module stand for."""
    from sfal.embeddings.embedders import DEFAULT_EMBEDDER
    from sfal.embeddings.settings import EmbedSettings

    names = ("embedding_name", "revision", "trust_remote_code", "batch_size")
    return EmbedSettings(
        embedding_models=options["models"] or (DEFAULT_EMBEDDER,),
        device=common.device,
        explainers=options["explainer"] or None,
        types=options.get("types") or None,
        **{name: options[name] for name in names if name in options},
    )


def _sources(common: Common, options: dict[str, Any]) -> "Sequence[str | Source]":
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


class Report:
    """The lines that a command prints, and whether anything failed."""

    def __init__(self, common: Common) -> None:
        self._debug = common.debug
        self._failed = False
        self._repeated: dict[str, list[str]] = {}
        """Errors that were printed, each with the other sources that have the same one."""

    def downloaded(self, result: "DownloadResult") -> None:
        """Print what was chosen for a source."""
        if result.error is not None:
            self.error(result.error, result.source)
        elif result.chosen is not None:
            click.echo(_describe_chosen(result.chosen))
        else:
            click.echo(f"{result.source}: your own explanations on disk are kept")

    def embedded(self, result: "EmbedResult") -> None:
        """Print how many explanations of a source were embedded."""
        if result.error is not None:
            self.error(result.error, result.source)
        if result.embedded is not None:
            click.echo(_describe_embedded(result.embedded))

    def error(self, error: SfalError, source: str = "") -> None:
        """Print an error; if it repeats an earlier one, keep the source for :meth:`end`."""
        from sfal.io.http_errors import UnreachableError

        if self._debug:
            raise error
        self._failed = True
        text = told(error)
        # Addresses differ, but a server that does not answer is one error.
        kind = UnreachableError.__name__ if isinstance(error, UnreachableError) else text
        if kind in self._repeated:
            self._repeated[kind].append(source)
            return
        self._repeated[kind] = []
        click.echo(f"Error: {text if source in text else f'{source}: {text}'}", err=True)

    def end(self) -> None:
        """Print which sources share an error; leave with exit code 1 if there was any."""
        for names in filter(None, self._repeated.values()):
            click.echo(f"Error: the same for {', '.join(dict.fromkeys(names))}", err=True)
        if self._failed:
            click.get_current_context().exit(1)


def _describe_chosen(summary: "ChosenSummary") -> str:
    kinds = "; ".join(f"{t} by {e} {n:,}" for t, e, n in summary.kinds[:5])
    lines = [
        f"{summary.source}: {summary.n_chosen:,} of {summary.n_features:,} features explained, "
        f"{summary.n_missing:,} not ({kinds})" + (", unchanged" if summary.unchanged else "")
    ]
    if summary.n_duplicates:
        lines.append(f"  {summary.n_duplicates:,} records repeat another")
    if summary.left_out:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in summary.left_out.items())
        lines.append(f"  left out: {reasons}")
    return "\n".join(lines)


def _describe_embedded(summary: "EmbeddedSummary") -> str:
    if summary.skipped:
        return f"{summary.source}: already embedded by {summary.embedder}"
    missing = f", {summary.n_missing:,} without a vector" if summary.n_missing else ""
    return f"{summary.source}: {summary.n_vectors:,} embedded by {summary.embedder}{missing}"
