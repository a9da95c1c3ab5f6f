"""What was done with explanations, as text for the terminal."""

from typing import TYPE_CHECKING

from sfal.terminal.units import counted

if TYPE_CHECKING:
    from sfal.embeddings.import_vectors import ImportSummary
    from sfal.embeddings.source_embeddings import EmbeddedSummary
    from sfal.explanations.chosen_summary import ChosenSummary
    from sfal.explanations.label_audit import LabelAudit


def chosen_text(summary: "ChosenSummary") -> str:
    """Describe what was chosen for a source, what was left out, and how the labels are."""
    kinds = "; ".join(f"{t} by {e} {n:,}" for t, e, n in summary.kinds[:5])
    lines = [
        f"{summary.source}: {summary.n_chosen:,} of {summary.n_features:,} features explained, "
        f"{summary.n_missing:,} not ({kinds})" + (", unchanged" if summary.unchanged else "")
    ]
    if summary.n_duplicates:
        verb = "repeats" if summary.n_duplicates == 1 else "repeat"
        lines.append(f"  {counted(summary.n_duplicates, 'record')} {verb} another")
    if summary.left_out:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in summary.left_out.items())
        lines.append(f"  left out: {reasons}")
    audit = audit_text(summary.audit)
    if audit:
        lines.append(f"  labels: {audit}")
    return "\n".join(lines)


def audit_text(audit: "LabelAudit") -> str:
    """Describe what is wrong with labels as texts, on one line; empty if nothing is.

    Examples
    --------
    >>> from sfal.explanations.label_audit import LabelAudit
    >>> audit_text(LabelAudit(n_leaks=3, n_duplicates=20, openings=(("references to", 0.19),)))
    '3 are reasoning or prompts of the explainer, 20 share their text, 19% begin “references to”'
    """
    found = []
    if audit.n_leaks:
        verb = "is" if audit.n_leaks == 1 else "are"
        found.append(f"{audit.n_leaks:,} {verb} reasoning or prompts of the explainer")
    if audit.n_duplicates:
        found.append(f"{audit.n_duplicates:,} share their text")
    if audit.n_empty:
        found.append(f"{audit.n_empty:,} {'is' if audit.n_empty == 1 else 'are'} empty")
    found += [f"{share:.0%} begin “{opening}”" for opening, share in audit.openings[:3]]
    return ", ".join(found)


def embedded_text(summary: "EmbeddedSummary") -> str:
    """Describe what was embedded of a source."""
    leaks = (
        f", {summary.n_leaks:,} left out as reasoning or prompts of the explainer"
        if summary.n_leaks
        else ""
    )
    if summary.skipped:
        return f"{summary.source}: already embedded by {summary.embedder}{leaks}"
    missing = f", {summary.n_missing:,} without a vector" if summary.n_missing else ""
    return f"{summary.source}: {summary.n_vectors:,} embedded by {summary.embedder}{missing}{leaks}"


def imported_text(summary: "ImportSummary") -> str:
    """Describe what was imported for a source."""
    missing = f", {counted(summary.n_missing, 'row')} without a vector" if summary.n_missing else ""
    return (
        f"{summary.source}: {counted(summary.n_vectors, 'vector')} of {summary.dimension:,} numbers imported "
        f"as {summary.embedder}{missing}" + (", unchanged" if summary.unchanged else "")
    )
