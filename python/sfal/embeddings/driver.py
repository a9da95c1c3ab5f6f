"""Embeddings of the explanations of several sources, by several embedders."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sfal.embeddings.embedders import Embedder, EmbedderRef, SentenceEmbedder
from sfal.embeddings.settings import EmbedSettings
from sfal.embeddings.source_embeddings import EmbeddedSummary, embed_source
from sfal.embeddings.spread import SpreadEmbedder
from sfal.errors import SfalError
from sfal.explanations.each_source import Sources, interrupted_at, requested_sources
from sfal.explanations.source_explanations import explanations_of
from sfal.store.layout import DEFAULT_DATA_DIR
from sfal.store.source_folder import SourceFolder


@dataclass(frozen=True)
class EmbedResult:
    """The result of embedding one source's explanations by one embedder."""

    source: str
    """Name of the source."""
    embedder: str
    """Name of the embedder."""
    embedded: EmbeddedSummary | None = None
    """What was embedded; None if it failed."""
    error: SfalError | None = None
    """Why it failed; None if it did not."""


def embed_explanations(
    sources: Sources,
    settings: EmbedSettings | None = None,
    data_dir: str | Path = DEFAULT_DATA_DIR,
    *,
    on_result: Callable[[EmbedResult], None] | None = None,
) -> list[EmbedResult]:
    """Embed the explanations on disk, as ``sfal embeddings embed`` does.

    Writes one file of vectors per source and embedder, unless it exists and was
    made of the same explanations by the same model. Each model is loaded once,
    when the first text needs it, and one model at a time. A source that fails
    does not stop the others.

    Parameters
    ----------
    sources : str, Source, or sequence of these
        Sources, such as ``gemma-2-2b/0-gemmascope-res-16k``.
    settings : EmbedSettings, optional
        Embedders, and which explanations they embed.
    data_dir : str or Path
        Root of the data tree.
    on_result : callable, optional
        Receives each result as soon as it is known.

    Returns
    -------
    list of EmbedResult
        One per embedder and source, by embedder.

    Raises
    ------
    InvalidInputError
        If there is no source, a name cannot be one, or an embedder is a folder
        without a model.
    KeyboardInterrupt
        With a :class:`sfal.errors.Note` that names the source in progress.
    """
    settings = settings or EmbedSettings()
    requested = requested_sources(sources, Path(data_dir))
    results = []
    for ref in settings.embedders():
        model = _Model(ref, settings)
        try:
            for source in requested:
                with interrupted_at(source.name):
                    result = _embed(source, model, settings)
                results.append(result)
                if on_result is not None:
                    on_result(result)
        finally:
            model.unload()
    return results


class _Model:
    """An embedder that is loaded when it is first needed; a failure to load is final."""

    def __init__(self, ref: EmbedderRef, settings: EmbedSettings) -> None:
        self.ref = ref
        self._settings = settings
        self._loaded: Embedder | None = None
        self._error: SfalError | None = None

    def load(self) -> Embedder:
        """Return the loaded model, or raise the error of the first attempt again."""
        if self._error is not None:
            raise self._error
        if self._loaded is None:
            try:
                self._loaded = self._load()
            except SfalError as e:
                self._error = e
                raise
        return self._loaded

    def unload(self) -> None:
        """Make room for the next model: two may not fit side by side."""
        if isinstance(self._loaded, SpreadEmbedder):
            self._loaded.close()
        self._loaded = None

    def _load(self) -> Embedder:
        settings = self._settings
        if settings.is_spread:
            return SpreadEmbedder.load(self.ref, settings, settings.device, settings.batch_size)
        return SentenceEmbedder(self.ref, settings.device, settings.batch_size)


def _embed(source: SourceFolder, model: _Model, settings: EmbedSettings) -> EmbedResult:
    try:
        table = explanations_of(source, settings.preferences)
        summary = embed_source(
            source, table, model.ref, model.load, settings.batch_size, settings.leaks
        )
        return EmbedResult(source.name, model.ref.name, summary)
    except SfalError as e:
        _release(e)
        return EmbedResult(source.name, model.ref.name, error=e)


def _release(error: BaseException | None) -> None:
    """Clear the local variables that tracebacks keep alive, a model on a GPU among them."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
