"""Counting, correlation and ranking kernels: numpy arrays and scalars in, numpy arrays out.

All calls release the GIL and run on rayon's global pool (``RAYON_NUM_THREADS``) or on
``n_threads`` threads of their own; results are the same bits on any number of threads. Kernels
use the fastest instruction set of the CPU, or the one named by ``SFAL_ISA`` (``avx512``,
``avx2``, ``neon``, ``portable``). Arrays must be C-contiguous, have the dtype given, and must
not be modified during a call. A refused call raises a class of :mod:`sfal.errors` and changes
nothing. ``memory_limit`` is the number of bytes that a call may allocate, by default 80 % of
:func:`available_memory`.
"""

from typing import Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Histogram",
    "Occurrences",
    "Ranking",
    "available_memory",
    "chance",
    "chance_law",
    "functional_neighbours",
    "functional_ranking",
    "label_fit",
    "ndcg",
    "overlap",
    "phi",
    "rank_biased_overlap",
    "replicates",
    "semantic_neighbours",
    "semantic_ranking",
    "top_neighbours",
    "top_ranking",
]

_Measure: TypeAlias = Literal[
    "phi", "abs_phi", "llr", "npmi", "odds", "lift", "cole", "jaccard", "cosine"
]

@final
class Occurrences:
    """Which feature occurs in which window, one bit each.

    Safe to use from several threads: a call works on the windows that exist when it begins.

    Parameters
    ----------
    n_features : int
        Width of the SAE, from 1 to 2**32.

    Raises
    ------
    InvalidInputError
        If ``n_features`` is out of range.

    Notes
    -----
    Memory is ``n_features * n_windows / 8`` bytes, at most twice that until the last block of
    16,384 windows is full, and at least 64 bytes per feature.

    Examples
    --------
    >>> import numpy as np
    >>> windows = Occurrences(3)
    >>> windows.extend(np.array([0, 2, 3]), np.array([0, 2, 2], dtype=np.uint32))
    >>> windows.counts()
    array([1, 0, 2], dtype=uint64)
    """

    def __new__(cls, n_features: int) -> Occurrences: ...
    @property
    def n_features(self) -> int:
        """Width of the SAE."""

    @property
    def n_windows(self) -> int:
        """Number of windows appended so far."""

    def extend(self, indptr: NDArray[np.int64], indices: NDArray[np.uint32]) -> None:
        """Append windows, given by the features of each.

        Parameters
        ----------
        indptr : ndarray of shape (n_windows + 1,), int64
            Bounds of each window in ``indices``. Starts at 0, never decreases, ends at ``nnz``.
        indices : ndarray of shape (nnz,), uint32
            Features, strictly increasing within a window.

        Raises
        ------
        InvalidInputError
            For any other batch; the message names the window (of this batch) and the feature.
        MemoryLimitError
            If the bits exceed the limit.
        """

    def merge(self, other: Occurrences) -> None:
        """Append all windows of ``other`` in order; merging with itself doubles the set.

        Raises
        ------
        InvalidInputError
            If the numbers of features differ.
        MemoryLimitError
            If the bits exceed the limit.
        """

    def counts(self) -> NDArray[np.uint64]:
        """Count the windows in which each feature occurs.

        Returns
        -------
        counts : ndarray of shape (n_features,), uint64
        """

    def histogram(
        self, memory_limit: int | None = None, *, n_threads: int | None = None
    ) -> NDArray[np.uint32]:
        """Count the windows in which both features of each pair occur.

        Returns
        -------
        counts : ndarray of shape (n_features, n_features), uint32
            Symmetric; the diagonal is :meth:`counts`.

        Raises
        ------
        MemoryLimitError
            If ``4 * n_features**2`` bytes exceed the limit.
        """

    def coarsen(self, starts: NDArray[np.int64]) -> Occurrences:
        """Join runs of consecutive windows; a feature occurs in a run if any of its windows has it.

        Parameters
        ----------
        starts : ndarray of shape (m,), int64
            First window of each run, strictly increasing from 0; the last run extends to the end.

        Returns
        -------
        joined : Occurrences
            Set of ``m`` windows.

        Raises
        ------
        InvalidInputError
            If ``starts`` does not strictly increase from 0, or exceeds the windows.
        """

    def select(self, windows: NDArray[np.int64]) -> Occurrences:
        """Select windows in the order given; repeats are allowed.

        Parameters
        ----------
        windows : ndarray of shape (m,), int64
            Indices of windows.

        Returns
        -------
        chosen : Occurrences
            Set of ``m`` windows.

        Raises
        ------
        InvalidInputError
            If a window does not exist.
        """

    def rows(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """Return the windows from ``start`` to before ``stop``, as :meth:`extend` takes them.

        Returns
        -------
        indptr : ndarray of shape (stop - start + 1,), int64
        indices : ndarray of shape (nnz,), uint32

        Raises
        ------
        InvalidInputError
            Unless ``0 <= start <= stop <= n_windows``.
        """

@final
class Histogram:
    """Dense co-occurrence counts of all pairs of features, ``4 * n_features**2`` bytes.

    Parameters
    ----------
    n_features : int
        Width of the SAE.
    memory_limit : int, optional
        Bytes that the call may allocate.

    Raises
    ------
    InvalidInputError
        If ``n_features`` is out of range.
    MemoryLimitError
        If the counts exceed the limit.

    Examples
    --------
    >>> import numpy as np
    >>> counts = np.array([[2, 1], [1, 1]], dtype=np.int32)
    >>> Histogram.from_counts(counts, n_windows=3).counts()
    array([2, 1], dtype=uint64)
    """

    def __new__(cls, n_features: int, memory_limit: int | None = None) -> Histogram: ...
    @staticmethod
    def from_counts(
        counts: NDArray[np.uint32] | NDArray[np.int32], n_windows: int, *, deferred: bool = False
    ) -> Histogram:
        """Take over existing counts without copying them.

        Parameters
        ----------
        counts : ndarray of shape (F, F), uint32 or int32
            C-contiguous; may be read-only, memory-mapped, or unaligned. It is kept and must not be
            modified afterwards.
        n_windows : int
            Number of windows counted.
        deferred : bool
            Check only the diagonal now, and leave the rest to the first call that reads it, so that a
            large file is not read before it is needed.

        Raises
        ------
        InvalidInputError
            If the counts are negative, asymmetric, above the count of either feature, or above
            ``n_windows``; the message names the position.
        """

    @property
    def n_features(self) -> int:
        """Width of the SAE."""

    @property
    def n_windows(self) -> int:
        """Number of windows counted so far."""

    def update(self, occurrences: Occurrences) -> None:
        """Add the windows of ``occurrences``; Ctrl-C takes effect when counting ends.

        Raises
        ------
        InvalidInputError
            If the numbers of features differ.
        MemoryLimitError
            If counts that were taken over must be copied first, and the copy exceeds the limit.
        """

    def merge(self, other: Histogram) -> None:
        """Add the counts of ``other``; merging with itself doubles the counts.

        Raises
        ------
        InvalidInputError
            If the numbers of features differ.
        """

    def counts(self) -> NDArray[np.uint64]:
        """Return the number of windows in which each feature occurs: the diagonal.

        Returns
        -------
        counts : ndarray of shape (n_features,), uint64
        """

    def histogram(self, memory_limit: int | None = None) -> NDArray[np.uint32]:
        """Copy all counts.

        Returns
        -------
        counts : ndarray of shape (n_features, n_features), uint32

        Raises
        ------
        MemoryLimitError
            If the copy exceeds the limit.
        """

def available_memory() -> int:
    """Measure how much memory this process may still allocate.

    Returns
    -------
    n_bytes : int
        Available memory of the system, or what the strictest control group (version 1 or 2) of this
        process leaves if that is less. Memory that the kernel can reclaim, such as cached files,
        counts as available. On systems that do not report available memory, the size of physical
        memory; 2**64 - 1 if that is unknown too.

    Examples
    --------
    >>> available_memory() > 0
    True
    """

@final
class Ranking:
    """Ranked lists that know which neighbours tie.

    What compares two of these averages over all orders of the neighbours that tie. Features that
    tie with the last one listed are kept too, though they are not listed.
    """

    @property
    def n_rows(self) -> int:
        """Number of lists."""

    @property
    def width(self) -> int:
        """Neighbours per list."""

    def indices(self) -> NDArray[np.uint32]:
        """Copy the lists.

        Returns
        -------
        indices : ndarray of shape (n_rows, width), uint32
            As :func:`functional_neighbours` gives them: ties by increasing index.
        """

    def ties(self) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.uint32]]:
        """Tell which neighbours tie.

        Returns
        -------
        starts : ndarray of shape (n_rows, width), uint32
            Rank at which the tie class of each neighbour begins.
        indptr : ndarray of shape (n_rows + 1,), int64
        beyond : ndarray of shape (nnz,), uint32
            Features that tie with the last one of row ``r`` and are not listed:
            ``beyond[indptr[r]:indptr[r + 1]]``, increasing.
        """

