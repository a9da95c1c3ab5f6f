"""Checking runs on disk against their manifests."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sfal.errors import ArtifactError, InvalidInputError, SfalError
from sfal.store.files import sha256_file
from sfal.store.manifest import Manifest
from sfal.store.parts import read_part
from sfal.store.paths import MANIFEST


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
    """Check one run: its manifest, its parts, its histogram."""
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
    try:
        n_histograms = _check_histogram(folder, manifest)
    except SfalError as e:
        n_histograms = 1
        problems.append(str(e))
    n_files = 1 + len(manifest.parts) + n_histograms
    return Checked(folder, n_files, manifest.complete, tuple(problems))


def _check_histogram(folder: Path, manifest: Manifest) -> int:
    """Number of histograms checked: one, or none where it went elsewhere and is not there."""
    if manifest.histogram is None:
        return 0
    path = Path(manifest.volatile.get("histogram_folder", folder)) / manifest.histogram["file"]
    if not path.is_file():
        # The tree may have been moved since; then the file lies in it, or was taken elsewhere.
        path = folder / manifest.histogram["file"]
        if not path.is_file():
            return 0
    if sha256_file(path) != manifest.histogram["sha256"]:
        raise ArtifactError(f"{path} is damaged; remove it, the same command writes it anew")
    return 1
