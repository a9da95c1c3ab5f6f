"""Which folders of a data tree are sources."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sfal.errors import SfalError
from sfal.store.layout import EXPLANATIONS, EXPORT, MANIFEST, RUNS
from sfal.store.manifest import Manifest, has_manifest
from sfal.store.published.histogram import PATTERN
from sfal.store.published.layout import FAMILIES

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


def source_at(folder: Path) -> tuple[Path, str] | None:
    """Data folder and name of the source whose folder, or run's folder, this is; None if of none.

    The name is that of its manifest, else its last two parts.
    """
    marks = (folder / MANIFEST, folder / EXPLANATIONS)
    if not any(path.exists() for path in marks) and not any(folder.glob(PATTERN)):
        return None
    full = folder.resolve()
    if full.parent.name == RUNS:
        full = full.parent.parent
    parts = 2
    with suppress(SfalError):
        told = Manifest.load(full).source.get("name") if has_manifest(full) else None
        if isinstance(told, str) and full.parts[-told.count("/") - 1 :] == tuple(told.split("/")):
            parts = told.count("/") + 1
    root = full.parents[min(parts, len(full.parents)) - 1]
    return root, full.relative_to(root).as_posix()


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
