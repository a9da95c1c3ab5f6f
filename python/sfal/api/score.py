"""Scores from arrays in memory, and scores on disk as one table."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sfal.errors import InvalidInputError
from sfal.io.arrow import from_texts
from sfal.scoring.driver import score_selection
from sfal.scoring.metrics import beyond_chance
from sfal.scoring.neighbour_lists import FunctionalLists, ndcg_by_blocks, row_blocks
from sfal.scoring.score import ScoreSettings, only_scored, statuses
from sfal.scoring.selection import Selection
from sfal.scoring.tables import long_table, score_batch

if TYPE_CHECKING:
    import pyarrow as pa

    from sfal._core import Histogram, Occurrences

_log = logging.getLogger(__name__)


def score_features(
    occurrences: "Occurrences | Histogram",
    embeddings: ArrayLike,
    explained: ArrayLike | None = None,
    top_n: int = 1023,
) -> "pa.Table":
    """Score how well each feature's explanation places it where its behaviour places it.

    The other features are ranked by phi of their occurrences and by the cosine
    of their explanations. ``ndcg`` is the discounted gain that the functional
    order collects, over that of the semantic order, where semantic rank ``r``
    is worth ``1.1**(top_n - r) - 1`` [1]_; ``chance`` what a random order is
    expected to collect; ``sfal = (ndcg - chance) / (1 - chance)``: 0 is
    chance, 1 is perfect.

    Parameters
    ----------
    occurrences : Occurrences or Histogram
        Which features occur in which window, of ``n_features`` features.
    embeddings : array of shape (n_features, D)
        A vector for the explanation of each feature, of any length, taken as
        float32; a torch tensor too. A zero vector: the feature has no explanation.
    explained : array of shape (n_features,), bool, optional
        False where a feature has no explanation, whatever its vector is.
    top_n : int
        Neighbours that carry a gain, at least 1.

    Returns
    -------
    table : pyarrow.Table
        A row a feature: feature (uint32), ndcg, sfal (float64, null unless
        scored), chance (float64), windows (uint64, in which it occurs), status:
        the first of dead (in no window), always_on (in all windows) and
        unexplained that holds, else scored. ``table.to_pandas()`` and
        ``polars.from_arrow(table)`` take it as it is.

    Raises
    ------
    InvalidInputError
        If shapes or dtypes do not agree, or a vector holds NaN or infinity.
    MemoryLimitError
        If the vectors do not fit the memory.

    Notes
    -----
    Features without an explanation get no score, but stay candidates, as
    published: they have cosine 0 with all, in order of their index. Where few
    are explained, the semantic order is an accident of the index for the rest,
    and functional neighbours without an explanation collect little or nothing:
    such scores hardly compare with those of other coverage.

    No features × features matrix is held: lists of neighbours are made for
    blocks of rows, of 2 GiB at most.

    References
    ----------
    .. [1] Mercorio et al., "SFAL: Semantic-Functional Alignment Scores for
       Distributional Evaluation of Auto-Interpretability in Sparse
       Autoencoders", EMNLP 2025 Industry Track, 2025.emnlp-industry.39.

    Examples
    --------
    Features 0 and 1 occur together and mean the same, and so do 2 and 3; 4
    never occurs.

    >>> from sfal._core import Occurrences
    >>> occurrences = Occurrences(5)
    >>> features = np.array([0, 1, 0, 1, 2, 3], dtype=np.uint32)
    >>> occurrences.extend(np.array([0, 2, 4, 6]), features)
    >>> vectors = [[1, 0.1], [1, 0], [0.1, 1], [0, 1], [1, 1]]
    >>> table = score_features(occurrences, vectors, top_n=1)
    >>> table["sfal"].to_pylist()
    [1.0, 1.0, 1.0, 1.0, None]
    >>> table["status"].to_pylist()[-1]
    'dead'
    """
    import pyarrow as pa

    from sfal import _core

    if not isinstance(occurrences, _core.Occurrences | _core.Histogram):
        raise InvalidInputError(
            f"occurrences: {type(occurrences).__name__}; it must be an Occurrences or a Histogram, "
            "which sfal.count_features(activations, window_size) makes of activations"
        )
    n_features = occurrences.n_features
    matrix = _matrix(embeddings, n_features)
    has_vector: NDArray[np.bool_] = np.any(matrix, axis=1)
    if explained is not None:
        given = _flags(explained, n_features)
        if np.any(has_vector & ~given):
            # As published, a feature without explanation is the zero vector.
            matrix = np.where(given[:, None], matrix, np.float32(0))
            has_vector &= given
    functional = FunctionalLists(lambda: occurrences, n_features, top_n, several=False)
    blocks = row_blocks(n_features, top_n)
    ndcg = np.concatenate(list(ndcg_by_blocks(functional, matrix, top_n, blocks)))
    windows = occurrences.counts()
    status = statuses(windows, occurrences.n_windows, has_vector)
    ndcg = only_scored(ndcg, status)
    chance = _core.chance(n_features - 1, top_n)
    scores = score_batch(ndcg, beyond_chance(ndcg, chance), chance, windows, status)
    return pa.Table.from_batches([scores])


def score(
    data_dir: str | Path = "sfal-data",
    model: str | None = None,
    *,
    layers: Sequence[int] = (),
    sources: Sequence[str] = (),
    embeddings: Sequence[str] = (),
    explainers: Sequence[str] = (),
    run: str | None = None,
    top_n: int = 1023,
) -> "pa.Table":
    """Score what lies on disk, as ``sfal score`` does, into one table.

    Writes ``scores.parquet`` into each source's folder too. What is refused
    while other sources are scored is logged as a warning.

    Parameters
    ----------
    data_dir : str or Path
        Root of the data tree, ours or the published one.
    model : str, optional
        ``gemma``, ``llama``, or a model's id; all that is on disk by default.
    layers, sources, embeddings, explainers : sequence, optional
        What is wanted, by number or name; all by default.
    run : str, optional
        Name of a further run of the same sources.
    top_n : int
        Neighbours a feature.

    Returns
    -------
    table : pyarrow.Table
        A row for every source, feature and set of embeddings, with the columns
        of ``scores.parquet`` behind that of the source.

    Raises
    ------
    SfalError
        If nothing at all could be scored.
    """
    import pyarrow as pa

    selection = Selection(
        model, tuple(layers), tuple(sources), tuple(embeddings), tuple(explainers), run
    )
    outcome = score_selection(Path(data_dir), selection, ScoreSettings(top_n))
    for message in [*outcome.refused, *outcome.notes]:
        _log.warning("%s", message)
    tables = []
    for one in outcome.scores:
        table = long_table(one, top_n).replace_schema_metadata()
        names = from_texts([one.source.name], np.zeros(len(table), dtype=np.int32))
        tables.append(table.add_column(0, pa.field("source", pa.string(), nullable=False), names))
    return pa.concat_tables(tables)


def _matrix(embeddings: ArrayLike, n_features: int) -> NDArray[np.float32]:
    found = _array(embeddings, "embeddings")
    if found.ndim != 2 or found.dtype.kind not in "iuf" or len(found) != n_features:
        raise InvalidInputError(
            f"embeddings: shape {found.shape}, dtype {found.dtype}; "
            f"it must be numbers, a row for each of the {n_features} features counted"
        )
    with np.errstate(over="ignore"):  # what becomes infinite is refused with its place
        return np.ascontiguousarray(found, dtype=np.float32)


def _flags(explained: ArrayLike, n_features: int) -> NDArray[np.bool_]:
    found = _array(explained, "explained")
    if found.shape != (n_features,) or found.dtype != np.bool_:
        raise InvalidInputError(
            f"explained: shape {found.shape}, dtype {found.dtype}; "
            f"it must be True or False for each of the {n_features} features counted"
        )
    return found


def _array(values: Any, what: str) -> NDArray[Any]:
    try:
        if hasattr(values, "detach"):  # a torch tensor, and numpy knows neither gradients nor bf16
            values = values.detach().cpu()
            values = values.float() if values.is_floating_point() else values
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as e:
        raise InvalidInputError(
            f"{what}: {e}; it must be a numpy array, or what becomes one"
        ) from e
