"""What was chosen for a source, as the commands report it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sfal.errors import Note
from sfal.explanations.label_audit import LabelAudit, audit_explanations
from sfal.io.arrow import to_numpy
from sfal.store.explanations import kinds
from sfal.store.source_folder import SourceFolder

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ChosenSummary:
    """What was chosen for a source."""

    source: str
    """Name of the source."""
    n_chosen: int
    """Number of features with an explanation."""
    n_features: int
    """Number of features of the SAE; if unknown, the highest explained index plus 1."""
    kinds: tuple[tuple[str, str, int], ...]
    """(type, explainer, number of features), the most frequent first."""
    n_duplicates: int
    """Records left out because they repeat another."""
    left_out: Mapping[str, int]
    """Unusable records, by reason."""
    n_fetched: int
    """Batches fetched by this call."""
    unchanged: bool
    """Whether the file on disk already had this content."""
    audit: LabelAudit = field(default_factory=LabelAudit)
    """What is wrong with the chosen explanations as texts."""
    notes: tuple[Note, ...] = ()
    """What the user should know about the file that they come from."""

    @property
    def n_missing(self) -> int:
        """Number of features without an explanation."""
        return self.n_features - self.n_chosen


def _stored_notes(metadata: Mapping[str, Any]) -> tuple[Note, ...]:
    """Return what was said about the user's file; notes on an export are made again each time."""
    if "file" not in metadata.get("origin", {}):
        return ()
    return tuple(Note(str(text)) for text in metadata.get("notes") or ())


def summary_of(
    source: SourceFolder,
    table: "pa.Table",
    metadata: Mapping[str, Any],
    n_fetched: int,
    *,
    unchanged: bool,
) -> ChosenSummary:
    """Return the summary of a source's explanations as they are on disk.

    Parameters
    ----------
    source : SourceFolder
        The source.
    table : Table
        The explanations.
    metadata : mapping
        What they were written with.
    n_fetched : int
        Batches fetched for them.
    unchanged : bool
        Whether the file on disk already had this content.
    """
    highest = int(to_numpy(table.column("feature"))[-1]) + 1
    return ChosenSummary(
        source=source.name,
        n_chosen=len(table),
        n_features=source.n_features or highest,
        kinds=tuple((t, e, n) for (t, e), n in kinds(table).most_common()),
        n_duplicates=int(metadata.get("n_duplicates", 0)),
        left_out=dict(metadata.get("left_out", {})),
        n_fetched=n_fetched,
        unchanged=unchanged,
        audit=audit_explanations(table),
        notes=_stored_notes(metadata),
    )
