"""A data set repository of the hub: its files, reading and changing them."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sfal.errors import DownloadError, InvalidInputError, SfalError, UploadError
from sfal.io.first_line import first_line
from sfal.io.hub import hub_errors, is_offline

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

_TYPE = "dataset"
_REPO_ID = re.compile(r"\w[\w.-]{,95}/\w[\w.-]{,95}", re.ASCII)
_AT_ONCE = 8
"""Files that are uploaded side by side."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository, as the hub lists it."""

    size: int
    """Bytes."""
    sha256: str | None
    """Hash of its bytes; None for a small file, which is kept in git itself."""
    blob: str | None
    """Git's name for the contents of a small file."""

    def holds(self, content: Path | bytes) -> bool:
        """Return whether its bytes are those of a file, or of some bytes, here."""
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        if size != self.size:
            return False
        if self.sha256 is not None:
            return _digest(content, hashlib.sha256()) == self.sha256
        # How git names a blob: the hash of its length and its bytes.
        return _digest(content, hashlib.sha1(b"blob %d\0" % size)) == self.blob


class MovedError(UploadError):
    """The repository has got another commit in the meantime."""


@dataclass(frozen=True)
class Repository:
    """A data set repository at one commit; later commits do not change what is seen here."""

    repo_id: str
    """``OWNER/NAME``."""
    commit: str
    """The commit, 40 hexadecimal digits."""
    private: bool
    """Whether only its owners see it."""
    files: Mapping[str, RemoteFile]
    """Every file by its path."""

    @classmethod
    def open(cls, repo_id: str, revision: str | None = None) -> Self:
        """List a repository.

        Parameters
        ----------
        repo_id : str
            ``OWNER/NAME``.
        revision : str, optional
            Commit, branch or tag.

        Raises
        ------
        InvalidInputError
            If the name is not of that form.
        DownloadError
            If there is no such repository, or the hub cannot be reached or refuses.
        """
        found = cls.find(repo_id, revision)
        if found is None:
            raise DownloadError(
                f"there is no data set {repo_id}{f' at {revision}' if revision else ''} on the hub, "
                "or it is private and HF_TOKEN does not open it",
                hint="check $repo",
            )
        return found

    @classmethod
    def find(cls, repo_id: str, revision: str | None = None) -> Self | None:
        """List a repository as :meth:`open` does; None if there is none."""
        from huggingface_hub import HfApi
        from huggingface_hub.errors import (
            GatedRepoError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        check_repo_id(repo_id)
        if is_offline():
            raise DownloadError(
                f"{repo_id} is out of reach, as HF_HUB_OFFLINE is set", hint="unset it"
            )
        with hub_errors(f"the list of files of {repo_id}"):
            try:
                about = HfApi().dataset_info(repo_id, revision=revision, files_metadata=True)
            except GatedRepoError:
                raise
            except (RepositoryNotFoundError, RevisionNotFoundError):
                return None
        files = {
            file.rfilename: RemoteFile(
                file.size or 0, file.lfs.sha256 if file.lfs else None, file.blob_id
            )
            for file in about.siblings or ()
        }
        return cls(repo_id, str(about.sha), bool(about.private), files)

    @classmethod
    def create(cls, repo_id: str, *, private: bool) -> Self:
        """Make a new repository, and list it."""
        from huggingface_hub import HfApi

        with hub_errors(f"anything to {repo_id}", sending=True):
            HfApi().create_repo(repo_id, repo_type=_TYPE, private=private, exist_ok=True)
        return cls.open(repo_id)

    def again(self) -> "Repository":
        """Return the repository at its latest commit."""
        return Repository.open(self.repo_id)

    def read(self, path: str, limit: int) -> bytes:
        """Return the bytes of a small file.

        Raises
        ------
        DownloadError
            If it is longer than `limit` bytes, or cannot be fetched.
        """
        from huggingface_hub import hf_hub_download

        self._check_size(path, limit)
        with hub_errors(f"{path} of {self.repo_id}"):
            found = hf_hub_download(self.repo_id, path, repo_type=_TYPE, revision=self.commit)
        content = Path(found).read_bytes()
        if not self.files[path].holds(content):
            raise DownloadError(f"{path} of {self.repo_id} arrived damaged", hint="try again later")
        return content

    def fetch(self, path: str, folder: Path, limit: int) -> Path:
        """Fetch a file into a folder, below which it keeps its path; what is there continues.

        Raises
        ------
        DownloadError
            If it is longer than `limit` bytes, cannot be fetched, or arrives damaged.
        ArtifactError
            If the folder cannot be written.
        """
        from huggingface_hub import hf_hub_download

        self._check_size(path, limit)
        with hub_errors(f"{path} of {self.repo_id}"):
            found = hf_hub_download(
                self.repo_id, path, repo_type=_TYPE, revision=self.commit, local_dir=folder
            )
        target = Path(found)
        if target.is_symlink() or not self.files[path].holds(target):
            target.unlink()
            raise DownloadError(
                f"{path} of {self.repo_id} arrived damaged: its bytes are not those that the hub "
                "lists",
                hint="repeat $do_again to fetch it again",
            )
        return target

    def send(self, files: Mapping[str, Path | bytes]) -> "Iterator[Sequence[CommitOperationAdd]]":
        """Upload large files, a few at a time, so that a commit can name them.

        The hub keeps them by their hash even if no commit follows: they are not
        sent a second time.

        Parameters
        ----------
        files : mapping of str to Path or bytes
            Path in the repository -> what to send.

        Yields
        ------
        sequence of CommitOperationAdd
            Those that have been sent, for :meth:`change`.
        """
        from huggingface_hub import CommitOperationAdd, HfApi

        paths = list(files)
        for first in range(0, len(paths), _AT_ONCE):
            some = paths[first : first + _AT_ONCE]
            with _sending(some[0], self.repo_id):
                added = [CommitOperationAdd(path, files[path]) for path in some]
                HfApi().preupload_lfs_files(self.repo_id, added, repo_type=_TYPE, free_memory=False)
            yield added

    def change(
        self, message: str, added: "Sequence[CommitOperationAdd]", deleted: Sequence[str] = ()
    ) -> "Repository":
        """Add and delete files in one commit on top of this one.

        Returns
        -------
        Repository
            The repository with the new commit.

        Raises
        ------
        MovedError
            If another commit has come in between.
        UploadError
            If the hub cannot be reached, or refuses.
        """
        from huggingface_hub import CommitOperationDelete, HfApi
        from huggingface_hub.errors import HfHubHTTPError

        with _sending(f"{message!r}", self.repo_id):
            try:
                HfApi().create_commit(
                    self.repo_id,
                    [*(CommitOperationDelete(path) for path in deleted), *added],
                    commit_message=message,
                    repo_type=_TYPE,
                    parent_commit=self.commit,
                )
            except HfHubHTTPError as e:
                if e.response.status_code in (409, 412):
                    raise MovedError(
                        f"{self.repo_id} was changed by somebody else at the same time",
                        hint="repeat $do_again",
                    ) from e
                raise
        return self.again()

    @property
    def url(self) -> str:
        """Address of its page."""
        from huggingface_hub import constants

        return f"{constants.ENDPOINT}/datasets/{self.repo_id}"

    def _check_size(self, path: str, limit: int) -> None:
        size = self.files[path].size
        if size > limit:
            raise DownloadError(
                f"{path} of {self.repo_id} has {size:,} bytes, and can have at most {limit:,}: it "
                "is not a file of SFAL"
            )


def check_repo_id(repo_id: str) -> None:
    """Refuse a name that is not ``OWNER/NAME``.

    Raises
    ------
    InvalidInputError
    """
    if not _REPO_ID.fullmatch(repo_id) or "--" in repo_id or ".." in repo_id:
        raise InvalidInputError(
            f"{repo_id!r} is not the name of a repository", hint="give $repo(OWNER/NAME)"
        )


@contextmanager
def _sending(what: str, repo_id: str) -> Iterator[None]:
    """Word what goes wrong while something is sent, whatever the hub's library raises."""
    with hub_errors(f"{what} to {repo_id}", sending=True):
        try:
            yield
        except ValueError as e:  # an answer that the library does not understand, or a refusal
            if isinstance(e, SfalError):
                raise
            raise UploadError(
                f"cannot send {what} to {repo_id}: the hub refuses it ({first_line(e)})"
            ) from e


def _digest(content: Path | bytes, digest: Any) -> str:
    """Feed a file, or some bytes, to a hash."""
    if isinstance(content, bytes):
        digest.update(content)
    else:
        with content.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    found: str = digest.hexdigest()
    return found