def phi(
    counts: NDArray[np.uint32] | NDArray[np.int32],
    n_windows: int,
    memory_limit: int | None = None,
    *,
    n_threads: int | None = None,
) -> NDArray[np.float64]:
    """Correlate the occurrences of each pair of features.

    ``(n c_ij - c_i c_j) / sqrt(c_i (n - c_i) c_j (n - c_j))`` with an exact numerator, clipped to
    [-1, 1]; 0 where a feature never or always occurs.

    Parameters
    ----------
    counts : ndarray of shape (F, F), uint32 or int32
        Number of windows in which both features occur.
    n_windows : int
        Number of windows counted.

    Returns
    -------
    phi : ndarray of shape (F, F), float64
        Exactly symmetric.

    Raises
    ------
    InvalidInputError
        For counts that :meth:`Histogram.from_counts` refuses.
    MemoryLimitError
        If ``8 * F**2`` bytes exceed the limit.

    References
    ----------
    .. [1] Yule, "On the methods of measuring association between two attributes", Journal of the
       Royal Statistical Society 75 (1912): the coefficient of a table of two by two.

    Examples
    --------
    >>> import numpy as np
    >>> phi(np.array([[2, 0], [0, 2]], dtype=np.uint32), n_windows=4)
    array([[ 1., -1.],
           [-1.,  1.]])
    """

