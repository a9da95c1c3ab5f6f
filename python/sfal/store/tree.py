"""Which folders of a data tree are sources."""

import re
from collections.abc import Iterator
from pathlib import Path

from sfal.store.npz import PATTERN
from sfal.store.paths import EXPLANATIONS, EXPORT, MANIFEST, RUNS
from sfal.store.published import FAMILIES

_DEPTH = 3
"""Sources lie two levels below the root; names given by hand may be one more or less."""


def source_folders(data_dir: Path) -> Iterator[Path]:
    """Folders of sources: the outermost ones that hold data of their own.

    Parameters
    ----------
    data_dir : Path
        Root of our data tree, of the published one, or of both.

    Yields
    ------
    Path
        In alphabetical order at each level.
    """
    level = [data_dir]
    for depth in range(_DEPTH):
        below: list[Path] = []
        for parent in level:
            for folder in subfolders(parent):
                published = parent.name in FAMILIES and re.match(r"\d", folder.name)
                if published or _holds_data(folder) or (depth and _holds_embeddings(folder)):
                    yield folder
                else:
                    below.append(folder)
        level = below


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder, hidden ones left out; none where it cannot be read."""
    try:
        return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError:
        return []


def _holds_data(folder: Path) -> bool:
    return (
        (folder / MANIFEST).exists()
        or (folder / EXPLANATIONS).exists()
        or (folder / EXPORT).is_dir()
        or (folder / RUNS).is_dir()
        or any(folder.glob(PATTERN))
    )


def _holds_embeddings(folder: Path) -> bool:
    return any(any(folder.glob(f"{level}*_embeddings.*")) for level in ("*/", "*/*/"))
