"""``sfal explain``: explanations of a source from its examples.

See :mod:`sfal.explanations.labels` for what such explanations cannot show.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sfal.errors import ArtifactError, InvalidInputError
from sfal.explanations.labels import LABEL_EXPLAINER, top_words
from sfal.io.atomic import remove_temporaries
from sfal.io.lock import folder_lock
from sfal.store.examples import iterate_examples, read_examples_metadata
from sfal.store.explanations import (
    TOP_TOKENS,
    kinds,
    make_table,
    read_explanations,
    write_explanations,
)
from sfal.store.layout import EXPLANATIONS, EXPORT, source_dir
from sfal.store.manifest import Manifest, has_manifest

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class LabelSummary:
    """What was explained of a source."""

    source: str
    """Name of the source."""
    n_explained: int
    """Features with a label."""
    n_features: int
    """Features of the SAE."""
    corpus: str
    """Where the examples are from."""
    documents: tuple[int, int]
    """Ordinal of the first document with examples, and the one behind the last."""
    unchanged: bool
    """Whether the file on disk was already this."""


def explain_source(
    name: str, data_dir: Path, n_words: int = 4, *, force: bool = False
) -> LabelSummary:
    """Write labels of top tokens as a source's explanations.

    Parameters
    ----------
    name : str
        Name of the source.
    data_dir : Path
        Root of the data tree.
    n_words : int
        Words of a label at most. Must be > 0.
    force : bool
        Replace explanations of another kind.

    Raises
    ------
    ArtifactError
        If there are no examples, they are damaged, or they are from documents
        that are counted.
    InvalidInputError
        If the source has explanations of another kind.
    LockedError
        If another process is choosing its explanations.
    """
    folder = source_dir(data_dir, name)
    metadata = read_examples_metadata(folder)
    documents = _documents(metadata, folder)
    _check_apart(folder, *documents)
    with folder_lock(folder / EXPORT, data_dir):
        remove_temporaries(folder)
        there = _explanations_there(folder, force)
        labels = {
            feature: top_words(((e.token, e.activation) for e in examples), n_words)
            for feature, examples in iterate_examples(folder)
        }
        if not labels:
            raise ArtifactError(
                f"{folder}: no feature fires in documents {documents[0]} to {documents[1] - 1}; "
                "gather examples in more documents with --examples"
            )
        rows = ((label, TOP_TOKENS, LABEL_EXPLAINER) for label in labels.values())
        table = make_table(np.fromiter(labels, np.uint32), rows)
        unchanged = there is not None and there.equals(table)
        if not unchanged:
            about = {key: metadata.get(key) for key in ("corpus", "documents", "n_features")}
            origin = {"source": name, "origin": {"examples": about}, "words": n_words}
            write_explanations(folder, table, origin)
    width = metadata.get("n_features")
    return LabelSummary(
        source=name,
        n_explained=len(labels),
        n_features=width if isinstance(width, int) else max(labels) + 1,
        corpus=str(metadata.get("corpus")),
        documents=documents,
        unchanged=unchanged,
    )


def _documents(metadata: Mapping[str, Any], folder: Path) -> tuple[int, int]:
    """Documents of the examples: ordinal of the first, and the one behind the last."""
    try:
        first, stop = metadata["documents"]
        return int(first), int(stop)
    except (KeyError, TypeError, ValueError) as e:
        raise ArtifactError(
            f"the examples in {folder} do not say which documents they are from; gather them "
            "again with --examples"
        ) from e


def _check_apart(folder: Path, first: int, stop: int) -> None:
    """Refuse examples from documents that have been counted since."""
    if not has_manifest(folder):
        return
    manifest = Manifest.load(folder)
    if any(part.first < stop and first < part.stop for part in manifest.parts):
        raise ArtifactError(
            f"{folder}: the examples are from documents {first} to {stop - 1}, but documents up "
            f"to {manifest.parts[-1].stop - 1} have been counted since; start the `sfal cooc` "
            "command with --examples again, so that labels and counts come from different text"
        )


def _explanations_there(folder: Path, force: bool) -> "pa.Table | None":
    """Explanations on disk; refused if they are of another kind and not to be replaced."""
    if not (folder / EXPLANATIONS).exists():
        return None
    try:
        there = read_explanations(folder)
    except ArtifactError:
        if force:
            return None
        raise
    others = [kind for kind in kinds(there) if kind != (TOP_TOKENS, LABEL_EXPLAINER)]
    if others and not force:
        raise InvalidInputError(
            f"{folder.name} is explained already: {len(there):,} features, by "
            f"{', '.join(f'{explainer} ({type_})' for type_, explainer in others[:5])}; "
            "--force replaces these by labels of top tokens"
        )
    return there
