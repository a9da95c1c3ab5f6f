"""Atomic writes, hashes, and JSON files that are whole or not there."""

import errno
import glob
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sfal.errors import ArtifactError

TEMPORARY_PREFIX = ".tmp-"

_unfinished: set[Path] = set()
"""Temporary files of this process."""

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space and start the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and start the same command again",
    errno.EROFS: "the file system is read-only; choose another place (--data-dir, --output)",
    errno.EACCES: "permission denied; choose another place (--data-dir, --output)",
    errno.EPERM: "permission denied; choose another place (--data-dir, --output)",
    errno.EEXIST: "a file stands where a folder is needed; choose another place (--data-dir, --output)",
    errno.ENOTDIR: "a file stands where a folder is needed; choose another place (--data-dir, --output)",
}


def write_error(path: Path, error: OSError) -> ArtifactError:
    """Error that says which path could not be written, why, and what to do."""
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    return ArtifactError(f"cannot write {path}: {reason}")


def is_read_only(error: ArtifactError) -> bool:
    """Whether a :func:`write_error` says that its folder may not be written at all."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Write a file so that it appears whole under its name, or not at all.

    Yields a temporary path in the same folder. When the block ends, the file
    there is synced to disk and renamed; when it raises, the file is removed.

    Raises
    ------
    ArtifactError
        If the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{path.name}")
    _unfinished.add(temporary)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_temporaries(path.parent, path.name)
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except OSError as e:
        # Errors of our own that are OSErrors too (DownloadError) carry no errno.
        if e.errno in _REASONS:
            raise write_error(path, e) from e
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        _unfinished.discard(temporary)


def remove_unfinished() -> None:
    """Remove what this process is writing, which is about to end without waiting for its threads."""
    for temporary in list(_unfinished):
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Flush a file, or a folder's entries, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporaries(folder: Path, name: str = "*") -> None:
    """Remove what processes that were killed left unfinished in a folder.

    Those of processes that live stay: another stage may be writing beside this one.

    Parameters
    ----------
    folder : Path
        Where to look.
    name : str
        The file that it was to become; default: any.
    """
    if name != "*":
        name = glob.escape(name)
    for path in folder.glob(f"{TEMPORARY_PREFIX}*-{name}"):
        pid = path.name.removeprefix(TEMPORARY_PREFIX).partition("-")[0]
        if pid.isdecimal() and int(pid) != os.getpid() and Path(f"/proc/{pid}").exists():
            continue
        with suppress(OSError):
            path.unlink()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as e:
        raise ArtifactError(f"cannot read {path}: {e.strerror}") from e


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON, atomically."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    ArtifactError
        If it is missing, unreadable or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise ArtifactError(f"cannot read {path}: {e.strerror}") from e
    except (ValueError, RecursionError) as e:
        raise ArtifactError(f"{path} is no valid JSON ({e}); it is damaged") from e
