"""Fetch a source from a repository of the hub."""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from sfal.errors import ArtifactError, CorruptError, InvalidInputError, MissingError
from sfal.io.atomic import atomic_path, sha256_file
from sfal.io.hub_repository import Repository
from sfal.sharing import manifests
from sfal.sharing.contents import (
    Item,
    Kind,
    check_item,
    check_shareable,
    chosen_kinds,
    item_of,
    located,
    most_bytes,
    part_paths,
)
from sfal.sharing.local import held
from sfal.store.layout import DEFAULT_DATA_DIR, MANIFEST, run_dir
from sfal.store.manifest import Manifest
from sfal.store.run_folder import RunFolder
from sfal.store.source_folder import SourceFolder
from sfal.terminal.progress import progress
from sfal.terminal.units import size_text

STAGING = ".pull"
"""Folder below the data tree for files that have not been checked yet."""
_LISTED = 8
_ELSEWHERE = "pull into another $data_dir, or move yours away"


@dataclass(frozen=True)
class Pulled:
    """What was fetched."""

    source: str
    """Name of the source."""
    folder: Path
    """Its folder."""
    commit: str
    """Commit of the repository."""
    n_fetched: int
    """Files fetched."""
    bytes_fetched: int
    """Their bytes."""
    n_present: int
    """Files that were here already."""


@dataclass(frozen=True)
class _RemoteSource:
    """A source in a repository."""

    name: str
    repository: Repository
    runs: Mapping[str | None, Manifest]
    """Manifests, checked, by the name of the run; None: the first run."""
    items: tuple[Item, ...]
    """Files that are wanted, without the manifests."""

    def path_of(self, item: Item) -> str:
        return f"{self.name}/{item.path}"

    def manifest_of(self, item: Item) -> Manifest:
        return self.runs[item.run if item.run in self.runs else next(iter(self.runs))]


def pull(
    source: str,
    repo: str,
    data_dir: str | Path = DEFAULT_DATA_DIR,
    *,
    include: Iterable[str] | None = None,
    revision: str | None = None,
) -> Pulled:
    """Fetch a source that :func:`push` sent to a data set repository of the Hugging Face hub.

    What is here already is not fetched again, so that a pull that was stopped is
    continued by the same call, and nothing here is overwritten. Every file is
    checked against its hash and read by its own reader before it gets its name;
    the manifest comes last.

    Parameters
    ----------
    source : str
        Name of the source, such as ``gemma-2-2b/0-gemmascope-res-16k``.
    repo : str
        ``OWNER/NAME`` of the repository.
    data_dir : str or Path
        Root of the data tree.
    include : sequence of {"explanations", "embeddings", "scores", "examples"}, optional
        What to fetch along with the counts. Default: all but the examples.
    revision : str, optional
        Commit, branch or tag of the repository.

    Returns
    -------
    Pulled

    Raises
    ------
    InvalidInputError
        If a name cannot be one.
    MissingError
        If the repository has no such source; the message names those that it has.
    CorruptError
        If a file there is damaged, not of SFAL, or contradicts its manifest.
    ArtifactError
        If something else is here under the same name; the message names it.
    DownloadError
        If the hub cannot be reached, or refuses.
    """
    kinds = chosen_kinds(include)
    root = Path(data_dir)
    folder = SourceFolder.open(root, source)
    remote = _find(Repository.open(repo, revision), source, kinds)
    folders = {
        run: folder.path if run is None else run_dir(folder.path, run) for run in remote.runs
    }
    with held(
        [folder.path, *(f for f in folders.values() if f != folder.path)], root, writing=True
    ):
        known = _known_runs(remote, folders)
        wanted = [item for item in remote.items if not _is_here(remote, item, folder.path)]
        _refuse_other_files(remote, wanted, folder.path)
        sizes = {item: remote.repository.files[remote.path_of(item)].size for item in wanted}
        _check_space(root, sum(sizes.values()))
        staging = root / STAGING / source.replace("/", "__")
        with progress(sum(sizes.values()), "fetching", "byte") as bar:
            for item in wanted:
                _take(remote, item, staging, folder.path)
                bar.update(sizes[item])
        new = [run for run in remote.runs if run not in known]
        for run in sorted(new, key=lambda run: (run is None, run)):
            came = {"pulled_from": f"{repo}@{remote.repository.commit}"}
            manifest = remote.runs[run]
            volatile = {**manifest.volatile, **came}
            replace(manifest, volatile=volatile).save(folders[run])
        shutil.rmtree(staging, ignore_errors=True)
        with suppress(OSError):
            staging.parent.rmdir()  # unless another source is being fetched
    n_files = len(remote.items) + len(remote.runs)
    n_fetched = len(wanted) + len(new)
    return Pulled(
        source,
        folder.path,
        remote.repository.commit,
        n_fetched,
        sum(sizes.values()),
        n_files - n_fetched,
    )


