"""Checks of runs on disk against their manifests."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sfal.errors import ArtifactError, CorruptError, InvalidInputError, MissingError, SfalError
from sfal.io.atomic import sha256_file
from sfal.io.first_line import first_line
from sfal.store.embeddings import find_vectors, read_vectors
from sfal.store.examples import iterate_examples
from sfal.store.explanations import read_explanations
from sfal.store.layout import EXAMPLES, EXPLANATIONS, MANIFEST, SCORES
from sfal.store.manifest import Manifest, Part
from sfal.store.parts import REDO, read_part


@dataclass(frozen=True)
class Checked:
    """Result of checking the folder of one run."""

    folder: Path
    """The folder."""
    n_files: int
    """Files checked."""
    complete: bool
    """Whether all documents requested have been counted."""
    problems: tuple[SfalError, ...]
    """What is wrong, one error per file."""


def verify_tree(root: Path) -> Iterator[Checked]:
    """Check every run in a folder and below it; nothing is changed.

    Raises
    ------
    InvalidInputError
        If there is no such folder.
    MissingError
        If it contains no run.
    """
    if not root.is_dir():
        raise InvalidInputError(f"{root} is not a folder")
    found = False
    for path in sorted(root.rglob(MANIFEST)):
        found = True
        yield verify_run(path.parent)
    if not found:
        raise MissingError(f"no {MANIFEST} in {root} or below: nothing has been counted there")


def verify_run(folder: Path) -> Checked:
    """Check one run: its manifest, parts and histogram, and what else is in its folder.

    That is explanations, vectors, examples and scores.
    """
    try:
        manifest = Manifest.load(folder)
    except SfalError as e:
        return Checked(folder, 1, False, (e,))
    problems: list[SfalError] = []
    checks: list[Callable[[], object]] = [
        *(partial(check_part_content, folder, part, manifest) for part in manifest.parts),
        *(partial(_check_histogram, path, manifest) for path in _histograms(folder, manifest)),
        *(partial(read_explanations, path.parent) for path in folder.glob(EXPLANATIONS)),
        *(partial(read_vectors, path) for path in find_vectors(folder).values()),
        *(partial(_check_examples, path) for path in folder.glob(EXAMPLES)),
        *(partial(_check_scores, path) for path in folder.glob(SCORES)),
    ]
    for check in checks:
        try:
            check()
        except SfalError as e:
            problems.append(e)
    return Checked(folder, 1 + len(checks), manifest.complete, tuple(problems))


def check_part_content(folder: Path, part: Part, manifest: Manifest) -> None:
    """Check one part of a run: its hash, its layout, its documents and its features.

    Raises
    ------
    MissingError
        If the file does not exist.
    CorruptError
        If anything in it is not as the manifest says.
    """
    try:
        windows = read_part(folder, part)
    except ArtifactError as e:
        documents = f"(documents {part.first} to {part.stop - 1})"
        raise type(e)(f"{e.message} {documents}", hint=e.hint) from e
    if windows.indices.size and int(windows.indices.max()) >= manifest.n_features:
        raise CorruptError(
            f"{part.file} names feature {int(windows.indices.max())}, "
            f"but the SAE has {manifest.n_features}",
            hint=REDO,
        )


def _histograms(folder: Path, manifest: Manifest) -> list[Path]:
    """Return the run's histogram; none if it was written elsewhere and is not there."""
    written = manifest.histogram_file(folder)
    if written is None:
        return []
    # The tree may have been moved since: then the file is in it, or was taken elsewhere.
    return [path for path in (written, folder / written.name) if path.is_file()][:1]


def _check_histogram(path: Path, manifest: Manifest) -> None:
    if manifest.histogram is not None and sha256_file(path) != manifest.histogram.sha256:
        raise CorruptError(f"{path} is damaged", hint="$do_redo writes it again")


def _check_examples(path: Path) -> None:
    for _ in iterate_examples(path.parent):
        pass


def _check_scores(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for _ in file.iter_batches():
                pass
    except (OSError, UnicodeDecodeError, pa.ArrowException) as e:
        raise CorruptError(
            f"{path} cannot be read as Parquet ({first_line(e)})", hint="$do_score writes it again"
        ) from e
