"""``sfal embeddings``: download, choose and embed explanations (stage 2)."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sfal.cli.hints import told
from sfal.cli.options import WITHOUT_ADDRESS, Common, command, say_note, setting_options
from sfal.cli.param_types import MANY
from sfal.cli.sources import chosen_sources, joined_options, sources_options
from sfal.collect.executors.placement import Placement
from sfal.errors import SfalError

if TYPE_CHECKING:
    from sfal.embeddings.driver import EmbedResult
    from sfal.embeddings.settings import EmbedSettings
    from sfal.explanations.driver import DownloadResult
    from sfal.explanations.settings import DownloadSettings

_choice_options = joined_options(
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
_file_options = joined_options(
    click.option(
        "--explanations",
        "file",
        type=click.Path(path_type=Path),
        help="Read them from this CSV, TSV, JSON, JSONL or Parquet file (columns feature, "
        "explanation), or from delphi's folder.",
    ),
    click.option(
        "--feature-column",
        metavar="NAME",
        help="Column of that file with the features, if its name does not tell.",
    ),
    click.option(
        "--label-column",
        metavar="NAME",
        help="Column of that file with the explanations, if its name does not tell.",
    ),
)
leaks_option = click.option(
    "--leaks",
    type=click.Choice(["drop", "keep"]),
    default="drop",
    show_default=True,
    help="Labels that are the explainer's reasoning or prompt: leave them out, or keep them.",
)
_embedding_options = joined_options(
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
    click.option(
        "--prompt",
        metavar="TEXT",
        help="Words before each text, '' for none. Default: what the model's authors advise for "
        'symmetric tasks, such as "query: " for E5.',
    ),
    click.option("--prompt-name", help="Instead of --prompt: its name in the model's repository."),
    leaks_option,
    setting_options(Placement, ray=WITHOUT_ADDRESS),
)


@click.group("embeddings")
def embeddings() -> None:
    """Download the explanations of features and embed them (stage 2)."""


@sources_options
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
        chosen_sources(common, options), settings, common.data_dir, on_result=report.downloaded
    )
    report.end()


@sources_options
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
        chosen_sources(common, options), settings, common.data_dir, on_result=report.embedded
    )
    report.end()


@sources_options
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
        chosen_sources(common, options),
        download_settings(options, keep_own=True),
        common.data_dir,
        on_result=report.downloaded,
    )
    explained = [result.source for result in results if result.error is None]
    if explained:
        embed_explanations(explained, embedding, common.data_dir, on_result=report.embedded)
    report.end()


@click.argument("file", type=click.Path(path_type=Path))
@click.option("--source", required=True, help="Source whose explanations were embedded.")
@click.option(
    "--embedding-name",
    required=True,
    help="Name for the vectors, such as openai/text-embedding-3-large.",
)
def _import(common: Common, file: Path, source: str, embedding_name: str) -> None:
    """Import vectors that were made elsewhere, such as an API's embeddings.

    FILE is an .npy with a row per feature; an .npz or .safetensors with such an
    array and perhaps one named feature; or a .parquet with a column embedding
    and perhaps one named feature. A row of zeros or NaN stands for no vector.

    \b
    sfal embeddings import vectors.npy --source gemma-2-2b/0-gemmascope-res-16k
        --embedding-name openai/text-embedding-3-large
    """
    from sfal.embeddings.import_vectors import import_embeddings
    from sfal.report.labels import imported_text

    click.echo(imported_text(import_embeddings(source, file, embedding_name, common.data_dir)))


embeddings.add_command(command("import")(_import))
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
        feature_column=options.get("feature_column"),
        label_column=options.get("label_column"),
        keep_own=keep_own,
    )


def embed_settings(common: Common, options: dict[str, Any]) -> "EmbedSettings":
    """Return the settings that options of this module stand for."""
    from sfal.embeddings.embedders import DEFAULT_EMBEDDER
    from sfal.embeddings.settings import EmbedSettings

    names = (
        "embedding_name",
        "revision",
        "trust_remote_code",
        "batch_size",
        "prompt",
        "prompt_name",
        "leaks",
        "devices",
        "ray",
        "ray_wait",
    )
    return EmbedSettings(
        embedding_models=options["models"] or (DEFAULT_EMBEDDER,),
        device=common.device,
        explainers=options["explainer"] or None,
        types=options.get("types") or None,
        **{name: options[name] for name in names if name in options},
    )


class Report:
    """The lines that a command prints, and whether anything failed."""

    def __init__(self, common: Common) -> None:
        self._debug = common.debug
        self._failed = False
        self._repeated: dict[str, list[str]] = {}
        """Errors that were printed, each with the other sources that have the same one."""

    def downloaded(self, result: "DownloadResult") -> None:
        """Print what was chosen for a source."""
        from sfal.report.labels import chosen_text

        if result.error is not None:
            self.error(result.error, result.source)
        elif result.chosen is not None:
            click.echo(chosen_text(result.chosen))
        else:
            click.echo(f"{result.source}: your own explanations on disk are kept")
        for note in result.notes:
            say_note(note)

    def embedded(self, result: "EmbedResult") -> None:
        """Print how many explanations of a source were embedded."""
        from sfal.report.labels import embedded_text

        if result.error is not None:
            self.error(result.error, result.source)
        if result.embedded is not None:
            click.echo(embedded_text(result.embedded))
            for note in result.embedded.notes:
                say_note(note)

    def error(self, error: SfalError, source: str = "") -> None:
        """Print an error; if it repeats an earlier one, keep the source for :meth:`end`."""
        from sfal.io.web.http_errors import UnreachableError

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
