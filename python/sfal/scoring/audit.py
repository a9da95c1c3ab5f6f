"""Which labels are probably wrong, what would fit better, and which are faulty as texts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sfal.errors import MissingError, Note
from sfal.explanations.label_audit import audit_labels, check_leaks
from sfal.io.arrow import to_numpy
from sfal.scoring.inputs import open_counts, read_embeddings
from sfal.scoring.misplaced import chance_note
from sfal.scoring.selection import SourceInput
from sfal.scoring.settings import Measure
from sfal.scoring.tables.stored import stored_leaks, stored_scores
from sfal.store.explanations import TOP_TOKENS
from sfal.store.scores import ScoreSet

if TYPE_CHECKING:
    import pyarrow as pa

    from sfal._core import Histogram, Occurrences

WRONG = "wrong"
"""Problem of a label that fits a feature worse than many others."""
WRONG_P = 0.05
"""`p_label` above which a label is probably wrong: nine in ten right ones lie below."""
RELIABLE = 0.1
"""Noise ceiling below which a feature's co-occurrence says too little to judge its label by."""

_NEEDED = ("label_rank", "p_label", "better_labels", "ceiling")


@dataclass(frozen=True)
class Suspect:
    """A label that is probably wrong."""

    feature: int
    """Index."""
    explanation: str
    """Its label."""
    sfal: float
    """Its score."""
    label_rank: int
    """Labels that fit at least as well, its own included."""
    p_label: float
    """The same over the number of labels."""
    ceiling: float
    """How well its co-occurrence agrees with itself; NaN if unknown."""
    better: tuple[tuple[int, float, str], ...]
    """Feature, score and text of the labels that fit better, best first."""
    neighbours: tuple[str, ...] = ()
    """Labels of the features that it fires with, which say so; for the worst ones only."""


@dataclass(frozen=True)
class FaultyText:
    """A label that is faulty as a text, whatever its feature does."""

    feature: int
    """Index."""
    explanation: str
    """Its label."""
    problem: str
    """``leak``, ``duplicate``, ``empty`` or ``boilerplate``."""
    detail: str
    """What was found."""


@dataclass(frozen=True)
class Audit:
    """What is wrong with the labels of a source."""

    source: str
    """Name of the source."""
    embedder: str
    """Embedder of the labels."""
    explainer: str
    """Who explained."""
    n_labels: int
    """Labels that were compared."""
    n_unreliable: int
    """Features whose co-occurrence says too little, so that they are not among the suspects."""
    suspects: tuple[Suspect, ...]
    """The labels most probably wrong, worst first."""
    texts: tuple[FaultyText, ...]
    """Faulty texts, by feature."""
    notes: tuple[Note, ...] = ()
    """What the user may want to know."""

    @property
    def problems(self) -> dict[str, int]:
        """Faulty texts by problem, the most frequent first."""
        return dict(Counter(text.problem for text in self.texts).most_common())

    def table(self) -> "pa.Table":
        """Return one row per problem: the suspects, worst first, then the texts."""
        import pyarrow as pa

        rows: list[dict[str, Any]] = [_suspect_row(one) for one in self.suspects]
        ranks = {one.feature: row for one, row in zip(self.suspects, rows, strict=True)}
        for text in self.texts:
            known = ranks.get(text.feature, {})
            own = {
                "feature": text.feature,
                "explanation": text.explanation,
                "problem": text.problem,
            }
            rows.append({**known, **own})
        return pa.Table.from_pylist(rows, schema=_schema())


def audit_source(
    source: SourceInput,
    *,
    shown: int = 50,
    n_neighbours: int = 3,
    n_windows: int | None = None,
    leaks: str | None = None,
) -> Audit:
    """Find the labels of a source that are probably wrong, and those that are faulty as texts.

    Parameters
    ----------
    source : SourceInput
        The first of its sets of embeddings is used; it must have been scored.
    shown : int
        Suspects whose neighbours are looked up, the worst ones.
    n_neighbours : int
        Neighbours of each.
    n_windows : int, optional
        Number of windows, for a histogram that does not state it.
    leaks : str, optional
        Insist on scores that ``drop`` leaked labels, so that these are faulty texts only, or ``keep``
        them, so that they are judged like all others. By default either will do.

    Raises
    ------
    MissingError
        If there are no scores, scores of an earlier version without label ranks, or scores that treat
        leaked labels in the other way.
    ArtifactError
        If scores, counts or embeddings cannot be read.
    """
    scores = _scores_of(source)
    table = scores.table
    file = source.embeddings[0]
    known = stored_leaks(source)
    if leaks is not None and leaks != known:
        check_leaks(leaks)
        raise MissingError(
            f"the scores of {source.name} {known} leaked labels",
            hint=f"$do_score({source.name}) with $leaks({leaks}) makes others",
        )
    embeddings = read_embeddings(source, file, len(table), known)
    texts = embeddings.explanations
    rank, p_label, ceiling, sfal = (
        _numbers(table, name) for name in ("label_rank", "p_label", "ceiling", "sfal")
    )
    scored = ~np.isnan(rank)
    # Without any ceiling nothing is known about how reliable co-occurrences are.
    judged = scored & (ceiling >= RELIABLE) if (~np.isnan(ceiling)).any() else scored
    worst = np.flatnonzero(judged & (p_label > WRONG_P))
    worst = worst[np.argsort(-p_label[worst], kind="stable")]
    better = table.column("better_labels").to_pylist()
    measure = scores.facts.get("measure", "phi")
    near = _neighbours(source, worst[:shown], scored, n_neighbours, n_windows, measure)
    suspects = tuple(
        Suspect(
            feature=i,
            explanation=texts.get(i, ""),
            sfal=float(sfal[i]),
            label_rank=int(rank[i]),
            p_label=float(p_label[i]),
            ceiling=float(ceiling[i]),
            better=tuple(
                (one["feature"], one["sfal"], texts.get(one["feature"], "")) for one in better[i]
            ),
            neighbours=tuple(texts.get(j, "") for j in near.get(i, ())),
        )
        for i in worst.tolist()
    )
    return Audit(
        source=source.name,
        embedder=file.embedder,
        explainer=embeddings.explainer,
        n_labels=int(scored.sum()),
        n_unreliable=int((scored & ~judged).sum()),
        suspects=suspects,
        texts=_faulty(texts, file.stem.startswith(f"{TOP_TOKENS}_")),
        notes=(
            *embeddings.notes,
            *_at_chance(source.name, file.embedder, embeddings.explainer, p_label),
            *_not_audited(source),
        ),
    )


