"""Which folders of a data tree belong to sources."""

import re
from collections.abc import Iterator
from pathlib import Path

from sfal.store.layout import EXPLANATIONS, EXPORT, MANIFEST, RUNS
from sfal.store.published.histogram import PATTERN
from sfal.store.published.layout import FAMILIES

_DEPTH = 3
"""Sources lie two levels below the root; a name chosen by hand may be one more or one less."""


def find_source_folders(root: Path) -> Iterator[Path]:
    """Find the folders of sources: the outermost ones that hold data themselves.

    Parameters
    ----------
    root : Path
        Root of our data tree, of the published one, or of both.

    Yields
    ------
    Path
        In alphabetical order at each level.
    """
    level = [root]
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
    """Return the folders in a folder except hidden ones; none if it cannot be read."""
    try:
        return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError:
        return []


def is_source_folder(folder: Path) -> bool:
    """Return whether a folder holds a run, explanations or a histogram."""
    return (
        (folder / MANIFEST).exists()
        or (folder / EXPLANATIONS).exists()
        or any(folder.glob(PATTERN))
    )


def _holds_data(folder: Path) -> bool:
    return is_source_folder(folder) or (folder / EXPORT).is_dir() or (folder / RUNS).is_dir()


def _holds_embeddings(folder: Path) -> bool:
    return any(any(folder.glob(f"{level}*_embeddings.*")) for level in ("*/", "*/*/"))
