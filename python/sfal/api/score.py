"""Scores of arrays in memory, and scores of data on disk as one table."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sfal.errors import InvalidInputError
from sfal.io.arrow import from_texts
from sfal.scoring.driver import score_selection
from sfal.scoring.feature_scores import compute_scores
from sfal.scoring.neighbour_lists import FunctionalLists
from sfal.scoring.reliability.features import feature_reliability
from sfal.scoring.reliability.replication import replicate_scores
from sfal.scoring.selection import Selection
from sfal.scoring.settings import Candidates, Measure, ScoreSettings, Ties
from sfal.scoring.status import statuses
from sfal.scoring.tables.columns import score_batch
from sfal.scoring.tables.long_table import long_table

if TYPE_CHECKING:
    import pyarrow as pa

    from sfal._core import Histogram, Occurrences

_log = logging.getLogger(__name__)


def score_features(
    occurrences: "Occurrences | Histogram",
    embeddings: ArrayLike,
    explained: ArrayLike | None = None,
    top_n: int = 1023,
    *,
    measure: Measure = "phi",
    candidates: Candidates = "comparable",
    ties: Ties = "average",
    documents: ArrayLike | None = None,
) -> "pa.Table":
    """Score how well each feature's explanation places it where its behaviour places it.

    The other features are ranked by the correlation of their occurrences and by
    the cosine of their explanations. ``ndcg`` is the discounted gain of the
    functional order, divided by that of the semantic order, where semantic rank
    ``r`` gains ``1.1**(top_n - r) - 1`` [1]_, in the mean over all orders of
    neighbours that tie [2]_; ``chance`` is the expected ``ndcg`` of a random order;
    ``sfal = (ndcg - chance) / (1 - chance)``: 0 is chance, 1 is perfect.

    ``label_rank`` answers whether the label is right: of all labels, so many fit
    what the feature does at least as well as its own, itself included.

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
    measure : {"phi", "abs_phi", "llr", "npmi", "odds", "lift", "cole", "jaccard", "cosine"}
        Measure of co-occurrence, as :func:`sfal.functional_neighbours` defines it.
    candidates : {"comparable", "all"}
        Features that may stand in a list: those that are scored, or all, as published.
    ties : {"average", "index"}
        Order of neighbours that tie: the mean over all orders, or ascending index.
    documents : array of shape (n_windows,), int64, optional
        The document of each window, any number from 0. Tells how precise scores are; at
        least 64 documents, and `Occurrences` rather than a histogram, are needed.

    Returns
    -------
    table : pyarrow.Table
        One row per feature; numbers are null unless it is scored. For data frames:
        ``table.to_pandas()``, ``polars.from_arrow(table)``.

        - feature (uint32), ndcg, sfal, chance (float64);
        - windows (uint64): in how many it occurs;
        - status: the first of dead (in no window), always_on (in all windows) and
          unexplained that holds, else scored;
        - p_chance: probability that a random order scores at least ``ndcg``;
        - label_rank (uint32), and p_label, the same over the number of labels;
        - q_chance, q_label: both adjusted for the number of features [3]_;
        - chance_label: mean ``ndcg`` of this feature with the labels of the others;
        - better_labels: at most five features whose labels fit better, best first,
          with the ``sfal`` that each would give;
        - se: standard error that comes from the choice of documents; low, high: 95 %
          interval; ceiling: how well the functional order agrees with itself on other
          text; sfal_corrected: ``sfal / sqrt(ceiling)``, the score with endless text.
          Null without `documents`;
        - overlap10: share of the ten nearest in common; rbo98: rank-biased overlap.

    Raises
    ------
    InvalidInputError
        If shapes or dtypes are wrong, or a vector holds NaN or infinity.
    MemoryLimitError
        If the vectors do not fit into memory.

    Notes
    -----
    The score of a feature does not depend on how features are numbered, unless
    ``ties="index"``. With ``candidates="all"``, features without an explanation have
    cosine 0 with every feature and fill up lists: do not compare such scores with
    those of another coverage.

    No features × features matrix is held: neighbour lists are made for blocks of
    rows, of 2 GiB at most.

    References
    ----------
    .. [1] Mercorio et al., "SFAL: Semantic-Functional Alignment Scores for
       Distributional Evaluation of Auto-Interpretability in Sparse
       Autoencoders", EMNLP 2025 Industry Track, 2025.emnlp-industry.39.
    .. [2] McSherry and Najork, "Computing information retrieval performance
       measures efficiently in the presence of tied scores", ECIR 2008.
    .. [3] Benjamini and Hochberg, "Controlling the false discovery rate", Journal
       of the Royal Statistical Society B 57 (1995), 289-300.

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
    settings = ScoreSettings(top_n, candidates=candidates, ties=ties, measure=measure)
    n_features = occurrences.n_features
    matrix = _matrix(embeddings, n_features)
    has_vector: NDArray[np.bool_] = np.any(matrix, axis=1)
    if explained is not None:
        given = _flags(explained, n_features)
        if np.any(has_vector & ~given):
            # As published, a feature without an explanation is the zero vector.
            matrix = np.where(given[:, None], matrix, np.float32(0))
            has_vector &= given
    windows = occurrences.counts()
    status = statuses(windows, occurrences.n_windows, has_vector)
    functional = FunctionalLists(lambda: occurrences)
    scores, semantic = compute_scores(functional, matrix, status, settings)
    if documents is not None:
        del functional
        (found,), reason = replicate_scores(
            occurrences, _documents(documents, occurrences.n_windows), [semantic]
        )
        if found is None:
            raise InvalidInputError(f"documents cannot be used: {reason}")
        scores = replace(scores, reliability=feature_reliability(scores.sfal, found))
    return pa.Table.from_batches([score_batch(scores, windows)])


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
    measure: Measure = "phi",
    candidates: Candidates = "comparable",
    ties: Ties = "average",
    published: bool = False,
    reliability: bool = True,
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
    measure, candidates, ties
        As in :func:`score_features`.
    published : bool
        Rank as the published scripts do, whatever `measure`, `candidates` and `ties` say:
        by phi, among all features, ties by index.
    reliability : bool
        Whether scores of parts of the documents say how precise each score is.

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
    settings = ScoreSettings(
        top_n,
        n_windows,
        candidates=candidates,
        ties=ties,
        measure=measure,
        reliability=reliability,
    )
    if published:
        settings = settings.published()
    outcome = score_selection(Path(data_dir), selection, settings)
    for message in [*outcome.refused, *outcome.notes]:
        _log.warning("%s", message)
    tables = []
    for one in outcome.scores:
        table = long_table(one).replace_schema_metadata()
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


def _documents(documents: ArrayLike, n_windows: int) -> NDArray[np.uint64]:
    found = _array(documents, "documents")
    if found.shape != (n_windows,) or found.dtype.kind not in "iu" or (found < 0).any():
        raise InvalidInputError(
            f"documents has shape {found.shape} and dtype {found.dtype}; "
            f"it must hold a number from 0 for each of the {n_windows} windows counted"
        )
    return found.astype(np.uint64)


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
