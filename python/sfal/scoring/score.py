"""Scores of one source: each set of its embeddings against the same functional lists."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sfal.errors import CombinedError, CorruptError, InvalidInputError, Note, SfalError
from sfal.scoring.feature_scores import FeatureScores, compute_scores
from sfal.scoring.inputs import CountsInput, Embeddings, open_counts, read_embeddings
from sfal.scoring.neighbour_lists import FunctionalLists
from sfal.scoring.reliability.features import feature_reliability
from sfal.scoring.reliability.replicates import Replicates
from sfal.scoring.reliability.replication import NOT_WANTED, SemanticLists, replicate_scores
from sfal.scoring.selection import EmbeddingsFile, SourceInput
from sfal.scoring.settings import ScoreSettings
from sfal.scoring.status import statuses


@dataclass(frozen=True)
class EmbeddingScores:
    """Scores of a source's features by one set of embeddings."""

    embedder: str
    """Hub id of the embedder, or ``local/NAME``."""
    stem: str
    """``{type}_{explainer}`` of the explanations."""
    explainer: str
    """Who explained."""
    path: Path
    """File of the embeddings."""
    n_explained: int
    """Features with an explanation, including those that never fire."""
    features: FeatureScores
    """Everything that was computed for each feature."""
    replicates: Replicates | None = None
    """Scores of parts of the documents; None if there are none."""

    @property
    def status(self) -> NDArray[np.uint8]:
        """Shape (F,): an index into `STATUSES`."""
        return self.features.status

    @property
    def ndcg(self) -> NDArray[np.float64]:
        """Shape (F,); NaN unless scored."""
        return self.features.ndcg

    @property
    def sfal(self) -> NDArray[np.float64]:
        """Shape (F,); NaN unless scored."""
        return self.features.sfal


@dataclass(frozen=True)
class SourceScores:
    """Scores of one source."""

    source: SourceInput
    """What was scored."""
    read: str
    """What the counts were read from."""
    n_windows: int
    """Windows counted."""
    windows: NDArray[np.uint64]
    """Shape (F,): windows in which each feature fires."""
    explanations: dict[int, str]
    """Plain text by feature."""
    embeddings: tuple[EmbeddingScores, ...]
    """One for each set of embeddings that could be read."""
    settings: ScoreSettings = field(default_factory=ScoreSettings)
    """How they were computed."""
    no_reliability: str = ""
    """Why nothing is known about how precise scores are; empty if something is."""
    refused: tuple[SfalError, ...] = ()
    """Sets of embeddings that could not be read, and why."""
    notes: tuple[Note, ...] = ()
    """What the user may want to know about the embeddings."""

    @property
    def n_features(self) -> int:
        """Width of the SAE."""
        return len(self.windows)


def score_source(source: SourceInput, settings: ScoreSettings | None = None) -> SourceScores:
    """Score every feature of a source by every set of its embeddings.

    Parameters
    ----------
    source : SourceInput
        As :func:`sfal.scoring.selection.select_sources` finds it.
    settings : ScoreSettings, optional

    Returns
    -------
    SourceScores
        Embeddings that could not be read are listed in ``refused``.

    Raises
    ------
    SfalError
        If the counts cannot be read, or none of the embeddings can;
        :class:`CombinedError` if there are several reasons.

    Notes
    -----
    Memory: the counts (a mapped histogram of 16k features is 1 GiB, the bits
    of its occurrences 144 MB), two matrices of embeddings at most, and the lists
    of one block of rows. Reading overlaps with ranking.
    """
    settings = settings or ScoreSettings()
    counts = open_counts(source.run_folder, settings.n_windows)
    pool = ThreadPoolExecutor(2)
    interrupted = False
    try:
        return _score(source, counts, settings, pool)
    except KeyboardInterrupt:
        interrupted = True
        raise
    finally:
        # After an interrupt nothing waits for a file that is still being read.
        pool.shutdown(wait=not interrupted, cancel_futures=True)


def _score(
    source: SourceInput, counts: CountsInput, settings: ScoreSettings, pool: ThreadPoolExecutor
) -> SourceScores:
    loading = pool.submit(counts.load_all)
    functional = FunctionalLists(lambda: loading.result()[0], len(source.embeddings) > 1)
    explanations: dict[int, str] = {}
    scored: list[EmbeddingScores] = []
    semantic: list[SemanticLists] = []
    refused: list[SfalError] = []
    notes: list[Note] = []
    for file, reading in _prefetch(source, counts.n_features, settings.leaks, pool):
        loaded, documents = loading.result()
        try:
            embeddings = reading.result()
            status = statuses(loaded.counts(), loaded.n_windows, embeddings.explained)
            features, lists = compute_scores(functional, embeddings.matrix, status, settings)
        except SfalError as e:
            # Unusable counts end the source; unusable embeddings only their own column.
            if functional.failed:
                if isinstance(e, InvalidInputError):
                    raise CorruptError(f"{counts.path}: {e.message}", hint=e.hint) from e
                raise
            refused.append(e)
            continue
        explanations = embeddings.explanations | explanations  # the first text of a feature stays
        notes += [note for note in embeddings.notes if note not in notes]
        n_explained = int(embeddings.explained.sum())
        explainer = embeddings.explainer
        scored.append(
            EmbeddingScores(file.embedder, file.stem, explainer, file.path, n_explained, features)
        )
        semantic.append(lists)
    if not scored:
        raise refused[0] if len(refused) == 1 else CombinedError(refused)
    reason = NOT_WANTED
    if settings.reliability:
        del functional
        found, reason = replicate_scores(loaded, documents, semantic)
        scored = [_with_reliability(*pair) for pair in zip(scored, found, strict=True)]
    return SourceScores(
        source=source,
        read=counts.label(loaded.n_windows),
        n_windows=loaded.n_windows,
        windows=loaded.counts(),
        explanations=explanations,
        embeddings=tuple(scored),
        settings=settings,
        no_reliability=reason,
        refused=tuple(refused),
        notes=tuple(notes),
    )


def _with_reliability(one: EmbeddingScores, found: Replicates | None) -> EmbeddingScores:
    if found is None:
        return one
    features = replace(one.features, reliability=feature_reliability(one.sfal, found))
    return replace(one, features=features, replicates=found)


def _prefetch(
    source: SourceInput, n_features: int, leaks: str, pool: ThreadPoolExecutor
) -> Iterator[tuple[EmbeddingsFile, Future[Embeddings]]]:
    """Read the next embeddings while the previous ones are ranked."""
    files = source.embeddings
    following = pool.submit(read_embeddings, source, files[0], n_features, leaks)
    for i, file in enumerate(files):
        current = following
        current.exception()  # waits, so that at most two matrices are in memory
        if i + 1 < len(files):
            following = pool.submit(read_embeddings, source, files[i + 1], n_features, leaks)
        yield file, current
