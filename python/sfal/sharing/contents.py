"""Which files of a source are shared, here and in a repository."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from sfal.errors import ArtifactError, CorruptError, InvalidInputError, SfalError
from sfal.scoring.reliability.replicate_tables import read_replicates
from sfal.store.embeddings import SUFFIX, read_vectors
from sfal.store.examples import iterate_examples
from sfal.store.explanations import read_explanations
from sfal.store.layout import (
    EXAMPLES,
    EXPLANATIONS,
    MANIFEST,
    OCCURRENCES,
    REPLICATES,
    RUNS,
    SCORES,
    PartName,
    check_name,
)
from sfal.store.manifest import Manifest
from sfal.store.scores import read_scores
from sfal.store.verify import check_part_content

Kind = Literal["explanations", "embeddings", "scores", "examples"]
"""What may be shared along with the counts."""
KINDS: tuple[Kind, ...] = get_args(Kind)
USUAL: tuple[Kind, ...] = ("explanations", "embeddings", "scores")
"""What is shared unless something else is said: examples quote the corpus, others do not."""

_AT_MOST = 1 << 20
_PER_FEATURE = 1 << 16
"""Bytes of a file per feature: enough for vectors of 16,384 numbers."""
_PER_WINDOW, _PER_OCCURRENCE = 32, 8


@dataclass(frozen=True)
class Item:
    """A file of a source that can be shared."""

    path: str
    """Path inside the source's folder, with / between components."""
    kind: Kind | Literal["manifest", "part"]
    """What it holds."""
    run: str | None = None
    """The further run that it belongs to; None: the first run, or the source itself."""

    @property
    def name(self) -> str:
        """File name."""
        return self.path.rpartition("/")[2]


def item_of(path: str) -> Item | None:
    """Return the item that a path inside a source's folder names; None if it names none.

    A path that could leave the folder, or reach a hidden file, names none.
    """
    try:
        check_name(path, "file")
    except InvalidInputError:
        return None
    run, rest = None, path.split("/")
    if rest[0] == RUNS:
        if len(rest) < 3:
            return None
        run, rest = rest[1], rest[2:]
    match rest:
        case [name] if name == MANIFEST:
            return Item(path, "manifest", run)
        case [folder, name] if folder == OCCURRENCES and PartName.parse(name):
            return Item(path, "part", run)
        case [name] if name in (SCORES, REPLICATES):
            return Item(path, "scores", run)
        case _ if run is not None:
            return None
        case [name] if name in (EXPLANATIONS, EXAMPLES):
            return Item(path, "explanations" if name == EXPLANATIONS else "examples")
        case [folder, *_, name] if name.endswith(SUFFIX) and folder != OCCURRENCES:
            return Item(path, "embeddings")
    return None


def run_path(run: str | None) -> str:
    """Return the path of a run's folder inside its source's, with a / at its end if it has one."""
    return "" if run is None else f"{RUNS}/{run}/"


def part_paths(run: str | None, manifest: Manifest) -> list[str]:
    """Return the paths of a run's parts inside its source's folder."""
    return [f"{run_path(run)}{OCCURRENCES}/{part.file}" for part in manifest.parts]


def chosen_kinds(include: Iterable[str] | None) -> frozenset[Kind]:
    """Return the kinds that a request names.

    Raises
    ------
    InvalidInputError
        If one is not a kind.
    """
    names = USUAL if include is None else tuple(include)
    for name in names:
        if name not in KINDS:
            raise InvalidInputError(
                f"{name!r} cannot be shared along with the counts",
                hint=f"$include takes {', '.join(KINDS)}",
            )
    return frozenset(kind for kind in KINDS if kind in names)


def check_item(item: Item, folder: Path, manifest: Manifest) -> None:
    """Read a file with its own reader, which refuses anything else; nothing in it is executed.

    Parameters
    ----------
    item : Item
        The file.
    folder : Path
        The source's folder, or another one with the same files.
    manifest : Manifest
        Of the run that the file belongs to.

    Raises
    ------
    ArtifactError
        If it is missing, damaged, of another layout, or not of this run.
    """
    path = folder / item.path
    if item.kind == "part":
        run_folder = path.parent.parent
        part = next(part for part in manifest.parts if part.file == item.name)
        check_part_content(run_folder, part, manifest)
    elif item.kind == "explanations":
        read_explanations(path.parent)
    elif item.kind == "embeddings":
        read_vectors(path)
    elif item.kind == "examples":
        for _ in iterate_examples(path.parent):
            pass
    elif item.name == REPLICATES:
        read_replicates(path.parent)
    elif item.kind == "scores":
        read_scores(path.parent)


def most_bytes(item: Item, manifest: Manifest) -> int:
    """Return the bytes that a file of a run may have, whatever else it claims."""
    if item.kind == "part":
        counts = next(part for part in manifest.parts if part.file == item.name).counts
        return _AT_MOST + _PER_WINDOW * counts.windows + _PER_OCCURRENCE * counts.occurrences
    return _AT_MOST + _PER_FEATURE * manifest.n_features


def check_shareable(manifest: Manifest, where: str) -> None:
    """Refuse a run that is not complete, or is a shard.

    Raises
    ------
    ArtifactError
        The message names what is missing.
    """
    if manifest.settings.get("shard"):
        raise ArtifactError(
            f"{where} is a shard", hint="join it with the others by $do_merge first"
        )
    if not manifest.complete:
        first, stop = manifest.gaps[0]
        raise ArtifactError(
            f"{where} is not complete: documents {first} to {stop - 1} are not counted yet",
            hint="finish it first; $do_count with the same settings continues it",
        )


def located(error: SfalError, source: str) -> CorruptError:
    """Return an error about a file of somebody else's, without advice to make it again."""
    return CorruptError(f"{source}: {error.message}", hint="nothing of it has been taken over")
