"""One writer a folder: a lock that names its owner and dies with it."""

import errno
import json
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sfal.errors import LockedError
from sfal.io.atomic import write_error

LOCK = ".lock"
"""Name of the lock's file in the folder."""

_TRIES = 100
"""Times that a folder may vanish while it is made."""

_NO_FLOCK = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}

logger = logging.getLogger(__name__)


@contextmanager
def folder_lock(folder: Path, root: Path | None = None) -> Iterator[None]:
    """Hold a folder for this process while the block runs.

    The folder is made if it is missing. The lock's file says the owner's
    process id, start time and host. It counts only as long as that process
    lives: the kernel's own lock on the file ends with the process, and where
    a file system has none, a process id that is gone or has another start
    time shows that the lock is stale.

    Parameters
    ----------
    folder : Path
        Folder that only one process may write to.
    root : Path, optional
        Folder above, below which those that stay empty are removed at the
        end. Default: two levels above.

    Raises
    ------
    LockedError
        If another process holds it; the message names the process.
    ArtifactError
        If the folder cannot be written.
    """
    path = folder / LOCK
    try:
        descriptor = _acquire(path)
    except OSError as e:
        raise write_error(path, e) from e
    try:
        yield
    finally:
        # Removed while still held: who waits for it sees that the name has gone and starts afresh.
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)
        with suppress(OSError):
            root = root or folder.parent.parent
            while folder != root and root in folder.parents:
                folder.rmdir()  # nothing came of it: only an empty folder goes
                folder = folder.parent


def _acquire(path: Path) -> int:
    while True:
        descriptor = _open(path)
        mine = False
        try:
            held_by_kernel = _flock(descriptor)
            if not _still_named(descriptor, path):
                os.close(descriptor)
                continue
            owner = _read(descriptor)
            if not held_by_kernel or (owner is not None and _lives(owner)):
                raise LockedError(_held(path, owner))
            if owner is not None:
                logger.info("%s: its process %s is gone; taken over", path, owner.get("pid"))
            mine = True
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(_myself()).encode(), 0)
            os.fsync(descriptor)
        except BaseException:
            with suppress(OSError):
                if mine:
                    path.unlink()
            with suppress(OSError):
                os.close(descriptor)
            raise
        return descriptor


def _open(path: Path) -> int:
    """Open the lock's file in a folder that another owner may just be removing, empty."""
    tries = _TRIES
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except (FileNotFoundError, FileExistsError):
            tries -= 1
            if not tries:
                raise


def _flock(descriptor: int) -> bool:
    """Take the kernel's lock; False if another process has it."""
    try:
        import fcntl
    except ImportError:  # no such locks on this system: the process id decides alone
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        if e.errno in _NO_FLOCK:
            return True
        if e.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _still_named(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one under the name, and not one just removed."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _read(descriptor: int) -> dict[str, Any] | None:
    """What the lock says of its owner; None if nothing or nothing readable."""
    try:
        value = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("pid"), int) else None


def _lives(owner: dict[str, Any]) -> bool:
    """Whether the process that a lock names is still there."""
    if owner.get("host") != socket.gethostname():
        return True  # cannot be seen from here
    pid = owner["pid"]
    if pid == os.getpid() or pid <= 0:
        # The kernel gave us its lock, so this is a leftover of an earlier process with our id.
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return bool(_start_ticks(pid) == owner.get("start_ticks"))


def _held(path: Path, owner: dict[str, Any] | None) -> str:
    if owner is None:
        return f"{path.parent} is being written by another process; wait until it has ended"
    who = f"process {owner['pid']}, started {owner.get('started', 'at an unknown time')}"
    if owner.get("host") != socket.gethostname():
        who += f", on host {owner.get('host')}"
        return f"{path.parent} is being written by {who}; if that has ended, remove {path}"
    return f"{path.parent} is being written by {who}; wait until it has ended, or stop it"


def _myself() -> dict[str, Any]:
    ticks = _start_ticks(os.getpid())
    return {
        "pid": os.getpid(),
        "started": _start_time(ticks).isoformat(timespec="seconds"),
        "start_ticks": ticks,
        "host": socket.gethostname(),
        "command": Path(sys.argv[0]).name,
    }


def _start_ticks(pid: int) -> int | None:
    """Clock ticks from boot to a process's start; None where the system does not say."""
    try:
        # The command's name stands in brackets and may hold anything, brackets too.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def _start_time(ticks: int | None) -> datetime:
    """Wall-clock time of a process's start, from its ticks; now where they are unknown."""
    if ticks is not None:
        with suppress(OSError, ValueError, StopIteration):
            lines = Path("/proc/stat").read_text().splitlines()
            boot = int(next(line for line in lines if line.startswith("btime ")).split()[1])
            return datetime.fromtimestamp(boot + ticks / os.sysconf("SC_CLK_TCK"), UTC)
    return datetime.now(UTC)
