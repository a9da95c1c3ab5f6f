"""Scores of arrays in memory, and scores of data on disk as one table."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sfal.errors import InvalidInputError
from sfal.io.arrow import from_texts
from sfal.scoring.driver import score_selection
from sfal.scoring.metrics import Ndcg, beyond_chance
from sfal.scoring.neighbour_lists import FunctionalLists, pass_blocks, row_blocks
from sfal.scoring.selection import Selection
from sfal.scoring.settings import ScoreSettings
from sfal.scoring.status import only_scored, statuses
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
    of their explanations. ``ndcg`` is the discounted gain of the functional
    order, divided by that of the semantic order, where semantic rank ``r``
    gains ``1.1**(top_n - r) - 1`` [1]_; ``chance`` is the expected ``ndcg`` of a
    random order; ``sfal = (ndcg - chance) / (1 - chance)``: 0 is chance, 1 is
    perfect.

    Parameters
    ----------
    occurrences : Occurrences or Histogram
        Which of ``n_features`` features occur in which window.
    embeddings : array of shape (n_features, D)
        A vector for the explanation of each feature, not necessarily normalised;
        converted to float32. May be a torch tensor. A zero vector means that the
        feature has no explanation.
    explained : array of shape (n_features,), bool, optional
        False where a feature has no explanation, whatever its vector is; default: all
        that have a vector other than zero.
    top_n : int
        Neighbours per feature that carry a gain, at least 1.

    Returns
    -------
    table : pyarrow.Table
        One row per feature: feature (uint32), ndcg, sfal (float64, null unless
        scored), chance (float64), windows (uint64: in how many it occurs), and
        status: the first of dead (in no window), always_on (in all windows) and
        unexplained that holds, else scored. For data frames:
        ``table.to_pandas()``, ``polars.from_arrow(table)``.

    Raises
    ------
    InvalidInputError
        If shapes or dtypes are wrong, or a vector holds NaN or infinity.
    MemoryLimitError
        If the vectors do not fit into memory.

    Notes
    -----
    Features without an explanation get no score, but stay candidates, as
    published: their cosine with every feature is 0, and they rank by index. If
    few features are explained, much of each semantic list is therefore
    arbitrary, and functional neighbours without an explanation gain little or
    nothing: do not compare such scores with those of another coverage.

    No features × features matrix is held: neighbour lists are made for blocks of
    rows, of 2 GiB at most.

    References
    ----------
    .. [1] Mercorio et al., "SFAL: Semantic-Functional Alignment Scores for
       Distributional Evaluation of Auto-Interpretability in Sparse
       Autoencoders", EMNLP 2025 Industry Track, 2025.emnlp-industry.39.

    Examples
    --------
    Features 0 and 1 occur together and mean the same, as do 2 and 3; feature 4
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
            f"occurrences is of type {type(occurrences).__name__}, not Occurrences or Histogram",
            hint="sfal.count_features(activations, window_size) makes one from activations",
        )
    n_features = occurrences.n_features
    matrix = _matrix(embeddings, n_features)
    has_vector: NDArray[np.bool_] = np.any(matrix, axis=1)
    if explained is not None:
        given = _flags(explained, n_features)
        if np.any(has_vector & ~given):
            # As published, a feature without an explanation is the zero vector.
            matrix = np.where(given[:, None], matrix, np.float32(0))
            has_vector &= given
    functional = FunctionalLists(lambda: occurrences, n_features, top_n, several=False)
    computed = Ndcg(n_features, top_n)
    pass_blocks(row_blocks(n_features, top_n), functional, matrix, top_n, [computed])
    windows = occurrences.counts()
    status = statuses(windows, occurrences.n_windows, has_vector)
    ndcg = only_scored(computed.values, status)
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
    n_windows: int | None = None,
) -> "pa.Table":
    """Score the sources on disk, as ``sfal score`` does, and return one table.

    Also writes ``scores.parquet`` into each source's folder. Sources that are
    refused while others are scored are logged as warnings.

    Parameters
    ----------
    data_dir : str or Path
        Root of the data tree, ours or the published one.
    model : str, optional
        ``gemma``, ``llama``, or a model's id; default: everything on disk.
    layers : sequence of int, optional
        Layers wanted; default: all.
    sources, embeddings, explainers : sequence of str, optional
        Sources, embedders and explainers wanted, by name; default: all.
    run : str, optional
        Name of a further run of the same sources.
    top_n : int
        Neighbours per feature that carry a gain, at least 1.
    n_windows : int, optional
        Number of windows, for an ``.npz`` that does not state it.

    Returns
    -------
    table : pyarrow.Table
        One row for every source, feature and set of embeddings: the source,
        then the columns of ``scores.parquet``.

    Raises
    ------
    SfalError
        If nothing could be scored; :class:`sfal.errors.CombinedError` for several reasons.
    """
    import pyarrow as pa

    selection = Selection(
        model, tuple(layers), tuple(sources), tuple(embeddings), tuple(explainers), run
    )
    outcome = score_selection(Path(data_dir), selection, ScoreSettings(top_n, n_windows))
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
            f"embeddings has shape {found.shape} and dtype {found.dtype}; "
            f"it must hold numbers, one row for each of the {n_features} features counted"
        )
    with np.errstate(over="ignore"):  # values that become infinite are refused by position
        return np.ascontiguousarray(found, dtype=np.float32)


def _flags(explained: ArrayLike, n_features: int) -> NDArray[np.bool_]:
    found = _array(explained, "explained")
    if found.shape != (n_features,) or found.dtype != np.bool_:
        raise InvalidInputError(
            f"explained has shape {found.shape} and dtype {found.dtype}; "
            f"it must be True or False for each of the {n_features} features counted"
        )
    return found


def _array(values: Any, what: str) -> NDArray[Any]:
    try:
        if hasattr(values, "detach"):  # a torch tensor: numpy knows neither gradients nor bf16
            values = values.detach().cpu()
            values = values.float() if values.is_floating_point() else values
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as e:
        raise InvalidInputError(f"{what} cannot be converted to a numpy array: {e}") from e
