"""Atomic writes, hashes, and JSON files that are either whole or absent."""

import errno
import hashlib
import json
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sfal.errors import ArtifactError, CorruptError, MissingError
from sfal.io import processes

TEMPORARY_PREFIX = ".tmp-"

_ON_WINDOWS = os.name == "nt"

_ABANDONED_SECONDS = 86_400.0
"""Time since the last write after which any unfinished file is removed."""

_unfinished: set[Path] = set()
"""Temporary files of this process."""

_ROOM = "free some space and repeat $do_again"
_ELSEWHERE = "choose another place with $data_dir or $output"
_REASONS = {
    errno.ENOSPC: ("the disk is full", _ROOM),
    errno.EDQUOT: ("the disk quota is used up", _ROOM),
    errno.EROFS: ("the file system is read-only", _ELSEWHERE),
    errno.EACCES: ("permission denied", _ELSEWHERE),
    errno.EPERM: ("permission denied", _ELSEWHERE),
    errno.EEXIST: ("there is a file where a folder is needed", _ELSEWHERE),
    errno.ENOTDIR: ("there is a file where a folder is needed", _ELSEWHERE),
}


def write_error(path: Path, error: OSError) -> ArtifactError:
    """Return an error that says which path could not be written, why, and what to do."""
    reason, hint = _REASONS.get(error.errno or 0, (error.strerror or str(error), ""))
    return ArtifactError(f"cannot write {path}: {reason}", hint=hint)


def is_read_only(error: ArtifactError) -> bool:
    """Return whether a :func:`write_error` says that its folder may not be written at all."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Write a file so that it appears whole under its name, or not at all.

    Yields a temporary path in the same folder. When the block ends, the file
    there is synced to disk and renamed; when the block raises, it is removed.

    Raises
    ------
    ArtifactError
        If the disk is full, the folder cannot be written, or the name is that of a
        folder or a device.
    """
    _refuse_other_than_files(path)
    temporary = path.with_name(temporary_name(path.name, os.getpid()))
    _unfinished.add(temporary)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_temporaries(path.parent, path.name)
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except OSError as e:
        # SFAL's own errors that are OSErrors too (DownloadError) carry no errno.
        if e.errno in _REASONS:
            raise write_error(path, e) from e
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        _unfinished.discard(temporary)


def _refuse_other_than_files(path: Path) -> None:
    """Refuse a name that a rename must not replace: ``/dev/null`` would be gone for everybody."""
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
        # ``/dev/stdout`` leads through /proc to whatever the process writes to, maybe a file.
        is_stream = path.is_symlink() and path.readlink().is_relative_to("/proc")
    except OSError:
        return  # nothing is there, or what is wrong is said when it is written
    if not is_file or is_stream:
        raise ArtifactError(f"cannot write {path}: it is not a file", hint=_ELSEWHERE)


def remove_unfinished() -> None:
    """Remove what this process is writing, before it ends without waiting for its threads."""
    for temporary in list(_unfinished):
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Flush a file, or a folder's entries, to disk; Windows keeps a folder's entries by itself."""
    if _ON_WINDOWS and path.is_dir():
        return
    # There, only a file that is open for writing can be flushed.
    descriptor = os.open(path, os.O_RDWR if _ON_WINDOWS else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporary_name(name: str, pid: int) -> str:
    """Return a new name, ``.tmp-HOST-PID-RANDOM-NAME``, for an unfinished file of a process here."""
    return f"{TEMPORARY_PREFIX}{_host_field()}-{pid}-{secrets.token_hex(4)}-{name}"


def remove_temporaries(folder: Path, name: str | None = None) -> None:
    """Remove the unfinished files that killed processes left in a folder.

    Files of running processes stay, as another stage may be writing to the same
    folder. A process of another host cannot be checked, so a file is removed only
    a day after it was last written, unless its process is known to have ended.

    Parameters
    ----------
    folder : Path
        Where to look.
    name : str, optional
        The name that the file would have got; default: any.
    """
    for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
        if path in _unfinished or (name is not None and not path.name.endswith(f"-{name}")):
            continue
        with suppress(OSError):
            if _is_abandoned(path):
                path.unlink()


def _is_abandoned(path: Path) -> bool:
    """Return whether no process can finish a file that this one is not writing."""
    host, _, rest = path.name.removeprefix(TEMPORARY_PREFIX).partition("-")
    pid = rest.partition("-")[0]
    if host == _host_field() and pid.isdecimal() and _has_ended(int(pid)):
        return True
    return time.time() - path.stat().st_mtime > _ABANDONED_SECONDS


def _has_ended(pid: int) -> bool:
    # An unknown file under our own id was left by an earlier process with this id.
    return pid == os.getpid() or not processes.is_alive(pid)


def _host_field() -> str:
    # Host names contain hyphens, which separate the fields here, but no underscores.
    return processes.host().replace("-", "_")


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as e:
        raise _read_error(path, e) from e


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON, atomically."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    MissingError
        If it does not exist.
    CorruptError
        If it is not JSON.
    ArtifactError
        If it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise _read_error(path, e) from e
    except (ValueError, RecursionError) as e:
        raise CorruptError(f"{path} is damaged: it is not valid JSON ({e})") from e


def _read_error(path: Path, error: OSError) -> ArtifactError:
    kind = MissingError if isinstance(error, FileNotFoundError) else ArtifactError
    return kind(f"cannot read {path}: {error.strerror}")
