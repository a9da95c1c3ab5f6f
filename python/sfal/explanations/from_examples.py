"""Explanations of a source made from its max-activating examples.

See :mod:`sfal.explanations.labels` for what scores with them do not show.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sfal.errors import ArtifactError, CorruptError, InvalidInputError, MissingError
from sfal.explanations.labels import LABEL_EXPLAINER, top_words
from sfal.io.atomic import remove_temporaries
from sfal.io.lock import folder_lock
from sfal.store.examples import iterate_examples, read_examples_metadata
from sfal.store.explanations import (
    TOP_TOKENS,
    kinds,
    make_table,
    write_explanations,
)
from sfal.store.layout import EXPORT
from sfal.store.source_folder import SourceFolder

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class LabelSummary:
    """What was labelled of a source."""

    source: str
    """Name of the source."""
    n_explained: int
    """Number of features with a label."""
    n_features: int
    """Number of features of the SAE."""
    corpus: str
    """Corpus of the examples."""
    documents: tuple[int, int]
    """Ordinals of the first document with examples and of the one after the last."""
    unchanged: bool
    """Whether the file on disk already had this content."""


def explain_source(source: SourceFolder, n_words: int = 4, *, force: bool = False) -> LabelSummary:
    """Write labels of top tokens as a source's explanations.

    Parameters
    ----------
    source : SourceFolder
        The source.
    n_words : int
        Most words of a label. Must be > 0.
    force : bool
        Replace explanations of another kind.

    Raises
    ------
    MissingError
        If there are no examples.
    ArtifactError
        If the examples are damaged or come from documents that are counted.
    InvalidInputError
        If the source has explanations of another kind and `force` is not set.
    LockedError
        If another process is choosing the source's explanations.
    """
    folder = source.path
    metadata = read_examples_metadata(folder)
    documents = _documents(metadata, folder)
    _check_apart(source, *documents)
    with folder_lock(folder / EXPORT, source.root):
        remove_temporaries(folder)
        stored = _stored_explanations(source, force)
        labels = {
            feature: top_words(((e.token, e.activation) for e in examples), n_words)
            for feature, examples in iterate_examples(folder)
        }
        if not labels:
            raise MissingError(
                f"{folder}: no feature fires in documents {documents[0]} to {documents[1] - 1}",
                hint="gather examples in more documents with $examples",
            )
        rows = ((label, TOP_TOKENS, LABEL_EXPLAINER) for label in labels.values())
        table = make_table(np.fromiter(labels, np.uint32), rows)
        unchanged = stored is not None and stored.equals(table)
        if not unchanged:
            about = {key: metadata.get(key) for key in ("corpus", "documents", "n_features")}
            origin = {"source": source.name, "origin": {"examples": about}, "words": n_words}
            write_explanations(folder, table, origin)
    width = metadata.get("n_features")
    return LabelSummary(
        source=source.name,
        n_explained=len(labels),
        n_features=width if isinstance(width, int) else max(labels) + 1,
        corpus=str(metadata.get("corpus")),
        documents=documents,
        unchanged=unchanged,
    )


def _documents(metadata: Mapping[str, Any], folder: Path) -> tuple[int, int]:
    """Return the ordinals of the examples' first document and of the one after the last."""
    try:
        first, stop = metadata["documents"]
        return int(first), int(stop)
    except (KeyError, TypeError, ValueError) as e:
        raise CorruptError(
            f"the examples in {folder} do not say which documents they are from",
            hint="gather them again with $examples",
        ) from e


def _check_apart(source: SourceFolder, first: int, stop: int) -> None:
    """Raise if examples come from documents that have been counted since."""
    manifest = source.manifest
    if manifest is None:
        return
    if any(part.first < stop and first < part.stop for part in manifest.parts):
        raise ArtifactError(
            f"{source.path}: the examples are from documents {first} to {stop - 1}, but documents up "
            f"to {manifest.parts[-1].stop - 1} have been counted since",
            hint="run $do_count with $examples again, so that labels and counts come from "
            "different text",
        )


def _stored_explanations(source: SourceFolder, force: bool) -> "pa.Table | None":
    """Return the explanations on disk; raise if they are of another kind, unless `force`."""
    if not source.has_explanations:
        return None
    try:
        stored = source.explanations()
    except ArtifactError:
        if force:
            return None
        raise
    others = [kind for kind in kinds(stored) if kind != (TOP_TOKENS, LABEL_EXPLAINER)]
    if others and not force:
        raise InvalidInputError(
            f"{source.name} is already explained: {len(stored):,} features, by "
            f"{', '.join(f'{explainer} ({type_})' for type_, explainer in others[:5])}",
            hint="$force replaces these with labels made of top tokens",
        )
    return stored
