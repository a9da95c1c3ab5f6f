"""What is compared on disk: sets of scores of one source or of several."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sfal.errors import InvalidInputError, MissingError, Note, SfalError
from sfal.scoring.inputs import open_counts, read_embeddings
from sfal.scoring.reliability.replicate_tables import read_replicates
from sfal.scoring.selection import Selection, SourceInput, select_sources
from sfal.scoring.tables.stored import stored_leaks
from sfal.stats.clusters import label_clusters
from sfal.stats.rankings import comparable_features, sfal_among
from sfal.store.scores import ScoreSet, read_scores
from sfal.store.source_folder import SourceFolder

if TYPE_CHECKING:
    import pyarrow as pa

_OWN_RUN = "first run"


@dataclass(frozen=True)
class Side:
    """One set of scores."""

    name: str
    """What sets it apart from the others."""
    table: "pa.Table"
    """Columns feature and sfal at least."""
    halves: NDArray[np.float64] | None = None
    """Shape (8, 2, F): scores of halves of the documents, if there are any."""


@dataclass(frozen=True)
class Sides:
    """What is compared, and which features have similar labels."""

    sides: tuple[Side, ...]
    """Two or more."""
    clusters: NDArray[np.int64] | None
    """Shape (F,): cluster of each feature by the labels of the first side."""
    notes: tuple[Note, ...] = ()
    """What the user should know."""


def choose_set(
    data_dir: Path,
    source: str,
    *,
    embedding: str | None = None,
    explainer: str | None = None,
    run: str | None = None,
) -> ScoreSet:
    """Return the one set of scores of a source that a choice leaves.

    Raises
    ------
    MissingError
        If the source has not been scored.
    InvalidInputError
        If none or several are left; the message lists them.
    """
    found = read_scores(SourceFolder.open(data_dir, source).run(run).path)
    left = [one for one in found if _is_wanted(one, embedding, explainer)]
    if len(left) == 1:
        return left[0]
    raise _wrong_choice(source, found, len(left))


def sides_on_disk(
    data_dir: Path,
    sources: Sequence[str],
    *,
    embeddings: Sequence[str] = (),
    explainers: Sequence[str] = (),
    runs: Sequence[str] = (),
    measures: Sequence[str] = (),
    top_n: int = 1023,
) -> Sides:
    """Find the sets of scores that a request compares.

    Two or more sources, embedders, explainers, runs or measures are compared; of a single source, with
    nothing else given, all of its sets. A single run is compared with the source's first one.

    Parameters
    ----------
    data_dir : Path
        Root of the data tree.
    sources : sequence of str
        Names of sources, whose features are the same.
    embeddings, explainers, runs : sequence of str
        Embedders, explainers, and names of further runs.
    measures : sequence of str
        Measures of co-occurrence. Scores by them are computed here, over the features that fire, but
        not always, and are explained; others are read from ``scores.parquet``.
    top_n : int
        Neighbours that carry a gain, for measures.

    Returns
    -------
    Sides

    Raises
    ------
    MissingError
        If a source has not been scored.
    InvalidInputError
        If nothing or more than one thing varies, or a choice leaves none or several sets.
    """
    given_runs: list[str | None] = [None, *runs] if len(runs) == 1 else list(runs) or [None]
    varying = [
        name
        for name, values in (
            ("sources", sources),
            ("embeddings", embeddings),
            ("explainers", explainers),
            ("runs", given_runs),
            ("measures", measures),
        )
        if len(values) > 1
    ]
    if len(varying) > 1:
        raise InvalidInputError(f"{' and '.join(varying)} vary at once; compare one at a time")
    if len(measures) == 1:
        raise InvalidInputError(
            f"one measure alone, {measures[0]}, has nothing that it is compared with",
            hint="name several as $measure, or none to compare the scores on disk",
        )
    if measures:
        found = _by_measure(
            data_dir, sources[0], embeddings, explainers, given_runs[0], measures, top_n
        )
    elif varying:
        found = [
            _side(data_dir, varying[0], *choice)
            for choice in product(sources, _or_any(embeddings), _or_any(explainers), given_runs)
        ]
    else:
        found = _all_sets(data_dir, sources[0], embeddings, explainers, given_runs[0])
    # A table of scores has a row for every feature, one by a measure for those that it compares.
    n_features = None if measures else len(found[0].table)
    clusters, notes = _clusters(data_dir, sources[0], embeddings, explainers, n_features)
    return Sides(tuple(found), clusters, notes)


def _wrong_choice(source: str, found: Sequence[ScoreSet], n_left: int) -> InvalidInputError:
    there = ", ".join(one.name for one in found) or "none"
    count = f"{n_left} sets" if n_left else "no set"
    return InvalidInputError(
        f"{source} has {count} of scores of the kind wanted; there are {there}",
        hint="choose one with $embeddings or $explainers",
    )


def _or_any(names: Sequence[str]) -> list[str | None]:
    return [*names] if names else [None]


def _side(
    data_dir: Path,
    varying: str,
    source: str,
    embedding: str | None,
    explainer: str | None,
    run: str | None,
) -> Side:
    one = choose_set(data_dir, source, embedding=embedding, explainer=explainer, run=run)
    name = {
        "sources": source,
        "embeddings": one.embedding,
        "explainers": one.explainer,
        "runs": run or _OWN_RUN,
    }[varying]
    folder = SourceFolder.open(data_dir, source).run(run).path
    return Side(name, one.table, _halves(folder, one))


def _all_sets(
    data_dir: Path,
    source: str,
    embeddings: Sequence[str],
    explainers: Sequence[str],
    run: str | None,
) -> list[Side]:
    folder = SourceFolder.open(data_dir, source).run(run).path
    embedding, explainer = (names[0] if names else None for names in (embeddings, explainers))
    found = read_scores(folder)
    sets = [one for one in found if _is_wanted(one, embedding, explainer)]
    if not sets:
        raise _wrong_choice(source, found, 0)
    if len(sets) == 1:
        raise InvalidInputError(
            f"{source} has one set of scores of the kind wanted: {sets[0].name}",
            hint="name a second source, or two $embeddings, $explainers or $measure",
        )
    return [Side(one.name, one.table, _halves(folder, one)) for one in sets]


def _by_measure(
    data_dir: Path,
    source: str,
    embeddings: Sequence[str],
    explainers: Sequence[str],
    run: str | None,
    measures: Sequence[str],
    top_n: int,
) -> list[Side]:
    import pyarrow as pa

    found = _select(data_dir, source, embeddings, explainers, run)
    if len(found.embeddings) > 1:
        there = ", ".join(one.title for one in found.embeddings)
        raise InvalidInputError(
            f"{source} has embeddings {there}", hint="choose one with $embeddings or $explainers"
        )
    counts = open_counts(found.run_folder)
    occurrences = counts.load()
    leaks = stored_leaks(found)
    vectors = read_embeddings(found, found.embeddings[0], counts.n_features, leaks)
    features = comparable_features(occurrences, vectors.explained)
    return [
        Side(
            measure,
            pa.table(
                {
                    "feature": features,
                    "sfal": sfal_among(occurrences, vectors.matrix, features, top_n, measure),
                }
            ),
        )
        for measure in measures
    ]


def _select(
    data_dir: Path,
    source: str,
    embeddings: Sequence[str],
    explainers: Sequence[str],
    run: str | None = None,
) -> SourceInput:
    selection = Selection(
        sources=(source,), embeddings=tuple(embeddings), explainers=tuple(explainers), run=run
    )
    return select_sources(data_dir, selection).sources[0]


def _clusters(
    data_dir: Path,
    source: str,
    embeddings: Sequence[str],
    explainers: Sequence[str],
    n_features: int | None,
) -> tuple[NDArray[np.int64] | None, tuple[Note, ...]]:
    """Cluster features by their labels; without label vectors, features count as independent."""
    try:
        found = _select(data_dir, source, embeddings[:1], explainers[:1])
        if n_features is None:
            n_features = open_counts(found.run_folder).n_features
        vectors = read_embeddings(found, found.embeddings[0], n_features, stored_leaks(found))
    except SfalError as e:
        message = f"intervals take features as independent, and are too narrow: {e.message}"
        return None, (Note(message, e.hint),)
    return label_clusters(vectors.matrix), ()


def _halves(folder: Path, one: ScoreSet) -> NDArray[np.float64] | None:
    """Return the scores of halves of the documents, if they were kept."""
    try:
        found, _facts = read_replicates(folder)
    except MissingError:
        return None
    named = {(half.embedder, half.explainer, half.stem): half.halves for half in found}
    halves = named.get((one.embedding, one.explainer, one.stem))
    return halves if halves is not None and halves.shape[2] == len(one.table) else None


def _is_wanted(one: ScoreSet, embedding: str | None, explainer: str | None) -> bool:
    return embedding in (None, one.embedding, one.embedding.split("/")[-1]) and explainer in (
        None,
        one.explainer,
    )
