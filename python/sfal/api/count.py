"""Occurrences from the caller's activations: arrays in memory, or anything with ``encode()``."""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sfal.collect.windows import Tail, document_windows, window_batches, window_tokens
from sfal.errors import InvalidInputError
from sfal.terminal.progress import progress

if TYPE_CHECKING:
    from sfal._core import Occurrences

_ELEMENTS = 1 << 24
"""Elements of a dense array that are processed at once."""


class Encoder(Protocol):
    """Anything that turns activations into features, such as an SAE of SAELens."""

    def encode(self, x: Any, /) -> Any:
        """Return feature activations (tokens, n_features) for `x` of shape (tokens, d_model)."""


def count_features(
    activations: Any,
    window_size: int = 256,
    *,
    document_lengths: Sequence[int] | NDArray[np.integer[Any]] | None = None,
    tail: Tail = "drop",
) -> "Occurrences":
    """Find which features occur in which window, from the feature activations of each token.

    A feature fires on a token where its activation is above 0, and occurs in a
    window if it fires on at least one of its tokens [1]_. A window is
    `window_size` consecutive tokens of one document.

    Parameters
    ----------
    activations : array of shape (n_tokens, n_features)
        A numpy array or dense torch tensor of bool or numbers, or any
        ``scipy.sparse`` matrix. Tokens in order, document after document.
    window_size : int
        Tokens per window. With 1, every row is a window.
    document_lengths : sequence of int, optional
        Tokens of each document, so that no window spans two documents. By
        default all tokens are one document.
    tail : {"drop", "keep"}
        Whether the tokens after a document's last whole window are dropped, or
        kept as a shorter window if they are at least half a window.

    Returns
    -------
    occurrences : Occurrences
        Can be joined with others of the same SAE by ``merge``, so that a large
        corpus can be counted in pieces of whole documents.

    Raises
    ------
    InvalidInputError
        For another shape or dtype, lengths that do not sum to the tokens, or NaN
        in a window; the message names the token and the feature.

    Notes
    -----
    Memory besides the input: the bits of the occurrences, and some tens of MB.
    A sparse matrix is never made dense.

    References
    ----------
    .. [1] Mercorio et al., "SFAL: Semantic-Functional Alignment Scores for
       Distributional Evaluation of Auto-Interpretability in Sparse
       Autoencoders", EMNLP 2025 Industry Track, 2025.emnlp-industry.39.

    Examples
    --------
    Three documents of 4, 2 and 3 tokens, windows of two tokens, three features:

    >>> activations = np.zeros((9, 3))
    >>> activations[[0, 1, 5, 8], [0, 2, 1, 1]] = 0.7
    >>> occurrences = count_features(activations, 2, document_lengths=[4, 2, 3])
    >>> occurrences.n_windows, occurrences.counts().tolist()
    (4, [1, 1, 1])
    """
    from sfal._core import Occurrences

    rows = _as_rows(activations, "activations")
    n_tokens, n_features = rows.shape
    bounds = document_windows(n_tokens, document_lengths, window_size, tail)
    occurrences = Occurrences(n_features)
    # The cost of a sparse matrix depends on its entries, not on its width.
    width = 1 if _is_sparse(rows) else n_features
    for batch in window_batches(bounds, _ELEMENTS // width):
        tokens = window_tokens(batch)
        occurrences.extend(*_occurring(_take(rows, tokens), batch, tokens))
    return occurrences


def count_encoded(
    sae: Encoder,
    activations: Any,
    window_size: int = 256,
    *,
    document_lengths: Sequence[int] | NDArray[np.integer[Any]] | None = None,
    tail: Tail = "drop",
    batch_tokens: int = 4096,
) -> "Occurrences":
    """Find which features occur in which window, encoding a model's activations in batches.

    The result is that of :func:`count_features` on ``sae.encode(activations)``,
    but the feature activations of all tokens are never in memory at once.

    Parameters
    ----------
    sae : object with ``encode``
        Takes (tokens, d_model) and returns feature activations of shape
        (tokens, n_features) as :func:`count_features` takes them: SAEs of
        SAELens and dictionary_learning, or your own class.
    activations : array of shape (n_tokens, d_model)
        Input of the SAE, a numpy array or torch tensor, without BOS, EOS and
        padding. A torch module gets tensors of its own dtype on its own device,
        without gradients; anything else gets the rows as they are.
    window_size, document_lengths, tail
        As in :func:`count_features`.
    batch_tokens : int
        Tokens encoded at once, in whole windows, at least one.

    Returns
    -------
    occurrences : Occurrences

    Raises
    ------
    InvalidInputError
        As for :func:`count_features`; for NaN or infinity in a window's
        activations; if there is no window, since only the first batch shows
        the number of features; if ``encode`` returns another shape.

    Examples
    --------
    >>> class Relu:
    ...     def encode(self, x):
    ...         return np.maximum(x @ np.array([[1, -1, 0], [0, 0, 1]]), 0)
    >>> activations = np.array([[1.0, 0], [2, 1], [-1, 0], [-3, 0]])
    >>> count_encoded(Relu(), activations, window_size=2).histogram()
    array([[1, 0, 1],
           [0, 1, 0],
           [1, 0, 1]], dtype=uint32)
    """
    from sfal._core import Occurrences

    if batch_tokens < 1:
        raise InvalidInputError(f"batch_tokens is {batch_tokens}, but must be at least 1")
    inputs = _as_rows(activations, "activations")
    if _is_sparse(inputs):
        raise InvalidInputError(
            "activations: a sparse matrix, but the input of an SAE is dense",
            hint="give the activations that the SAE encodes",
        )
    bounds = document_windows(inputs.shape[0], document_lengths, window_size, tail)
    if not len(bounds):
        raise InvalidInputError(
            f"no document has a window of {window_size} tokens",
            hint="use a smaller $window_size, or longer documents",
        )
    counted: list[Occurrences] = []
    with _no_gradients(), progress(len(bounds), "encoding", "window") as bar:
        for batch in window_batches(bounds, batch_tokens):
            tokens = window_tokens(batch)
            encoded = _as_rows(sae.encode(_input(sae, inputs, tokens)), "the result of encode()")
            if not counted:
                counted.append(Occurrences(encoded.shape[1]))
            expected = (len(tokens), counted[0].n_features)
            if encoded.shape != expected:
                raise InvalidInputError(
                    f"encode() returned shape {tuple(encoded.shape)} for {len(tokens)} tokens, "
                    f"not {expected}"
                )
            counted[0].extend(*_occurring(encoded, batch, tokens))
            bar.update(len(batch))
    return counted[0]


def _occurring(
    rows: Any, bounds: NDArray[np.int64], tokens: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Return the features of each window; `rows` holds the windows' tokens consecutively."""
    lengths = bounds[:, 1] - bounds[:, 0]
    if _is_sparse(rows):
        windows, features = _sparse_pairs(rows, lengths, tokens)
    else:
        missing, fired = (rows != rows), rows > 0
        if missing.any():
            _refuse_nan(tokens, *np.argwhere(_to_numpy(missing))[0])
        starts = np.cumsum(lengths) - lengths
        windows, features = np.nonzero(np.logical_or.reduceat(_to_numpy(fired), starts, axis=0))
    indptr = np.searchsorted(windows, np.arange(len(bounds) + 1)).astype(np.int64)
    return indptr, features.astype(np.uint32)


def _sparse_pairs(
    rows: Any, lengths: NDArray[np.int64], tokens: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return window and feature of each occurrence, sorted by window, then by feature."""
    row = np.repeat(np.arange(len(tokens)), np.diff(rows.indptr))
    missing = rows.data != rows.data
    if missing.any():
        first = int(np.argmax(missing))
        _refuse_nan(tokens, row[first], rows.indices[first])
    fired = rows.data > 0
    window = np.repeat(np.arange(len(lengths)), lengths)[row[fired]]
    n_features = rows.shape[1]
    pairs = np.unique(window * n_features + rows.indices[fired])
    return np.divmod(pairs, n_features)


def _refuse_nan(tokens: NDArray[np.int64], row: np.integer[Any], feature: np.integer[Any]) -> None:
    raise InvalidInputError(f"the activation of feature {feature} on token {tokens[row]} is NaN")


def _as_rows(values: Any, what: str) -> Any:
    """Return numbers as a two-dimensional numpy array, dense torch tensor or CSR matrix."""
    rows: Any = None
    if _is_sparse(values):
        rows = values.tocsr() if values.ndim == 2 else None
        if rows is not None and not rows.has_canonical_format:
            rows = rows.copy()
            rows.sum_duplicates()
    elif _is_tensor(values):
        dense = str(values.layout) == "torch.strided" and not values.is_complex()
        rows = values.detach() if dense else None
    else:
        with suppress(ValueError):  # lists of unequal length
            rows = np.asarray(values)
    numbers = rows is not None and (_is_tensor(rows) or rows.dtype.kind in "biuf")
    if not numbers or rows.ndim != 2:
        shape, dtype = (getattr(values, name, None) for name in ("shape", "dtype"))
        found = "" if shape is None else f" of shape {tuple(shape)} and dtype {dtype}"
        raise InvalidInputError(
            f"{what}: {type(values).__name__}{found}; it must be a numpy array, a dense torch "
            "tensor or a scipy.sparse matrix of numbers, with a row for each token"
        )
    return rows


def _is_sparse(values: Any) -> bool:
    return type(values).__module__.startswith("scipy.sparse")


def _is_tensor(values: Any) -> bool:
    # A caller with a tensor has imported torch; nobody else should have to.
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(values, torch.Tensor)


def _to_numpy(fired: Any) -> NDArray[np.bool_]:
    array: NDArray[np.bool_] = fired.cpu().numpy() if _is_tensor(fired) else fired
    return array


def _no_gradients() -> AbstractContextManager[Any]:
    torch = sys.modules.get("torch")
    return nullcontext() if torch is None else torch.no_grad()


def _take(rows: Any, tokens: NDArray[np.int64]) -> Any:
    """Return the rows of some tokens, without a copy if they are adjacent."""
    if tokens[-1] - tokens[0] == len(tokens) - 1:
        return rows[int(tokens[0]) : int(tokens[-1]) + 1]
    return rows[tokens]


def _input(sae: object, inputs: Any, tokens: NDArray[np.int64]) -> Any:
    """Return the activations of some tokens as the SAE takes them."""
    batch = _take(inputs, tokens)
    torch = sys.modules.get("torch")
    finite = np.isfinite(batch) if torch is None or not _is_tensor(batch) else torch.isfinite(batch)
    if not finite.all():
        row = int(np.argmin(_to_numpy(finite.all(1))))
        raise InvalidInputError(f"the activations of token {tokens[row]} are NaN or infinite")
    if torch is None or not isinstance(sae, torch.nn.Module):
        return batch
    tensor = batch if _is_tensor(batch) else torch.tensor(batch)
    like = next(filter(torch.is_floating_point, sae.parameters()), None)
    return tensor if like is None else tensor.to(device=like.device, dtype=like.dtype)
