"""The model hub: files, their sizes and the local cache, with errors worded to help."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sfal.errors import DownloadError, SfalError, UploadError
from sfal.io.hub_timeouts import TooSlowError, bound_waiting


@contextmanager
def hub_errors(what: str, hint: str = "", *, sending: bool = False) -> Iterator[None]:
    """Turn whatever a hub client raises inside the block into one clear error.

    Parameters
    ----------
    what : str
        What is being fetched or sent, such as ``model google/gemma-2-2b``.
    hint : str
        What the user may do instead.
    sending : bool
        Whether it is being sent.

    Raises
    ------
    DownloadError
        For a gated, missing or unreachable repository.
    UploadError
        The same, if something is being sent.
    """
    bound_waiting()
    try:
        yield
    except Exception as e:
        if isinstance(e, SfalError) and not isinstance(e, TooSlowError):
            raise
        reason = _reason(e)
        if reason is None:
            raise
        message, advice = reason
        hint = "; ".join(filter(None, (advice, hint)))
        if sending:
            raise UploadError(f"cannot send {what}: {message}", hint=hint) from e
        raise DownloadError(f"cannot fetch {what}: {message}", hint=hint) from e


def list_files(repo_id: str, revision: str | None = None) -> list[str]:
    """Return the paths of all files in a model repository of the hub."""
    from huggingface_hub import list_repo_files

    with hub_errors(f"the list of files of {repo_id}"):
        return list(list_repo_files(repo_id, revision=revision))


def bytes_to_fetch(repo_id: str, folder: str = "", revision: str | None = None) -> dict[str, int]:
    """Return the files of a model repository, with the bytes that fetching each would take.

    Only the list of files is requested.

    Parameters
    ----------
    repo_id : str
        Repository on the hub.
    folder : str
        Folder of the repository to which the list is limited.
    revision : str, optional
        Commit, branch or tag.

    Returns
    -------
    dict of str to int
        Path -> bytes; 0 for a file in the local cache.

    Raises
    ------
    DownloadError
        If the hub cannot be reached, or refuses.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.file_download import repo_folder_name

    # The cache names contents by their ETag on the hub, whatever commit they belong to.
    repository = repo_folder_name(repo_id=repo_id, repo_type="model")
    blobs = Path(constants.HF_HUB_CACHE) / repository / "blobs"
    with hub_errors(f"the list of files of {repo_id}"):
        about = HfApi().model_info(repo_id, revision=revision, files_metadata=True)
    return {
        file.rfilename: 0
        if (blobs / str(file.lfs.sha256 if file.lfs else file.blob_id)).exists()
        else file.size or 0
        for file in about.siblings or ()
        if file.rfilename.startswith(f"{folder}/" if folder else "")
    }


def cached_files(repo_id: str, folder: str = "", revision: str | None = None) -> list[str]:
    """Return the files of a model repository that are in the local cache, without a request.

    Parameters
    ----------
    repo_id : str
        Repository on the hub.
    folder : str
        Folder of the repository to which the list is limited.
    revision : str, optional
        Commit, branch or tag.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        found = snapshot_download(repo_id, revision=revision, local_files_only=True)
    except (LocalEntryNotFoundError, HFValidationError):
        return []
    root = Path(found)
    below = root / folder
    return [path.relative_to(root).as_posix() for path in below.rglob("*") if path.is_file()]


def is_offline() -> bool:
    """Return whether the hub's own switch forbids requests to it."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


_Reason = tuple[str, str]
"""Why a fetch failed, and what to do about it."""

_GATED = (
    "it is gated",
    "accept its licence on the hub's page and set HF_TOKEN to a token of that account",
)
_OFFLINE = (
    "it is not in the local cache and HF_HUB_OFFLINE is set",
    "unset it or fetch it first",
)
_NO_NETWORK = ("the hub cannot be reached", "check the network and HF_ENDPOINT")


def _reason(error: BaseException) -> _Reason | None:
    """Return why a fetch failed, from an exception or from one it was raised from."""
    seen: set[int] = set()
    current: BaseException | None = error
    unreachable = False
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        reason = _of_one(current)
        if reason == _NO_NETWORK:
            unreachable = True  # a deeper cause may say more
        elif reason is not None:
            return reason
        current = current.__cause__ or current.__context__
    return _NO_NETWORK if unreachable else None


def _of_one(error: BaseException) -> _Reason | None:
    from huggingface_hub import errors

    if isinstance(error, TooSlowError):
        return error.message, error.hint
    if isinstance(error, errors.GatedRepoError):
        return _GATED
    if isinstance(error, errors.RepositoryNotFoundError):
        return "there is no such repository, or it is private and HF_TOKEN does not open it", ""
    if isinstance(error, errors.RevisionNotFoundError):
        return "the repository has no such revision", ""
    if isinstance(error, errors.OfflineModeIsEnabled):
        return _OFFLINE
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return f"the repository has no such file ({str(error).splitlines()[0]})", ""
    if isinstance(error, errors.LocalEntryNotFoundError):
        return _OFFLINE if is_offline() else _NO_NETWORK
    if isinstance(error, errors.HfHubHTTPError):
        status = getattr(error.response, "status_code", None)
        if status in (401, 403):
            reading = error.response.request.method in ("GET", "HEAD")
            allows = "read it" if reading else "write to it"
            return (
                f"access was refused (HTTP {status})",
                f"set HF_TOKEN to a token that may {allows}",
            )
        return f"the hub answered HTTP {status}", "try again later"
    if isinstance(error, errors.HFValidationError):
        return "this is neither a folder here nor a valid name on the hub", ""
    if isinstance(error, (ConnectionError, TimeoutError)) or type(error).__module__.startswith(
        ("httpx", "requests", "urllib3", "aiohttp")
    ):
        return _NO_NETWORK
    return None
