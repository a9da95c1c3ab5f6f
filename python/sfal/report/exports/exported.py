"""What exports write of a source: scores with labels, and both neighbour lists."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sfal.errors import CombinedError, InvalidInputError, Note
from sfal.io.arrow import from_strings
from sfal.report.lists import LONGEST, BothLists, Lists, both_lists
from sfal.report.source_data import open_source
from sfal.scoring.inputs import Embeddings
from sfal.scoring.selection import Selection, SourceInput, select_sources

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Exported:
    """A source with one set of embeddings, read."""

    source: SourceInput
    """The source."""
    scores: "pa.Table"
    """One row for each feature, in order; texts as plain strings."""
    windows: NDArray[np.uint64]
    """Shape (F,): windows in which each feature fires."""
    labels: tuple[str, ...]
    """Label of each feature; empty where it has none."""
    embeddings: Embeddings
    """Vectors of the labels."""
    lists: BothLists
    """Neighbours by phi and by cosine, and the place of each in the other list."""
    notes: tuple[Note, ...]
    """What the user may want to know."""


def read_exported(data_dir: Path, selection: Selection, neighbours: int) -> Exported:
    """Read a source, and list the neighbours of all its features.

    Parameters
    ----------
    data_dir : Path
        Root of the data tree, ours or the published one.
    selection : Selection
        Names one source; the first of its sets of embeddings that are chosen is used.
    neighbours : int
        Neighbours that will be written of each list.

    Raises
    ------
    InvalidInputError
        If lists are not as long as that.
    SfalError
        If there is no such source, it has not been scored, or its files cannot be read.
    """
    if not 1 <= neighbours <= LONGEST:
        raise InvalidInputError(
            f"neighbours is {neighbours}", hint=f"give $neighbours from 1 to {LONGEST}"
        )
    selected = select_sources(data_dir, selection)
    (source,) = selected.sources
    opened = open_source(source)
    if opened.scored[0][0] != source.embeddings[0]:
        # Another set than the one that was meant would be exported.
        refused = opened.refused
        raise refused[0] if len(refused) == 1 else CombinedError(refused)
    _, scores, embeddings = opened.scored[0]
    # The candidates are those of the scores; the columns are phi, whatever the measure was.
    settings = replace(opened.settings, measure="phi")
    (lists,) = both_lists(opened.counted, [embeddings], settings)
    windows = opened.counted.counts()
    return Exported(
        source=source,
        scores=_plain(scores.table),
        windows=windows,
        labels=tuple(embeddings.explanations.get(i, "") for i in range(len(windows))),
        embeddings=embeddings,
        lists=lists,
        notes=(*opened.notes, *embeddings.notes),
    )


def labelled(exported: Exported, name: str) -> "pa.Table":
    """Return the scores with the labels beside the features.

    Parameters
    ----------
    exported : Exported
    name : str
        Name of the column of labels.
    """
    table = exported.scores
    at = table.column_names.index("feature") + 1
    return table.add_column(at, name, from_strings(exported.labels))


def shown(lists: Lists, neighbours: int) -> NDArray[np.bool_]:
    """Return which places of each list are filled; shape (F, `neighbours`)."""
    filled: NDArray[np.bool_] = np.arange(neighbours) < np.minimum(lists.n, neighbours)[:, None]
    return filled


def _plain(table: "pa.Table") -> "pa.Table":
    """Return a table without dictionaries, which not every reader knows."""
    import pyarrow as pa

    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))
