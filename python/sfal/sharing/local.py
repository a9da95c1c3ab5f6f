"""A source on this machine, as it can be shared: complete runs, whole files."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sfal.errors import ArtifactError, CombinedError, MissingError, SfalError
from sfal.io.atomic import is_read_only
from sfal.io.lock import folder_lock
from sfal.sharing.contents import Item, Kind, check_item, check_shareable, item_of, part_paths
from sfal.sharing.manifests import public
from sfal.store.layout import MANIFEST
from sfal.store.manifest import Manifest
from sfal.store.source_folder import SourceFolder


@dataclass(frozen=True)
class LocalSource:
    """What of a source is shared."""

    name: str
    """Name of the source."""
    folder: Path
    """Its folder."""
    runs: dict[str | None, Manifest]
    """Manifests as they are shared, by the name of the run; None: the first run."""
    items: tuple[Item, ...]
    """Files, without the manifests, in alphabetical order."""

    def manifest_of(self, item: Item) -> Manifest:
        """Return the manifest of the run that a file belongs to, or else of the first one."""
        return self.runs[item.run if item.run in self.runs else next(iter(self.runs))]


def read_local(root: Path, name: str, kinds: frozenset[Kind]) -> LocalSource:
    """Find what of a source can be shared, and check every byte of it.

    Shards are left out: they are in the run that they were joined into.

    Parameters
    ----------
    root : Path
        Root of the data tree.
    name : str
        Name of the source.
    kinds : set of str
        What to share along with the counts.

    Raises
    ------
    MissingError
        If nothing has been counted.
    ArtifactError
        If a run is not complete, or a file is damaged (:class:`CombinedError`
        for several).
    """
    source = SourceFolder.open(root, name)
    runs: dict[str | None, Manifest] = {}
    shards = 0
    for run in source.all_runs:
        manifest = run.manifest
        if manifest is None:
            continue
        if manifest.settings.get("shard"):
            shards += 1
            continue
        check_shareable(manifest, str(run.path))
        runs[None if run is source else run.path.name] = public(manifest)
    if not runs:
        if shards:
            raise MissingError(
                f"{source.path} holds {shards} shards and no whole run",
                hint="join them by $do_merge first",
            )
        raise MissingError(f"{name} has not been counted", hint="$do_count for its model")
    parts = {path for run, manifest in runs.items() for path in part_paths(run, manifest)}
    items = [
        item
        for item in _items(source.path)
        if (item.path in parts if item.kind == "part" else item.kind in kinds)
        and (item.run is None or item.run in runs)
    ]
    missing = parts - {item.path for item in items}
    if missing:
        raise MissingError(
            f"{source.path / min(missing)} is missing", hint="$do_redo counts its documents again"
        )
    found = LocalSource(name, source.path, runs, tuple(items))
    _check(found)
    return found


@contextmanager
def held(folders: Sequence[Path], root: Path, *, writing: bool) -> Iterator[None]:
    """Hold folders for this process, so that nobody changes them meanwhile.

    Parameters
    ----------
    folders : sequence of Path
        Folders of runs.
    root : Path
        Root of the data tree.
    writing : bool
        Whether they will be written to. If not, a folder that nobody can write
        to need not be held.

    Raises
    ------
    LockedError
        If another process holds one of them.
    """
    with ExitStack() as locks:
        for folder in folders:
            try:
                locks.enter_context(folder_lock(folder, root))
            except ArtifactError as e:
                if writing or not is_read_only(e):
                    raise
        yield


def _items(folder: Path) -> Iterator[Item]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        item = item_of(path.relative_to(folder).as_posix())
        if item is not None and item.name != MANIFEST:
            yield item


def _check(source: LocalSource) -> None:
    """Refuse damaged files, all of them at once."""
    problems: list[SfalError] = []
    for item in source.items:
        try:
            check_item(item, source.folder, source.manifest_of(item))
        except SfalError as e:
            problems.append(e)
    if problems:
        raise problems[0] if len(problems) == 1 else CombinedError(problems)
