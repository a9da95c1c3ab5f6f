"""Checking runs on disk against their manifests."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sfal.errors import ArtifactError, InvalidInputError, SfalError
from sfal.io.atomic import sha256_file
from sfal.store.embeddings import find_vectors, read_vectors
from sfal.store.examples import iterate_examples
from sfal.store.explanations import read_explanations
from sfal.store.layout import EXAMPLES, EXPLANATIONS, MANIFEST, SCORES
from sfal.store.manifest import Manifest
from sfal.store.parts import read_part


@dataclass(frozen=True)
class Checked:
    """What was found in the folder of one run."""

    folder: Path
    """The folder."""
    n_files: int
    """Files checked."""
    complete: bool
    """Whether all documents asked for have been counted."""
    problems: tuple[str, ...]
    """What is wrong, a file each."""


def verify_tree(root: Path) -> Iterator[Checked]:
    """Check every run in a folder and below it, read-only.

    Raises
    ------
    ArtifactError
        If there is no run at all.
    """
    if not root.is_dir():
        raise InvalidInputError(f"{root} is no folder")
    found = False
    for path in sorted(root.rglob(MANIFEST)):
        found = True
        yield verify_run(path.parent)
    if not found:
        raise ArtifactError(f"no {MANIFEST} in {root} or below: nothing has been counted there")


def verify_run(folder: Path) -> Checked:
    """Check one run: its manifest, its parts, its histogram; and what else lies in its folder.

    That is explanations, vectors, examples and scores.
    """
    try:
        manifest = Manifest.load(folder)
    except ArtifactError as e:
        return Checked(folder, 1, False, (str(e),))
    problems = []
    for part in manifest.parts:
        try:
            windows = read_part(folder, part)
        except ArtifactError as e:
            problems.append(f"{e} (documents {part.first} to {part.stop - 1})")
            continue
        if windows.indices.size and int(windows.indices.max()) >= manifest.n_features:
            problems.append(
                f"{part.file} names feature {int(windows.indices.max())}, "
                f"but the SAE has {manifest.n_features}"
            )
    checks: list[Callable[[], object]] = [
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
            problems.append(str(e))
    n_files = 1 + len(manifest.parts) + len(checks)
    return Checked(folder, n_files, manifest.complete, tuple(problems))


def _histograms(folder: Path, manifest: Manifest) -> list[Path]:
    """The run's histogram; none where it went elsewhere and is not there."""
    if manifest.histogram is None:
        return []
    # The tree may have been moved since; then the file lies in it, or was taken elsewhere.
    folders = (Path(manifest.volatile.get("histogram_folder", folder)), folder)
    found = [place / manifest.histogram["file"] for place in folders]
    return [path for path in found if path.is_file()][:1]


def _check_histogram(path: Path, manifest: Manifest) -> None:
    if manifest.histogram is not None and sha256_file(path) != manifest.histogram["sha256"]:
        raise ArtifactError(
            f"{path} is damaged; the same `sfal cooc` command with --resume writes it anew"
        )


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
        line = (str(e).splitlines() or [type(e).__name__])[0][:200]
        raise ArtifactError(
            f"{path} cannot be read as Parquet ({line}); `sfal score` writes it anew"
        ) from e