def _at_chance(
    source: str, embedder: str, explainer: str, p_label: NDArray[np.float64]
) -> tuple[Note, ...]:
    """Warn if the labels fit no better than chance: then better ones are not better either."""
    note = chance_note(source, embedder, explainer, p_label)
    if note is None:
        return ()
    message = (
        f"{note.message}: label fit needs labels that are mostly right, so do not rely on this list"
    )
    return (Note(message, note.hint),)


def _not_audited(source: SourceInput) -> tuple[Note, ...]:
    """Name the sets of embeddings beside the one that is audited."""
    first, *others = source.embeddings
    if not others:
        return ()
    names = " and ".join(one.title for one in others)
    message = f"{source.name} is audited with {first.title}; it also has {names}"
    return (Note(message, hint="choose with $embeddings or $explainers"),)


def _scores_of(source: SourceInput) -> ScoreSet:
    """Return the scores of the first set of embeddings of a source."""
    again = f"$do_score({source.name}) makes them"
    try:
        scores = stored_scores(source)
    except MissingError as e:
        raise MissingError(e.message, hint=again) from e
    if scores is None:
        file = source.embeddings[0]
        message = f"{source.name} has no scores by {file.title} yet"
        raise MissingError(message, hint=again)
    if not set(_NEEDED) <= set(scores.table.column_names):
        message = f"the scores of {source.name} are of an earlier version, without label ranks"
        raise MissingError(message, hint=again)
    return scores


def _numbers(table: "pa.Table", name: str) -> NDArray[np.float64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    values: NDArray[np.float64] = to_numpy(
        pc.fill_null(table.column(name).cast(pa.float64()), np.nan)
    )
    return values


def _neighbours(
    source: SourceInput,
    features: NDArray[np.int64],
    scored: NDArray[np.bool_],
    n: int,
    n_windows: int | None,
    measure: Measure,
) -> dict[int, list[int]]:
    """Return the nearest functional neighbours, among the scored features, of some features."""
    from sfal import _core

    if not len(features) or n < 1:
        return {}
    counts: Occurrences | Histogram = open_counts(source.run_folder, n_windows).load()
    pool = np.flatnonzero(scored)
    lists, _ = _core.functional_neighbours(counts, n, measure, features, pool)
    return {int(i): near.tolist() for i, near in zip(features, lists, strict=True)}


def _faulty(texts: dict[int, str], quoted: bool) -> tuple[FaultyText, ...]:
    """Return the faulty texts; labels that quote tokens contain no leaks."""
    features: Sequence[int] = sorted(texts)
    found = audit_labels([texts[i] for i in features], features).to_pylist()
    return tuple(
        FaultyText(row["feature"], texts[row["feature"]], row["problem"], row["detail"])
        for row in found
        if not (quoted and row["problem"] == "leak")
    )


def _suspect_row(one: Suspect) -> dict[str, Any]:
    best = one.better[0] if one.better else (None, None, None)
    return {
        "feature": one.feature,
        "explanation": one.explanation,
        "problem": WRONG,
        "label_rank": one.label_rank,
        "p_label": one.p_label,
        "ceiling": None if np.isnan(one.ceiling) else one.ceiling,
        "better_feature": best[0],
        "better_explanation": best[2],
    }


def _schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("feature", pa.uint32(), nullable=False),
            pa.field("explanation", pa.string(), nullable=False),
            pa.field("problem", pa.string(), nullable=False),
            pa.field("label_rank", pa.uint32()),
            pa.field("p_label", pa.float64()),
            pa.field("ceiling", pa.float64()),
            pa.field("better_feature", pa.uint32()),
            pa.field("better_explanation", pa.string()),
        ]
    )
