"""``controls.json``: how well planted errors were found, kept beside the scores that this is about."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sfal.errors import CorruptError, MissingError
from sfal.io.atomic import read_json, sha256_file, write_json
from sfal.store.layout import CONTROLS, SCORES


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
