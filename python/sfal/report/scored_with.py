"""What ``scores.parquet`` says about how its scores were made."""

from collections.abc import Mapping, Sequence
from typing import Any

from sfal.errors import ArtifactError, CorruptError, InvalidInputError, Note
from sfal.explanations.label_audit import leak_reason
from sfal.scoring.inputs import CountsInput, Embeddings, open_counts
from sfal.scoring.selection import SourceInput
from sfal.scoring.settings import ScoreSettings
from sfal.scoring.tables.sensitivity_table import read_sensitivity
from sfal.stats.source_controls import read_planted
from sfal.store.scores import ScoreSet

_BEFORE = {"candidates": "all", "ties": "index"}
"""What scores of versions that did not say were made with."""


def settings_of(source: SourceInput, sets: Sequence[ScoreSet]) -> ScoreSettings:
    """Return the settings that a source was scored with.

    Raises
    ------
    CorruptError
        If they are not settings.
    """
    facts = _facts(sets)
    names = ("top_n", "candidates", "ties", "measure", "leaks")
    known = {name: facts[name] for name in names if name in facts}
    try:
        return ScoreSettings(**(_BEFORE | known))
    except (InvalidInputError, TypeError) as e:
        raise CorruptError(
            f"the scores of {source.name} say that they were made in an unknown way ({e})",
            hint=f"$do_score({source.name}) makes them again",
        ) from e


def counts_of(source: SourceInput, sets: Sequence[ScoreSet]) -> CountsInput:
    """Find the counts of a source, also where only its scores say how many windows there are.

    Raises
    ------
    SfalError
        As :func:`sfal.scoring.inputs.open_counts` does.
    """
    try:
        return open_counts(source.run_folder)
    except InvalidInputError:
        n_windows = _facts(sets).get("n_windows")
        if not isinstance(n_windows, int):
            raise
        return open_counts(source.run_folder, n_windows)


def notes_on_counts(source: SourceInput, sets: Sequence[ScoreSet], n_windows: int) -> list[Note]:
    """Say if more was counted after the source was scored."""
    scored = _facts(sets).get("n_windows")
    if not isinstance(scored, int) or scored == n_windows:
        return []
    return [
        Note(
            f"{source.name} was scored with {scored:,} windows and has {n_windows:,} now: scores "
            "and neighbours are of different counts",
            hint=f"$do_score({source.name}) brings the scores up to date",
        )
    ]


def notes_on_leaks(source: SourceInput, embeddings: Embeddings) -> list[Note]:
    """Say if labels were scored that are the explainer's reasoning or prompt."""
    n = sum(leak_reason(text) is not None for text in embeddings.explanations.values())
    if not n:
        return []
    return [
        Note(
            f"{source.name}: {n:,} labels are the explainer's reasoning or prompt, and are scored "
            "all the same",
            hint=f"$do_score({source.name}) with $leaks(drop) leaves them out",
        )
    ]


def unreliable_because(sets: Sequence[ScoreSet]) -> str:
    """Return why nothing is known about how precise the scores are; empty if something is."""
    return str(_facts(sets).get("no_reliability") or "")


def sensitivity_of(source: SourceInput, n_windows: int) -> dict[str, Any] | None:
    """Return how scores depend on choices, if that was computed from the same windows.

    Returns
    -------
    sensitivity : dict or None
        The embedder and stem of the labels, tokens of a window, and rows of measure, metric,
        length of the windows as counted, and correlation (None if there is none).
    """
    try:
        rows, facts = read_sensitivity(source.run_folder)
    except ArtifactError:
        return None
    if {row["n_windows"] for row in rows if row["window"] == 1} != {n_windows}:
        return None
    names = ("measure", "metric", "window", "spearman")
    found = [[row[name] for name in names] for row in rows]
    known = {name: facts.get(name) for name in ("embedding", "stem", "window_size")}
    return {**known, "rows": [[None if v != v else v for v in row] for row in found]}


def planted_auc(source: SourceInput, embedder: str, stem: str) -> float | None:
    """Return how often a label that was exchanged on purpose ranked below a right one.

    Returns
    -------
    auc : float or None
        None unless ``controls.json`` beside the scores says, and is about these scores.
    """
    try:
        found = {(one.embedding, one.stem): one.auc for one in read_planted(source.run_folder)}
    except ArtifactError:
        return None
    return found.get((embedder, stem))


def _facts(sets: Sequence[ScoreSet]) -> Mapping[str, Any]:
    return sets[0].facts if sets else {}