def _find(repository: Repository, name: str, kinds: frozenset[Kind]) -> _RemoteSource:
    """Find a source in a repository, and check its manifests and its list of files."""
    found = [
        item
        for path in sorted(repository.files)
        if path.startswith(f"{name}/") and (item := item_of(path.removeprefix(f"{name}/")))
    ]
    runs: dict[str | None, Manifest] = {}
    for item in found:
        if item.kind == "manifest":
            path = f"{name}/{item.path}"
            where = f"{repository.repo_id}/{path}"
            runs[item.run] = manifests.parse(repository.read(path, manifests.MOST_BYTES), where)
            check_shareable(runs[item.run], where.removesuffix(f"/{MANIFEST}"))
    if not runs:
        raise _no_such_source(repository, name)
    parts = {path for run, manifest in runs.items() for path in part_paths(run, manifest)}
    items = tuple(
        item
        for item in found
        if (item.path in parts if item.kind == "part" else item.kind in kinds)
        and (item.run is None or item.run in runs)
    )
    remote = _RemoteSource(name, repository, runs, items)
    missing = parts - {item.path for item in items}
    if missing:
        raise CorruptError(f"{repository.repo_id} lacks {name}/{min(missing)}")
    for item in items:
        _check_listed(remote, item)
    return remote


def _check_listed(remote: _RemoteSource, item: Item) -> None:
    """Refuse a file by what the hub says about it, before it is fetched."""
    listed, manifest = remote.repository.files[remote.path_of(item)], remote.manifest_of(item)
    where = f"{remote.repository.repo_id}/{remote.path_of(item)}"
    if listed.size > most_bytes(item, manifest):
        raise CorruptError(
            f"{where} has {size_text(listed.size)}, more than a file of this run can have"
        )
    if item.kind == "part" and listed.sha256 is not None:
        part = next(part for part in manifest.parts if part.file == item.name)
        if listed.sha256 != part.sha256:
            raise CorruptError(f"{where} is damaged: its bytes are not those of its manifest")


def _known_runs(remote: _RemoteSource, folders: Mapping[str | None, Path]) -> frozenset[str | None]:
    """Return the runs that are here already; refuse different ones."""
    known = set()
    for run, path in folders.items():
        here = RunFolder(path).manifest
        if here is not None:
            manifests.require_same_run(str(path), here, remote.runs[run], _ELSEWHERE)
            known.add(run)
    return frozenset(known)


def _is_here(remote: _RemoteSource, item: Item, folder: Path) -> bool:
    path = folder / item.path
    if not path.is_file():
        return False
    if item.kind == "part":
        part = next(p for p in remote.manifest_of(item).parts if p.file == item.name)
        return sha256_file(path) == part.sha256
    return remote.repository.files[remote.path_of(item)].holds(path)


def _refuse_other_files(remote: _RemoteSource, wanted: Iterable[Item], folder: Path) -> None:
    """Refuse to overwrite a file; a part that is not as its manifest says does not count as one."""
    other = [
        str(folder / item.path)
        for item in wanted
        if item.kind != "part" and (folder / item.path).exists()
    ]
    if other:
        raise ArtifactError(
            f"{', '.join(other)}: {remote.repository.repo_id} has other contents of this name",
            hint=f"{_ELSEWHERE}; $include leaves them out",
        )


def _check_space(root: Path, n_bytes: int) -> None:
    place = next(path for path in (root, *root.resolve().parents) if path.exists())
    free = shutil.disk_usage(place).free
    if n_bytes > free:
        raise ArtifactError(
            f"{size_text(n_bytes)} are to be fetched, and {place} has {size_text(free)} left",
            hint="free some space, or choose another place with $data_dir",
        )


def _take(remote: _RemoteSource, item: Item, staging: Path, folder: Path) -> None:
    """Fetch a file, check what is in it, and give it its place."""
    manifest = remote.manifest_of(item)
    path = remote.path_of(item)
    fetched = remote.repository.fetch(path, staging, most_bytes(item, manifest))
    try:
        check_item(item, staging / remote.name, manifest)
    except ArtifactError as e:
        fetched.unlink(missing_ok=True)
        raise located(e, remote.repository.repo_id) from e
    with atomic_path(folder / item.path) as temporary:
        fetched.replace(temporary)


def _no_such_source(repository: Repository, name: str) -> MissingError:
    names = sorted(_sources(repository))
    if not names:
        return MissingError(f"{repository.repo_id} holds no source of SFAL", hint="check $repo")
    listed = ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")
    return MissingError(f"{repository.repo_id} has no source {name}", hint=f"it has {listed}")


def _sources(repository: Repository) -> Iterator[str]:
    for path in repository.files:
        name, slash, last = path.rpartition("/")
        if slash and last == MANIFEST:
            with suppress(InvalidInputError):
                yield SourceFolder.open(Path(), name.partition("/runs/")[0]).name
