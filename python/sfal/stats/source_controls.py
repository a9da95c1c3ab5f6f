"""Controls of a source on disk: one for each set of its embeddings; results are kept there."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sfal.errors import ArtifactError, CorruptError, MissingError, Note
from sfal.io.atomic import read_json, sha256_file, write_json
from sfal.scoring.inputs import open_counts, read_embeddings
from sfal.scoring.selection import EmbeddingsFile, SourceInput
from sfal.scoring.tables.stored import stored_leaks
from sfal.stats.controls import Controls, controls
from sfal.store.layout import CONTROLS, SCORES
from sfal.store.scores import read_score_facts

if TYPE_CHECKING:
    import pyarrow as pa

Named = tuple[str, Controls]
"""A set of labels, by embedder and explanations, and its controls."""


@dataclass(frozen=True)
class PlantedResult:
    """What label fit made of labels that were exchanged, for one set of embeddings."""

    embedding: str
    """Embedder."""
    stem: str
    """``{type}_{explainer}`` of the explanations."""
    share: float
    """Share of the labels that was exchanged."""
    seed: int
    """Seed of the random numbers."""
    n: int
    """Features with a label."""
    n_wrong: int
    """Features whose label was exchanged for another one."""
    auc: float | None
    """Probability that a wrong label has a higher label_rank than a right one; None if either is
    missing."""
    in_ten_best: float | None
    """Share of the wrong ones whose own label is among the ten that fit best; None if none is wrong."""


def controls_of_source(
    source: SourceInput,
    *,
    top_n: int = 1023,
    n_windows: int | None = None,
    share: float = 0.05,
    seed: int = 0,
) -> tuple[list[Named], tuple[Note, ...]]:
    """Run the controls on every set of a source's embeddings.

    Where the scores on disk rank features in the same way, the results are kept beside them, in
    ``controls.json``.

    Parameters
    ----------
    source : SourceInput
        As :func:`sfal.scoring.selection.select_sources` finds it.
    top_n : int
        Neighbours per feature that carry a gain.
    n_windows : int, optional
        Number of windows, for histograms that do not state it.
    share, seed
        As in :func:`sfal.stats.controls.controls`.

    Returns
    -------
    found : list of (str, Controls)
    notes : tuple of Note
        What the user should know about the embeddings and the counts.

    Raises
    ------
    SfalError
        If the counts or the embeddings cannot be read, or too few features can be compared.
    """
    counts = open_counts(source.run_folder, n_windows)
    occurrences = counts.load()
    found: list[Named] = []
    notes: list[Note] = []
    planted: list[PlantedResult] = []
    leaks = stored_leaks(source)
    for file in source.embeddings:
        embeddings = read_embeddings(source, file, counts.n_features, leaks)
        one = controls(
            occurrences, embeddings.matrix, embeddings.explained, top_n, share=share, seed=seed
        )
        found.append((file.title, one))
        planted.append(_result(file, one, share, seed))
        notes += embeddings.notes
    if found and found[0][1].permuted_occurrences != found[0][1].permuted_occurrences:
        notes.append(
            Note(
                f"{counts.path} is a histogram, which does not say in which windows features occur: "
                "these were not permuted"
            )
        )
    if _are_of_the_scores(source, top_n):
        try:
            write_planted(source.run_folder, planted)
        except ArtifactError as e:
            notes.append(Note(f"the results were not kept: {e.message}", e.hint))
    return found, tuple(notes)


def _are_of_the_scores(source: SourceInput, top_n: int) -> bool:
    """Return whether the scores on disk rank features as the controls do."""
    facts = read_score_facts(source.run_folder)
    rules = {"top_n": top_n, "candidates": "comparable", "ties": "average", "measure": "phi"}
    return all(facts.get(name) == value for name, value in rules.items())


def _result(file: EmbeddingsFile, one: Controls, share: float, seed: int) -> PlantedResult:
    auc, in_ten_best = (
        None if value != value else value for value in (one.planted.auc, one.planted.in_ten_best)
    )
    return PlantedResult(
        file.embedder, file.stem, share, seed, one.planted.n, one.planted.n_wrong, auc, in_ten_best
    )


def controls_table(found: Sequence[Named]) -> "pa.Table":
    """Return one row for each set of labels, for a file."""
    import pyarrow as pa

    return pa.concat_tables(one.table(labels=name) for name, one in found)


def write_planted(run_folder: Path, results: Sequence[PlantedResult]) -> None:
    """Keep results beside the scores of a run; those of other embeddings stay if they still hold.

    Raises
    ------
    MissingError
        If the run has not been scored.
    ArtifactError
        If the file cannot be written.
    """
    scores = sha256_file(run_folder / SCORES)
    try:
        kept = {(one.embedding, one.stem): one for one in read_planted(run_folder)}
    except CorruptError:
        kept = {}
    kept |= {(one.embedding, one.stem): one for one in results}
    planted = [asdict(one) for one in kept.values()]
    write_json(run_folder / CONTROLS, {"scores_sha256": scores, "planted": planted})


def read_planted(run_folder: Path) -> tuple[PlantedResult, ...]:
    """Read how well planted errors were found in a run.

    Parameters
    ----------
    run_folder : Path
        Folder of a source, or of a further run.

    Returns
    -------
    results : tuple of PlantedResult
        One for each set of embeddings that controls ran on; empty if none did, or if the scores have
        changed since.

    Raises
    ------
    CorruptError
        If the file is damaged.
    ArtifactError
        If it cannot be read.
    """
    path = run_folder / CONTROLS
    try:
        found = read_json(path)
        scores = sha256_file(run_folder / SCORES)
    except MissingError:
        return ()
    try:
        results = tuple(_parse(one) for one in found["planted"])
        belong = found["scores_sha256"] == scores
    except (KeyError, TypeError, ValueError) as e:
        raise CorruptError(
            f"{path} is damaged", hint="delete it; it holds only results of controls"
        ) from e
    return results if belong else ()


def _parse(value: object) -> PlantedResult:
    if not isinstance(value, dict):
        raise TypeError(value)
    one = PlantedResult(**value)
    texts, counts = (one.embedding, one.stem), (one.seed, one.n, one.n_wrong)
    shares = [share for share in (one.share, one.auc, one.in_ten_best) if share is not None]
    if not (
        all(isinstance(text, str) for text in texts)
        and all(type(count) is int for count in counts)
        and all(type(share) in (int, float) and 0 <= share <= 1 for share in shares)
    ):
        raise ValueError(value)
    return one
