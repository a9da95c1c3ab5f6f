"""``sfal embeddings``: explanations fetched, chosen and embedded."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from sfal.cli.embeddings_options import (
    PRESET_OPTIONS,
    choice_options,
    embedding_options,
    file_options,
    sources_options,
)
from sfal.cli.interrupt import stopped
from sfal.cli.options import Common, command
from sfal.errors import InvalidInputError, SfalError

if TYPE_CHECKING:
    from sfal.embeddings.driver import EmbeddedSummary
    from sfal.embeddings.embedders import Embedder, EmbedderRef
    from sfal.explanations.chooser import Preferences
    from sfal.explanations.driver import ChosenSummary, DownloadSettings
    from sfal.store.targets import ExplainedSource


@click.group("embeddings")
def embeddings() -> None:
    """Fetch the explanations of features and embed them (stage 2)."""


@sources_options
@choice_options
@file_options
def _download(common: Common, **options: Any) -> None:
    """Fetch explanations, choose one a feature.

    What was fetched before and has not changed is not fetched again.

    \b
    sfal embeddings download --source gemma-2-2b/0-gemmascope-res-16k
    sfal embeddings download --model gemma --layers 0-5 --explainer gpt-4o-mini
    """
    stage = _Stage(common, options)
    for source in stage.sources():
        with stage.one(source.name):
            stage.choose(source, keep_own=not options["names"])
    stage.end()


@sources_options
@choice_options
@embedding_options
def _embed(common: Common, **options: Any) -> None:
    """Embed explanations that lie on disk.

    \b
    sfal embeddings embed --embedding-model Qwen/Qwen3-Embedding-0.6B
    sfal embeddings embed --embedding-model ./my-model --source gemma-2-2b/0-gemmascope-res-16k
    """
    stage = _Stage(common, options)
    embedders = stage.embedders()
    for source in stage.sources():
        for embedder in embedders:
            with stage.one(source.name):
                stage.embed(source, embedder)
    stage.end()


@sources_options
@choice_options
@file_options
@embedding_options
def _all(common: Common, **options: Any) -> None:
    """Fetch explanations and embed them.

    \b
    sfal embeddings all
    sfal embeddings all --model llama --layers 0 8 17
    sfal embeddings all --source my-model/3-my-sae-res --explanations mine.csv
    """
    stage = _Stage(common, options)
    embedders = stage.embedders()
    for source in stage.sources():
        chosen = False
        with stage.one(source.name):
            stage.choose(source, keep_own=True)
            chosen = True
        for embedder in embedders if chosen else ():
            with stage.one(source.name):
                stage.embed(source, embedder)
    stage.end()


embeddings.add_command(command("download")(_download))
embeddings.add_command(command("embed")(_embed))
embeddings.add_command(command("all")(_all))


class _Stage:
    """One call of a command: what was asked for, and whether all of it was done."""

    def __init__(self, common: Common, options: dict[str, Any]) -> None:
        self._common = common
        self._options = options
        self._failed = False
        self._unreachable = False
        self._alike: dict[str, list[str]] = {}
        """Errors that were said, and the other sources that they hold for."""
        self._loaded: dict[EmbedderRef, Embedder] = {}

    @contextmanager
    def one(self, name: str) -> Iterator[None]:
        """Say an error of one source, and go on with the next."""
        try:
            with stopped(f"at {name}"):
                yield
        except SfalError as e:
            if self._common.debug:
                raise
            self._failed = True
            from sfal.io.http_errors import UnreachableError

            text = str(e)
            # Addresses differ, but a server that does not answer is one error.
            kind = UnreachableError.__name__ if isinstance(e, UnreachableError) else text
            if kind in self._alike:
                self._alike[kind].append(name)
                return
            self._alike[kind] = []
            click.echo(f"Error: {text if name in text else f'{name}: {text}'}", err=True)

    def end(self) -> None:
        """Say which sources an error was common to; leave with exit code 1 if there was any."""
        for names in filter(None, self._alike.values()):
            click.echo(f"Error: the same of {', '.join(dict.fromkeys(names))}", err=True)
        if self._failed:
            click.get_current_context().exit(1)

    def sources(self) -> "list[ExplainedSource]":
        """Sources asked for."""
        from sfal.store.targets import named_source, sources_on_disk

        names, model = self._options["names"], self._options["model"]
        preset = [name for name in PRESET_OPTIONS if self._options[name] is not None]
        if names and preset:
            flag = preset[0].replace("_", "-")
            raise InvalidInputError(f"give --source or --{flag}, not both")
        data_dir = self._common.data_dir
        if not names and not preset:
            names = sources_on_disk(data_dir)
        if names:
            sources = [named_source(data_dir, name) for name in dict.fromkeys(names)]
        else:
            sources = [
                named_source(data_dir, s.name, s.neuronpedia_id) for s in self._preset(model)
            ]
        if self._options.get("file") is not None and len(sources) != 1:
            raise InvalidInputError(
                f"--explanations is of one source, but {len(sources)} are meant; "
                "name it with --source"
            )
        return sources

    def _preset(self, model: str | None) -> Sequence[Any]:
        from sfal.sources import PRESETS, resolve_gemma, resolve_llama

        layers, sites = self._options["layers"], self._options["sae_type"] or ("res",)
        width, target_l0 = self._options["sae_features"], self._options["target_l0"]
        family = next((f for f in PRESETS if f in (model or "gemma").lower()), None)
        if family is None:
            raise InvalidInputError(
                f"--model {model}: there are presets for {' and '.join(PRESETS)}; "
                "name sources of other models with --source"
            )
        name = PRESETS[family].model if model in (None, family) else str(model)
        if family == "llama":
            return resolve_llama(name, layers, sites, width or "8x")
        return resolve_gemma(name, layers, sites, width or "16k", target_l0, online=False)

    def embedders(self) -> "list[EmbedderRef]":
        """Embedders asked for."""
        from sfal.embeddings.embedders import DEFAULT_EMBEDDER, resolve_embedder

        models = self._options["models"] or (DEFAULT_EMBEDDER,)
        name = self._options["embedding_name"]
        if name is not None and len(models) != 1:
            raise InvalidInputError("--embedding-name names one model; give one --embedding-model")
        return [
            resolve_embedder(
                model, name, self._options["revision"], self._options["trust_remote_code"]
            )
            for model in dict.fromkeys(models)
        ]

    def choose(self, source: "ExplainedSource", *, keep_own: bool) -> None:
        """Fetch and choose explanations, and say what was chosen."""
        from sfal.explanations.driver import choose_explanations, holds_own_explanations
        from sfal.io.http_errors import UnreachableError

        file = self._options.get("file")
        own = keep_own and file is None and holds_own_explanations(source, self._common.data_dir)
        if own:
            click.echo(f"{source.name}: the explanations of your own on disk are kept")
            return
        try:
            summary = choose_explanations(source, self._common.data_dir, self._settings())
        except UnreachableError:
            self._unreachable = True
            raise
        self._unreachable = False
        click.echo(_describe_chosen(summary))

    def embed(self, source: "ExplainedSource", ref: "EmbedderRef") -> None:
        """Embed explanations, and say how many."""
        from sfal.embeddings.driver import embed_explanations
        from sfal.embeddings.embedders import SentenceEmbedder
        from sfal.explanations.driver import explanations_of

        batch_size = self._options["batch_size"]

        def load() -> "Embedder":
            if ref not in self._loaded:
                # One at a time: two models may not fit side by side.
                self._loaded.clear()
                self._loaded[ref] = SentenceEmbedder(ref, self._common.device, batch_size)
            return self._loaded[ref]

        data_dir = self._common.data_dir
        table = explanations_of(source, data_dir, self._preferences())
        click.echo(
            _describe_embedded(embed_explanations(source, data_dir, table, ref, load, batch_size))
        )

    def _preferences(self) -> "Preferences":
        from sfal.explanations.chooser import Preferences

        return Preferences(self._options["explainer"] or None, self._options["types"] or None)

    def _settings(self) -> "DownloadSettings":
        from sfal.explanations.driver import DownloadSettings
        from sfal.io.http import Patience

        # A server that did not answer for one source is asked just once for the next.
        patience = Patience(attempts=1) if self._unreachable else Patience()
        return DownloadSettings(self._preferences(), self._options.get("file"), patience)


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
        return f"{summary.source}: embedded by {summary.embedder} before"
    missing = f", {summary.n_missing:,} without a vector" if summary.n_missing else ""
    return f"{summary.source}: {summary.n_vectors:,} embedded by {summary.embedder}{missing}"
