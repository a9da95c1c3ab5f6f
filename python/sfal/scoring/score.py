"""Scores of one source: every embedding of it against one set of functional lists."""

import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sfal.errors import ArtifactError, InvalidInputError, SfalError
from sfal.scoring.inputs import CountsInput, Embeddings, open_counts, read_embeddings
from sfal.scoring.metrics import beyond_chance
from sfal.scoring.neighbour_lists import BLOCK_BYTES, FunctionalLists, ndcg_by_blocks, row_blocks
from sfal.scoring.selection import EmbeddingsFile, SourceInput

_log = logging.getLogger(__name__)

Status = Literal["scored", "dead", "always_on", "unexplained"]
STATUSES: tuple[Status, ...] = ("scored", "dead", "always_on", "unexplained")
"""A status by its code; of several that hold, the first after ``scored`` counts."""

_SCORED, _DEAD, _ALWAYS_ON, _UNEXPLAINED = range(4)


@dataclass(frozen=True)
class ScoreSettings:
    """How scores are computed."""

    top_n: int = 1023
    """Neighbours a feature."""
    n_windows: int | None = None
    """Windows, for histograms that do not say."""
    block_bytes: int = BLOCK_BYTES
    """Most bytes of neighbour lists at a time; smaller: more blocks of rows, same scores."""

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be."""
        if self.top_n < 1:
            raise InvalidInputError(f"top_n is {self.top_n}; give at least 1")
        if self.n_windows is not None and self.n_windows < 1:
            raise InvalidInputError(f"n_windows is {self.n_windows}; give at least 1")


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
    """Features with an explanation, those that never fire included."""


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
    """Shape (F,): windows in which each feature fired."""
    chance: float
    """Expected NDCG of a random order."""
    explanations: dict[int, str]
    """Plain text by feature."""
    embeddings: tuple[EmbeddingScores, ...]
    """One for each set of embeddings that could be read."""
    refused: tuple[str, ...]
    """What could not be read, and why."""

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
        Embeddings that could not be read are named in ``refused``.

    Raises
    ------
    SfalError
        If the counts cannot be read, or no set of embeddings can.

    Notes
    -----
    Memory: the counts (a mapped histogram of 16k features is 1 GiB, the bits
    of its occurrences 144 MB), one matrix of embeddings, and the lists of a
    block of rows. Reading overlaps with ranking.
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
        # Whoever interrupts does not wait for what is being read.
        pool.shutdown(wait=not interrupted, cancel_futures=True)


def _score(
    source: SourceInput, counts: CountsInput, settings: ScoreSettings, pool: ThreadPoolExecutor
) -> SourceScores:
    from sfal import _core

    loading = pool.submit(counts.load)
    n_features = counts.n_features
    functional = FunctionalLists(
        loading.result, n_features, settings.top_n, several=len(source.embeddings) > 1
    )
    blocks = row_blocks(n_features, settings.top_n, settings.block_bytes)
    chance = _core.chance(n_features - 1, settings.top_n)
    explanations: dict[int, str] = {}
    done: list[tuple[EmbeddingsFile, str, NDArray[np.float64], NDArray[np.bool_]]] = []
    refused: list[SfalError] = []
    for file, reading in _read_ahead(source, n_features, pool):
        try:
            embeddings = reading.result()
            ndcg = np.concatenate(
                list(ndcg_by_blocks(functional, embeddings.matrix, settings.top_n, blocks))
            )
        except SfalError as e:
            # Counts that cannot be used end the source; embeddings only their own column.
            if functional.failed:
                if isinstance(e, InvalidInputError):
                    raise ArtifactError(f"{counts.path}: {e}") from e
                raise
            refused.append(e)
            continue
        explanations |= {k: v for k, v in embeddings.explanations.items() if k not in explanations}
        done.append((file, embeddings.explainer, ndcg, embeddings.explained))
    if not done:
        if len(refused) == 1:
            raise refused[0]
        raise type(refused[0])("; ".join(map(str, refused)))
    loaded = loading.result()
    windows = loaded.counts()
    return SourceScores(
        source=source,
        read=counts.label(loaded.n_windows),
        n_windows=loaded.n_windows,
        windows=windows,
        chance=chance,
        explanations=explanations,
        embeddings=tuple(
            _finish(file, explainer, ndcg, windows, loaded.n_windows, explained, chance)
            for file, explainer, ndcg, explained in done
        ),
        refused=tuple(map(str, refused)),
    )


def _read_ahead(
    source: SourceInput, n_features: int, pool: ThreadPoolExecutor
) -> Iterator[tuple[EmbeddingsFile, Future[Embeddings]]]:
    """Read the next embeddings while those before are ranked."""

    def read(file: EmbeddingsFile) -> Embeddings:
        return read_embeddings(file.path, file.stem, source.name, source.folder, n_features)

    files = source.embeddings
    ahead = pool.submit(read, files[0])
    for i, file in enumerate(files):
        current = ahead
        current.exception()  # wait, so that at most two matrices are there at a time
        if i + 1 < len(files):
            ahead = pool.submit(read, files[i + 1])
        yield file, current


def statuses(
    windows: NDArray[np.uint64], n_windows: int, explained: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Status of each feature: the first of dead, always on, unexplained that holds.

    Parameters
    ----------
    windows : ndarray of shape (F,), uint64
        Windows in which each feature fired.
    n_windows : int
        Windows counted.
    explained : ndarray of shape (F,), bool

    Returns
    -------
    status : ndarray of shape (F,), uint8
        Indices into `STATUSES`.
    """
    conditions = [windows == 0, windows == n_windows, ~explained]
    codes = [_DEAD, _ALWAYS_ON, _UNEXPLAINED]
    return np.select(conditions, codes, _SCORED).astype(np.uint8)


def is_live(windows: NDArray[np.uint64], n_windows: int) -> NDArray[np.bool_]:
    """Which features fire in some windows and not in all: the others have no phi."""
    return (windows > 0) & (windows < n_windows)


def only_scored(ndcg: NDArray[np.float64], status: NDArray[np.uint8]) -> NDArray[np.float64]:
    """NDCG of the features that are scored, NaN for all others: their lists are ties."""
    return np.where(status == _SCORED, ndcg, np.nan)


def _finish(
    file: EmbeddingsFile,
    explainer: str,
    ndcg: NDArray[np.float64],
    windows: NDArray[np.uint64],
    n_windows: int,
    explained: NDArray[np.bool_],
    chance: float,
) -> EmbeddingScores:
    status = statuses(windows, n_windows, explained)
    ndcg = only_scored(ndcg, status)
    return EmbeddingScores(
        embedder=file.embedder,
        stem=file.stem,
        explainer=explainer,
        path=file.path,
        ndcg=ndcg,
        sfal=beyond_chance(ndcg, chance),
        status=status,
        n_explained=int(explained.sum()),
    )