def functional_neighbours(
    source: Occurrences | Histogram,
    top_n: int = 1023,
    measure: _Measure = "phi",
    rows: NDArray[np.int64] | NDArray[np.uint32] | None = None,
    candidates: NDArray[np.int64] | NDArray[np.uint32] | None = None,
    *,
    n_threads: int | None = None,
    memory_limit: int | None = None,
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Rank, for each feature, the features whose occurrences are most similar.

    Parameters
    ----------
    source : Occurrences or Histogram
        Windows, or their counts.
    top_n : int
        Number of neighbours per row, at least 1.
    measure : {"phi", "abs_phi", "llr", "npmi", "odds", "lift", "cole", "jaccard", "cosine"}
        Measure to rank by. With ``a`` the windows of both features, ``n`` all windows and
        ``E = c_i * c_j / n``: phi; its absolute value; the log-likelihood ratio, negative where
        ``a < E``; ``ln(a / E) / -ln(a / n)``, -1 at ``a = 0``; the log odds ratio, half a window
        added to each cell; ``a / E``; phi over its bound (Cole's C7); ``a / (c_i + c_j - a)``;
        ``a / sqrt(c_i * c_j)``. 0 where a feature never or always occurs, except npmi at ``a = 0``.
    rows : ndarray of shape (R,), int64 or uint32, optional
        Features whose neighbours are wanted, in any order. Default: all.
    candidates : ndarray of shape (C,), int64 or uint32, optional
        Features that may appear as neighbours; order and repeats do not matter. Default: all.

    Returns
    -------
    indices : ndarray of shape (R, w), uint32
        Neighbours by descending float64 measure, ties by ascending index, without the row's own
        feature. ``w = min(top_n, C)``, with ``C - 1`` for ``C`` if any row is a candidate.
    values : ndarray of shape (R, w), float32
        Their measure, rounded to float32.

    Raises
    ------
    InvalidInputError
        If ``top_n`` is below 1, a feature does not exist, the measure is unknown, or the counts
        are impossible (see :meth:`Histogram.from_counts`).
    MemoryLimitError
        If the lists exceed the limit.

    Notes
    -----
    No array of features x features is held: tiles of pairs are counted, ranked and discarded.
    Besides the lists, ranking all features by their windows holds 1.5 ``w`` candidates of 12 bytes
    per row.

    References
    ----------
    .. [1] Mercorio et al., "SFAL: Semantic-Functional Alignment Scores for Distributional Evaluation of
       Auto-Interpretability in Sparse Autoencoders", EMNLP 2025 Industry Track,
       2025.emnlp-industry.39.

    Examples
    --------
    >>> import numpy as np
    >>> windows = Occurrences(3)
    >>> indptr, features = np.array([0, 2, 4, 5]), np.array([0, 1, 0, 1, 2], dtype=np.uint32)
    >>> windows.extend(indptr, features)
    >>> functional_neighbours(windows, top_n=1)[0].tolist()
    [[1], [0], [0]]
    """

def semantic_neighbours(
    embeddings: NDArray[np.float32],
    top_n: int = 1023,
    rows: NDArray[np.int64] | NDArray[np.uint32] | None = None,
    candidates: NDArray[np.int64] | NDArray[np.uint32] | None = None,
    *,
    n_threads: int | None = None,
    memory_limit: int | None = None,
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Rank, for each feature, the features whose embeddings have the largest cosine with its own.

    Vectors are normalised by their float64 norm; the zero vector stays zero and has cosine 0 with
    every other. Equal vectors have equal cosines with any third one, to the last bit.

    Parameters
    ----------
    embeddings : ndarray of shape (F, D), float32
        One vector per feature, of any length.
    top_n, rows, candidates
        As in :func:`functional_neighbours`.

    Returns
    -------
    indices : ndarray of shape (R, w), uint32
    values : ndarray of shape (R, w), float32
        As in :func:`functional_neighbours`.

    Raises
    ------
    InvalidInputError
        As :func:`functional_neighbours`, and for NaN or infinity.
    MemoryLimitError
        If the lists or the vectors exceed the limit.

    References
    ----------
    .. [1] Mercorio et al., "SFAL: Semantic-Functional Alignment Scores for Distributional Evaluation of
       Auto-Interpretability in Sparse Autoencoders", EMNLP 2025 Industry Track,
       2025.emnlp-industry.39.

    Examples
    --------
    >>> import numpy as np
    >>> vectors = np.array([[1, 0], [2, 1], [0, 3]], dtype=np.float32)
    >>> semantic_neighbours(vectors, top_n=1)[0].tolist()
    [[1], [0], [1]]
    """

def top_neighbours(
    similarity: NDArray[np.float32] | NDArray[np.float64],
    top_n: int = 1023,
    row_start: int = 0,
    *,
    n_threads: int | None = None,
    memory_limit: int | None = None,
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Rank the largest of each row of similarities.

    Parameters
    ----------
    similarity : ndarray of shape (R, F), float32 or float64
        Row ``r`` belongs to feature ``row_start + r``, whose similarity to itself is never read.
    top_n : int
        Number of neighbours per row, at least 1.
    row_start : int
        Feature of the first row.

    Returns
    -------
    indices : ndarray of shape (R, min(top_n, F - 1)), uint32
        By descending value, ties by ascending index.
    values : ndarray of the same shape, float32

    Raises
    ------
    InvalidInputError
        For NaN or infinity off the diagonal, or rows beyond the last feature.

    Examples
    --------
    >>> import numpy as np
    >>> top_neighbours(np.array([[9, 1, 2], [1, 9, 1], [2, 1, 9]], dtype=np.float32), top_n=2)[0]
    array([[2, 1],
           [0, 2],
           [0, 1]], dtype=uint32)
    """

def ndcg(
    functional: NDArray[np.uint32] | NDArray[np.float32] | NDArray[np.float64] | Ranking,
    semantic: NDArray[np.uint32] | NDArray[np.float32] | NDArray[np.float64] | Ranking,
    top_n: int = 1023,
    base: float = 1.1,
    *,
    n_threads: int | None = None,
    memory_limit: int | None = None,
) -> NDArray[np.float64]:
    """Score how well the functional order predicts the semantic one.

    Rank ``r`` of the semantic list has the gain ``base**(top_n - r) - 1``. The sum of these gains
    in functional order, with discounts ``1 / log2(r + 2)``, is divided by that in semantic order.

    Parameters
    ----------
    functional, semantic : ndarray of shape (F, F), float, or (R, any), uint32, or Ranking
        Similarities, of which the ``top_n`` largest per row are taken, or ranked lists, which are
        cut to ``top_n``. Both must be of the same kind. Between two rankings, the mean over all
        orders of ties is returned, both orders being random and independent.
    top_n : int
        Length of both lists, at least 1.
    base : float
        Base of the gains, above 1.

    Returns
    -------
    ndcg : ndarray of shape (F,) or (R,), float64
        From 0 to 1; NaN where the semantic list is empty.

    Raises
    ------
    InvalidInputError
        For shapes that do not agree, NaN or infinity off a diagonal, or gains beyond float64.

    References
    ----------
    .. [1] Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM
       Transactions on Information Systems 20 (2002).
    .. [2] Mercorio et al., "SFAL: Semantic-Functional Alignment Scores for Distributional Evaluation of
       Auto-Interpretability in Sparse Autoencoders", EMNLP 2025 Industry Track,
       2025.emnlp-industry.39.
    .. [3] McSherry and Najork, "Computing information retrieval performance measures efficiently in
       the presence of tied scores", ECIR 2008.

    Examples
    --------
    >>> import numpy as np
    >>> lists = np.array([[1, 2], [0, 2], [0, 1]], dtype=np.uint32)
    >>> ndcg(lists, lists, top_n=2)
    array([1., 1., 1.])
    """

def chance(n_candidates: int, top_n: int = 1023, base: float = 1.1) -> float:
    """Return the expected NDCG of a uniformly random functional order.

    At each rank, the expected gain is the mean gain of a candidate, whatever the semantic list, so
    no sampling is needed. Alignment beyond chance is ``(ndcg - chance) / (1 - chance)``.

    Parameters
    ----------
    n_candidates : int
        Number of features that may appear in the list: all but the row's own.

    Returns
    -------
    chance : float
        Mean gain of a candidate times the sum of discounts, divided by the ideal DCG; NaN without
        candidates.

    Examples
    --------
    >>> round(chance(16383), 3)
    0.019
    """

def chance_law(
    n_candidates: int, top_n: int = 1023, base: float = 1.1, *, n_threads: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute how likely a uniformly random functional order scores at least a given NDCG.

    The law is a mixture of steps, as the nearest neighbour alone decides half of an unusually high
    score: no normal approximation holds. All orders are enumerated up to 8 candidates. From 4,096
    candidates on and down to 1e-4, neighbours count as independent, which is within 4 %; otherwise
    distinct positions are drawn by importance sampling from a fixed seed: from 2,000 candidates on
    within 2 % at 1e-6 and 5 % at 1e-8 of sixteen times as many samples, below within 5 % and 15 %.

    Parameters
    ----------
    n_candidates : int
        Features that may stand in the list: all but the row's own.
    top_n : int
        Depth of the list, at least 1.
    base : float
        Base of the gains, above 1.

    Returns
    -------
    grid : ndarray of shape (n,), float64
        Scores, strictly ascending from 0.
    survival : ndarray of shape (n,), float64
        Probability of a score of at least ``grid``; falls from 1 and is never below 1e-9. Interpolate
        linearly: ``numpy.interp(score, grid, survival)``.

    Raises
    ------
    InvalidInputError
        As :func:`ndcg` for ``top_n`` and ``base``.

    References
    ----------
    .. [1] Veach and Guibas, "Optimally combining sampling techniques for Monte Carlo rendering",
       SIGGRAPH 1995: the balance heuristic.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(np.interp(0.9, *chance_law(7, top_n=4))) * 42, 6)
    1.0
    """

def functional_ranking(
    source: Occurrences | Histogram,
    top_n: int = 1023,
    measure: _Measure = "phi",
    rows: NDArray[np.int64] | NDArray[np.uint32] | None = None,
    candidates: NDArray[np.int64] | NDArray[np.uint32] | None = None,
    *,
    n_threads: int | None = None,
    memory_limit: int | None = None,
) -> Ranking:
    """Rank like :func:`functional_neighbours`, and keep which neighbours tie.

    Equality is that of the float64 measure. Ranking the features of ``rows`` among themselves
    computes each pair once: pass the same increasing features as ``rows`` and ``candidates``.

    Parameters
    ----------
    source, top_n, measure, rows, candidates
        As for :func:`functional_neighbours`.

    Returns
    -------
    ranking : Ranking

    Raises
    ------
    InvalidInputError, MemoryLimitError
        As :func:`functional_neighbours`.
    """

def semantic_ranking(
    embeddings: NDArray[np.float32],
    top_n: int = 1023,
    rows: NDArray[np.int64] | NDArray[np.uint32] | None = None,
    candidates: NDArray[np.int64] | NDArray[np.uint32] | None = None,
    *,
    n_threads: int | None = None,
    memory_limit: int | None = None,
) -> Ranking:
    """Rank like :func:`semantic_neighbours`, and keep which neighbours tie.

    Equality is that of the float32 cosines, which equal vectors share to the last bit.

    Parameters
    ----------
    embeddings, top_n, rows, candidates
        As for :func:`semantic_neighbours`.

    Returns
    -------
    ranking : Ranking

    Raises
    ------
    InvalidInputError, MemoryLimitError
        As :func:`semantic_neighbours`.
    """

def top_ranking(
    similarity: NDArray[np.float32] | NDArray[np.float64],
    top_n: int = 1023,
    row_start: int = 0,
    *,
    n_threads: int | None = None,
    memory_limit: int | None = None,
) -> Ranking:
    """Rank like :func:`top_neighbours`, and keep which neighbours tie.

    Parameters
    ----------
    similarity, top_n, row_start
        As for :func:`top_neighbours`.

    Returns
    -------
    ranking : Ranking

    Raises
    ------
    InvalidInputError
        As :func:`top_neighbours`.
    """

def label_fit(
    functional: NDArray[np.uint32] | Ranking,
    semantic: NDArray[np.uint32] | Ranking,
    top_n: int = 1023,
    base: float = 1.1,
    rows: NDArray[np.int64] | NDArray[np.uint32] | None = None,
    best: int = 5,
    labels: NDArray[np.int64] | NDArray[np.uint32] | None = None,
    same: NDArray[np.int64] | NDArray[np.uint32] | None = None,
    *,
    n_threads: int | None = None,
    memory_limit: int | None = None,
) -> tuple[NDArray[np.uint32], NDArray[np.float64], NDArray[np.uint32], NDArray[np.float32]]:
    """Compute how well every label fits every feature.

    If features i and j exchanged their labels, the NDCG of i would be
    ``S[i, j] = sum_f D[i, f] * G[j, f] + D[i, j] * G[j, i]``: D is the discount of f among i's
    functional neighbours, G the gain of f among j's semantic ones, over the ideal, 0 where f is not
    listed. ``S[i, i]`` is the feature's own NDCG. The gains of the first 128 semantic neighbours (a
    tie class that goes on as a whole) decide the ranks; all of them make the values of the best.

    Parameters
    ----------
    functional : Ranking or ndarray of shape (R, w), uint32
        Functional neighbours of ``rows``. Between two rankings, ties are averaged.
    semantic : Ranking or ndarray of shape (L, v), uint32
        Semantic neighbours of all features that have a label.
    top_n : int
        Depth of the lists, at least 1.
    base : float
        Base of the gains, above 1.
    rows : ndarray of shape (R,), int64 or uint32, optional
        Features of the functional lists. By default those of ``labels``, in order.
    best : int
        Better labels to name.
    labels : ndarray of shape (L,), int64 or uint32, optional
        Features of the semantic lists, ascending. By default all features from 0 on.
    same : ndarray of shape (L,), int64 or uint32, optional
        A number for each semantic list, equal where labels are equal: these fit as well as each other
        whatever rounding says, and none of them is better.

    Returns
    -------
    rank : ndarray of shape (R,), uint32
        Labels that fit the feature at least as well as its own, itself included.
    mean : ndarray of shape (R,), float64
        Mean of ``S[i, j]`` over the other labels; NaN where there are none.
    better : ndarray of shape (R, best), uint32
        Features whose labels fit better, best first, padded with 2**32 - 1.
    value : ndarray of shape (R, best), float32
        NDCG that these labels would give; NaN in the padding.

    Raises
    ------
    InvalidInputError
        For shapes that do not agree, ``labels`` that do not increase, a row without a label.
    MemoryLimitError
        If the gains, 1 KiB per label and more where many labels tie, exceed the limit.

    Examples
    --------
    >>> import numpy as np
    >>> functional = np.array([[1, 2], [0, 2], [3, 0], [2, 1]], dtype=np.uint32)
    >>> semantic = np.array([[1, 3], [0, 3], [3, 1], [2, 0]], dtype=np.uint32)
    >>> label_fit(functional, semantic, top_n=2)[0]
    array([2, 3, 3, 2], dtype=uint32)
    """

def overlap(
    functional: NDArray[np.uint32] | Ranking,
    semantic: NDArray[np.uint32] | Ranking,
    depth: int = 10,
    *,
    n_threads: int | None = None,
    memory_limit: int | None = None,
) -> NDArray[np.float64]:
    """Compute the share of the first neighbours that two lists have in common.

    Parameters
    ----------
    functional, semantic : Ranking or ndarray of shape (R, any), uint32
        Ranked lists. Between two rankings, ties are averaged.
    depth : int
        Neighbours that count, at least 1; fewer where a list is shorter.

    Returns
    -------
    overlap : ndarray of shape (R,), float64
        From 0 to 1; NaN where a list is empty.

    Raises
    ------
    InvalidInputError
        For another number of rows or a ``depth`` below 1.

    Examples
    --------
    >>> import numpy as np
    >>> overlap(np.array([[1, 2]], dtype=np.uint32), np.array([[2, 3]], dtype=np.uint32))
    array([0.5])
    """

def rank_biased_overlap(
    functional: NDArray[np.uint32] | Ranking,
    semantic: NDArray[np.uint32] | Ranking,
    top_n: int = 1023,
    p: float = 0.98,
    *,
    n_threads: int | None = None,
    memory_limit: int | None = None,
) -> NDArray[np.float64]:
    """Compute the rank-biased overlap of two lists, extrapolated.

    The share of common neighbours at each depth d, weighted by ``p**d``; what lies beyond the lists
    is taken to agree as much as the lists do. Ties are broken in all ways, and the mean is returned.

    Parameters
    ----------
    functional, semantic : Ranking or ndarray of shape (R, any), uint32
        Ranked lists. Between two rankings, ties are averaged.
    top_n : int
        Depth of both lists, at least 1.
    p : float
        Persistence, between 0 and 1: the first ``1 / (1 - p)`` ranks or so count.

    Returns
    -------
    overlap : ndarray of shape (R,), float64
        From 0 to 1; NaN where a list is empty.

    Raises
    ------
    InvalidInputError
        For another number of rows, or ``top_n`` or ``p`` out of range.

    References
    ----------
    .. [1] Webber, Moffat and Zobel, "A similarity measure for indefinite rankings", ACM Transactions
       on Information Systems 28 (2010), equation 32.
    .. [2] Corsi and Urbano, "The treatment of ties in rank-biased overlap", SIGIR 2024, variant a.

    Examples
    --------
    >>> import numpy as np
    >>> lists = np.array([[1, 2, 3]], dtype=np.uint32)
    >>> rank_biased_overlap(lists, lists).round(12)
    array([1.])
    """

def replicates(
    occurrences: Occurrences,
    groups: NDArray[np.uint8],
    semantic: list[Ranking] | list[NDArray[np.uint32]],
    top_n: int = 1023,
    base: float = 1.1,
    measure: _Measure = "phi",
    rows: NDArray[np.int64] | NDArray[np.uint32] | None = None,
    candidates: NDArray[np.int64] | NDArray[np.uint32] | None = None,
    *,
    n_threads: int | None = None,
    memory_limit: int | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Score features in halves and quarters of the documents.

    The windows are divided into 16 groups, each the windows of some documents. Eight rows of a
    Hadamard matrix split the groups into two halves; another row splits one of the halves into two
    quarters. In each of these replicates, features are ranked by the measure of co-occurrence and
    compared with the semantic lists, and the two halves of a split with each other. The counts of
    all groups take as long as counting once; no list outlives its row.

    Parameters
    ----------
    occurrences : Occurrences
        All windows.
    groups : ndarray of shape (n_windows,), uint8
        Group of each window, from 0 to 15.
    semantic : list of E Ranking, or of E ndarray of shape (R, any), uint32
        Semantic neighbours of ``rows``, for each set of embeddings. With rankings, ties are
        averaged; with arrays, they go by ascending index.
    top_n : int
        Length of the lists, at least 1.
    base : float
        Base of the gains, above 1.
    measure : str
        As for :func:`functional_neighbours`.
    rows : ndarray of shape (R,), int64 or uint32, optional
        Features that are scored. Default: all.
    candidates : ndarray of shape (C,), int64 or uint32, optional
        Features that may appear in the functional lists, increasing. Default: all.

    Returns
    -------
    halves : ndarray of shape (E, 8, 2, R), float64
        NDCG of each half of each split; NaN where the feature never or always occurs in that half.
    quarters : ndarray of shape (E, 8, 2, R), float64
        The same of the quarters.
    agreement : ndarray of shape (8, 2, R), float64
        NDCG of each half's functional order, with gains from the order of the other half.

    Raises
    ------
    InvalidInputError
        For shapes that do not agree, groups above 15, or features that do not exist.
    MemoryLimitError
        If the bits in the order of the groups and the counts, 1 GiB at most, exceed the limit.

    References
    ----------
    .. [1] Wolter, "Introduction to Variance Estimation", 2nd ed., Springer (2007), chapter 3:
       balanced half-samples from Hadamard matrices.
    """
