"""Labels of which an embedder knows no word, so that it has no vector for them.

A table of word vectors averages those of the words that it knows. Where it
knows none, there is nothing to average, and the vector is zero or, after
division by its length, NaN. Such a label says nothing about its feature.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sfal.errors import InvalidInputError, Note
from sfal.terminal.table import cut, one_line

if TYPE_CHECKING:
    from sfal.embeddings.embedders import Embedder

_NAMED = 5
_WIDTH = 60


def known_labels(
    source: str,
    features: NDArray[np.uint32],
    labels: Sequence[str],
    vectors: NDArray[np.float32],
    embedder: "Embedder",
) -> NDArray[np.bool_]:
    """Return which labels have a vector; the embedder knows no word of the others.

    A vector of zeros counts as missing. A vector that is not finite is an error
    of the model unless three conditions hold, which together rule out overflow
    and damaged weights: all its numbers are NaN; at least half of the vectors are
    finite; and the embedder returns NaN for the empty text too. Only a model that
    averages known words does that: others add tokens to the text, or fail.

    Parameters
    ----------
    source : str
        Name of the source, for messages.
    features : ndarray of shape (n,), uint32
        The features that are labelled, for messages.
    labels : sequence of n str
        Their labels.
    vectors : ndarray of shape (n, D), float32
        Vectors of the labels, as the embedder returned them.
    embedder : Embedder
        Asked about the empty text if a vector is not finite.

    Returns
    -------
    known : ndarray of shape (n,), bool

    Raises
    ------
    InvalidInputError
        If a vector is not finite for another reason, or all vectors are zero.
    """
    bad = ~np.isfinite(vectors).all(axis=1)
    if bad.any():
        partly = bad & ~np.isnan(vectors).all(axis=1)
        if partly.any() or bad.mean() > 0.5 or not _gives_nan_for_no_word(embedder):
            first = int(np.flatnonzero(partly if partly.any() else bad)[0])
            raise InvalidInputError(
                f"{source}: the vector of feature {_named(features[first], labels[first])} is not "
                "finite: the embedding model is damaged or its precision is too low"
            )
    known: NDArray[np.bool_] = ~bad & np.any(vectors, axis=1)
    if len(known) and not known.any():
        raise InvalidInputError(
            f"{source}: the vectors of all {len(known):,} labels are zero or NaN: the embedding "
            "model knows none of their words, or is damaged",
            hint="name another model as $embedding_models",
        )
    return known


def unknown_note(source: str, features: NDArray[np.uint32], labels: Sequence[str]) -> Note:
    """Say which labels have no vector.

    Parameters
    ----------
    source : str
        Name of the source.
    features : ndarray of shape (n,), uint32
        The features whose labels have none, at least one.
    labels : sequence of n str
        Their labels.

    Examples
    --------
    >>> print(unknown_note("lm/0-a-res", np.array([96, 202], np.uint32), ["produ", "consid"]))
    lm/0-a-res: 2 labels have no vector, because the embedder knows none of their words: 96 'produ', 202 'consid'
    """
    n = len(labels)
    have, their = ("label has", "its") if n == 1 else ("labels have", "their")
    named = ", ".join(map(_named, features[:_NAMED].tolist(), labels))
    more = f" and {n - _NAMED:,} more" if n > _NAMED else ""
    return Note(
        f"{source}: {n:,} {have} no vector, because the embedder knows none of {their} words: "
        f"{named}{more}"
    )


def _gives_nan_for_no_word(embedder: "Embedder") -> bool:
    try:
        return bool(np.isnan(embedder.encode([""])).all())
    except Exception:  # a model that needs a token may raise anything without one
        return False


def _named(feature: int, label: str) -> str:
    return f"{feature} {cut(one_line(label), _WIDTH)!r}"
