"""Scores of one source: each set of its embeddings against the same functional lists."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sfal.errors import CombinedError, CorruptError, InvalidInputError, Note, SfalError
from sfal.scoring.inputs import CountsInput, Embeddings, open_counts, read_embeddings
from sfal.scoring.metrics import Ndcg, beyond_chance
from sfal.scoring.neighbour_lists import FunctionalLists, pass_blocks, row_blocks
from sfal.scoring.selection import EmbeddingsFile, SourceInput
from sfal.scoring.settings import ScoreSettings
from sfal.scoring.status import only_scored, statuses


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
    ndcg: NDArray[np.float64]
    """Shape (F,); NaN unless scored."""
    sfal: NDArray[np.float64]
    """Shape (F,); NaN unless scored."""
    status: NDArray[np.uint8]
    """Shape (F,); an index into `STATUSES`."""
    n_explained: int
    """Features with an explanation, including those that never fire."""


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
    chance: float
    """Expected NDCG of a random order."""
    explanations: dict[int, str]
    """Plain text by feature."""
    embeddings: tuple[EmbeddingScores, ...]
    """One for each set of embeddings that could be read."""
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


@dataclass(frozen=True)
class _Ranked:
    """One set of embeddings that has been compared with the functional lists."""

    file: EmbeddingsFile
    explainer: str
    explained: NDArray[np.bool_]
    ndcg: NDArray[np.float64]


def _score(
    source: SourceInput, counts: CountsInput, settings: ScoreSettings, pool: ThreadPoolExecutor
) -> SourceScores:
    from sfal import _core

    loading = pool.submit(counts.load)
    n_features, top_n = counts.n_features, settings.top_n
    functional = FunctionalLists(
        loading.result, n_features, top_n, several=len(source.embeddings) > 1
    )
    blocks = row_blocks(n_features, top_n, settings.block_bytes)
    explanations: dict[int, str] = {}
    ranked: list[_Ranked] = []
    refused: list[SfalError] = []
    notes: list[Note] = []
    for file, reading in _prefetch(source, n_features, settings.leaks, pool):
        ndcg = Ndcg(n_features, top_n)
        try:
            embeddings = reading.result()
            pass_blocks(blocks, functional, embeddings.matrix, top_n, [ndcg])
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
        ranked.append(_Ranked(file, embeddings.explainer, embeddings.explained, ndcg.values))
    if not ranked:
        raise refused[0] if len(refused) == 1 else CombinedError(refused)
    loaded = loading.result()
    windows = loaded.counts()
    chance = _core.chance(n_features - 1, top_n)
    return SourceScores(
        source=source,
        read=counts.label(loaded.n_windows),
        n_windows=loaded.n_windows,
        windows=windows,
        chance=chance,
        explanations=explanations,
        embeddings=tuple(
            _scores(one, statuses(windows, loaded.n_windows, one.explained), chance)
            for one in ranked
        ),
        refused=tuple(refused),
        notes=tuple(notes),
    )


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


def _scores(one: _Ranked, status: NDArray[np.uint8], chance: float) -> EmbeddingScores:
    ndcg = only_scored(one.ndcg, status)
    return EmbeddingScores(
        embedder=one.file.embedder,
        stem=one.file.stem,
        explainer=one.explainer,
        path=one.file.path,
        ndcg=ndcg,
        sfal=beyond_chance(ndcg, chance),
        status=status,
        n_explained=int(one.explained.sum()),
    )
