"""Published embeddings, converted in memory into what our own layout holds.

Nothing is converted on disk. The published tree may be read-only or shared, a
second copy would add 40 % to it, and a copy would not pay: to read 16k vectors
of 1,024 numbers takes 0.38 s from the pickle, and 0.34 s from our Parquet file
once the pickle's digest is checked to be the one converted.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sfal.errors import ArtifactError, CorruptError
from sfal.store.embeddings import Vectors
from sfal.store.published.frames import Frame, read_frame
from sfal.store.published.layout import explainer_of

_SOURCE_ID = re.compile(r"\d+-\D")


class PublishedEmbeddings(NamedTuple):
    """What a published ``.pkl`` of embeddings holds."""

    vectors: Vectors
    """Features and vectors, with the metadata of our files: source, explainer, type."""
    explanations: dict[int, str]
    """Explanations by feature, as plain text."""


def read_pickled_embeddings(path: Path, stem: str) -> PublishedEmbeddings:
    """Read published embeddings, as data only.

    Parameters
    ----------
    path : Path
        A pickled pandas frame with columns index and embedding, and the
        explanation in true_description or description. Where it has a column
        layer, this names the source.
    stem : str
        ``{type}_{explainer}``, from the file's name.

    Raises
    ------
    MissingError
        If there is no such file.
    ArtifactError
        If the file holds anything but such a frame, a column is missing, or the
        records are of several sources.
    CorruptError
        If the file is cut short, an index is not that of a feature or occurs
        twice, or a vector is missing or not finite.
    """
    frame = read_frame(path)
    missing = [name for name in ("index", "embedding") if name not in frame.names]
    if missing:
        raise ArtifactError(
            f"{path} has no column {' and no column '.join(missing)}; "
            f"its columns are {', '.join(frame.names)}"
        )
    index = frame.integers("index")
    features, rows = _ranked(path, index)
    vectors = frame.vectors("embedding", rows)
    if vectors.shape[1] == 0:
        raise CorruptError(f"{path}: its vectors have no dimension")
    # A NaN or an infinity anywhere shows in the extremes, without an array of truth values.
    if not (np.isfinite(vectors.max()) and np.isfinite(vectors.min())):
        first = int(np.isfinite(vectors).all(axis=1).argmin())
        raise CorruptError(f"{path}: the vector of feature {features[first]} is not finite")
    explainer = explainer_of(stem)
    metadata = {
        "source": _source_id(path, frame),
        "explainer": explainer,
        "type": stem.removesuffix(f"_{explainer}"),
    }
    texts = dict(zip(index.tolist(), _texts(frame), strict=True))
    return PublishedEmbeddings(Vectors(features, vectors, metadata), texts)


def _ranked(path: Path, index: NDArray[np.int64]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return the features in ascending order, and the place of each record among them."""
    if len(index) == 0:
        raise ArtifactError(f"{path} holds no embeddings")
    order = np.argsort(index)
    ordered = index[order]
    for extreme in (ordered[0], ordered[-1]):
        if not 0 <= extreme <= np.iinfo(np.uint32).max:
            raise CorruptError(f"{path}: {extreme} is not the index of a feature")
    twice = ordered[1:] == ordered[:-1]
    if twice.any():
        raise CorruptError(f"{path}: feature {ordered[int(twice.argmax())]} occurs twice")
    rows = np.empty(len(index), dtype=np.int64)
    rows[order] = np.arange(len(index))
    return ordered.astype(np.uint32), rows


def _source_id(path: Path, frame: Frame) -> str | None:
    """Return Neuronpedia's name of the records' source, None where they do not give it."""
    if "layer" not in frame.names:
        return None
    values = (value for value in frame.values("layer") if isinstance(value, str))
    ids = sorted({value for value in values if _SOURCE_ID.match(value)})
    if len(ids) > 1:
        raise ArtifactError(
            f"{path} holds explanations of several sources, {', '.join(ids[:8])}",
            hint="each source needs a file of its own",
        )
    return ids[0] if ids else None


def _texts(frame: Frame) -> list[str]:
    """Return the explanations as plain text: the one embedded, or those that the record lists."""
    chosen: list[object] = [None] * frame.n_rows
    for name in ("true_description", "description"):
        if name in frame.names:
            found = frame.values(name)
            chosen = [b if a is None else a for a, b in zip(chosen, found, strict=True)]
    return [_plain(value) for value in chosen]


def _plain(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(_plain(part) for part in value if part is not None)
    return "" if value is None else str(value).strip()
