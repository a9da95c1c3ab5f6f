"""Send a source to a repository of the hub."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sfal.errors import ArtifactError, InvalidInputError, MissingError, SfalError, UploadError
from sfal.io.hub_repository import MovedError, Repository, check_repo_id
from sfal.sharing import card, manifests
from sfal.sharing.contents import Item, chosen_kinds, item_of, part_paths, run_path
from sfal.sharing.local import LocalSource, held, read_local
from sfal.store.layout import DEFAULT_DATA_DIR, MANIFEST
from sfal.store.source_folder import SourceFolder
from sfal.terminal.progress import progress

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

_TRIES = 5
"""Times that somebody else may change the repository in the middle."""
_IN_ONE_COMMIT = 50
_REPLACE = "$replace puts yours in its place, another $repo keeps both"


@dataclass(frozen=True)
class Pushed:
    """What was sent."""

    source: str
    """Name of the source."""
    url: str
    """Address of the repository."""
    n_sent: int
    """Files sent, without the card."""
    bytes_sent: int
    """Their bytes."""
    n_present: int
    """Files that were there already."""


def push(
    source: str,
    repo: str,
    data_dir: str | Path = DEFAULT_DATA_DIR,
    *,
    include: Iterable[str] | None = None,
    replace: bool = False,
    public: bool = False,
) -> Pushed:
    """Send what was counted for a source to a data set repository of the Hugging Face hub.

    The repository has the folders of the data tree and a card that says what was
    run. It is made if it does not exist. Files that are there already are not
    sent again, so that a push that was stopped is continued by the same call.
    Parts come before the manifest that names them. The account is the one that
    `huggingface_hub` knows, by ``hf auth login`` or ``HF_TOKEN``.

    Parameters
    ----------
    source : str
        Name of the source, such as ``gemma-2-2b/0-gemmascope-res-16k``.
    repo : str
        ``OWNER/NAME`` of the repository.
    data_dir : str or Path
        Root of the data tree.
    include : sequence of {"explanations", "embeddings", "scores", "examples"}, optional
        What to send along with the counts. Default: all but the examples, which
        quote the corpus.
    replace : bool
        Put this source in the place of a different run, or of other
        explanations, embeddings or scores, in the repository.
    public : bool
        Let everybody see a new repository, or agree that an existing one is
        public. Default: only the owner sees it.

    Returns
    -------
    Pushed

    Raises
    ------
    InvalidInputError
        If a name cannot be one, or the repository is public and `public` does
        not say so.
    MissingError
        If nothing has been counted for the source.
    ArtifactError
        If a run is not complete or a file is damaged, or if the repository holds
        something else and `replace` does not say what to do.
    UploadError, DownloadError
        If the hub cannot be reached, or refuses.
    """
    check_repo_id(repo)
    kinds = chosen_kinds(include)
    root = Path(data_dir)
    folder = SourceFolder.open(root, source)
    runs = [run.path for run in folder.all_runs if run.is_started]
    if not runs:
        raise MissingError(f"{source} has not been counted", hint="$do_count for its model")
    with held(runs, root, writing=False):
        local = read_local(root, source, kinds)
        sent: dict[str, int] = {}
        for attempt in range(_TRIES):
            repository = _open(repo, public)
            try:
                url = _send(local, repository, replace, sent)
                break
            except MovedError:
                if attempt == _TRIES - 1:
                    raise
        n_files = len(local.items) + len(local.runs)
    return Pushed(source, url, len(sent), sum(sent.values()), n_files - len(sent))


def _open(repo: str, public: bool) -> Repository:
    found = Repository.find(repo)
    if found is None:
        return Repository.create(repo, private=not public)
    if not found.private and not public:
        raise InvalidInputError(
            f"everybody can see what is sent to {repo}, as it is public",
            hint="agree with $public, or name another $repo",
        )
    return found


def _send(local: LocalSource, repository: Repository, replace: bool, sent: dict[str, int]) -> str:
    """Send what the repository lacks: files, then the manifests and the card in one commit."""
    named, deleted = _changed_manifests(local, repository, replace)
    files = {
        f"{local.name}/{item.path}": local.folder / item.path
        for item in local.items
        if not _is_there(local, item, repository)
    }
    if not replace:
        _refuse_other_files(local, repository, files)
    deleted = [path for path in deleted if path not in files]
    batch: list[CommitOperationAdd] = []
    with progress(sum(path.stat().st_size for path in files.values()), "sending", "byte") as bar:
        for group in repository.send(files):
            batch += group
            bar.update(sum(files[one.path_in_repo].stat().st_size for one in group))
            if len(batch) >= _IN_ONE_COMMIT:
                repository = _commit(local, repository, batch, deleted)
                batch, deleted = [], []
        if batch or deleted:
            repository = _commit(local, repository, batch, deleted)
    sent |= {path: file.stat().st_size for path, file in files.items()}
    _check_arrived(local, repository)
    ending: dict[str, bytes] = dict(named)
    text = _card(local, repository)
    if text is not None:
        ending[card.CARD] = text
    if ending:
        last = [one for group in repository.send(ending) for one in group]
        repository = repository.change(f"Describe {local.name}", last)
    sent |= {path: len(content) for path, content in named.items()}
    return repository.url


def _commit(
    local: LocalSource,
    repository: Repository,
    batch: "list[CommitOperationAdd]",
    deleted: list[str],
) -> Repository:
    return repository.change(f"Add {len(batch)} files of {local.name}", batch, deleted)


def _changed_manifests(
    local: LocalSource, repository: Repository, replace: bool
) -> tuple[dict[str, bytes], list[str]]:
    """Return the manifests to send, and the files of other runs that they replace."""
    named: dict[str, bytes] = {}
    deleted: list[str] = []
    for run, ours in local.runs.items():
        path = f"{local.name}/{run_path(run)}{MANIFEST}"
        where = f"{repository.repo_id}/{path.removesuffix(f'/{MANIFEST}')}"
        if path in repository.files:
            try:
                there = manifests.parse(repository.read(path, manifests.MOST_BYTES), where)
                manifests.require_same_run(where, there, ours, _REPLACE)
                continue
            except ArtifactError as e:
                if not replace:
                    e.hint = _REPLACE
                    raise
            deleted += [path, *_files_of_run(local, repository, run)]
        named[path] = manifests.as_bytes(ours)
    return named, deleted


def _files_of_run(local: LocalSource, repository: Repository, run: str | None) -> Iterator[str]:
    """Yield the files in the repository that belong to a run and are not those here."""
    ours = {item.path for item in local.items}
    for path in repository.files:
        if not path.startswith(f"{local.name}/"):
            continue
        item = item_of(path.removeprefix(f"{local.name}/"))
        made_of_run = item is not None and item.kind in ("part", "scores", "examples")
        if item is not None and made_of_run and item.run == run and item.path not in ours:
            yield path


def _is_there(local: LocalSource, item: Item, repository: Repository) -> bool:
    there = repository.files.get(f"{local.name}/{item.path}")
    return there is not None and there.holds(local.folder / item.path)


def _refuse_other_files(
    local: LocalSource, repository: Repository, files: Mapping[str, Path]
) -> None:
    """Refuse to overwrite anything but parts, which nothing names yet or whose hash is known."""
    parts = {
        f"{local.name}/{path}"
        for run, manifest in local.runs.items()
        for path in part_paths(run, manifest)
    }
    other = [path for path in files if path in repository.files and path not in parts]
    if other:
        raise ArtifactError(
            f"{repository.repo_id} holds other contents of {', '.join(other)}",
            hint=f"{_REPLACE}; $include leaves them out",
        )


def _check_arrived(local: LocalSource, repository: Repository) -> None:
    """Refuse to name parts that the repository does not hold as they were counted."""
    for item in local.items:
        if not _is_there(local, item, repository):
            raise UploadError(
                f"{repository.repo_id} does not hold {local.name}/{item.path} as it was sent",
                hint="repeat $do_again",
            )


def _card(local: LocalSource, repository: Repository) -> bytes | None:
    """Return the card to send; None if it says everything already."""
    before = None
    if card.CARD in repository.files:
        try:
            before = repository.read(card.CARD, card.MOST_BYTES).decode()
        except (SfalError, UnicodeDecodeError):
            return None  # it is somebody else's, and stays as it is
    after = card.updated(before, repository.repo_id, local)
    return None if after == before else after.encode()
