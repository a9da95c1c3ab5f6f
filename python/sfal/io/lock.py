"""One writer per folder: a lock that names its owner and ends with it."""

import errno
import json
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sfal.errors import ArtifactError, LockedError
from sfal.io import processes
from sfal.io.atomic import TEMPORARY_PREFIX, write_error

LOCK = ".lock"
"""Name of the lock's file in the folder."""

RENEWAL_SECONDS = 60.0
"""Time between two renewals of the lock's time stamp, which is the file's modification time."""
STALE_SECONDS = 600.0
"""Age of the time stamp at which a lock is stale, where nothing else decides."""
_SETTLING_SECONDS = 0.5
"""Time in which two processes that took a lock at once overwrite each other's claim."""

_NOT_INHERITED: int = getattr(os, "O_CLOEXEC", getattr(os, "O_NOINHERIT", 0))

_TRIES = 100
"""Times that the folder may vanish while it is made."""

_NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)
"""In a shared folder, somebody else's link in the lock's place could name any file of ours."""
_NO_FLOCK = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}

# On a local file system only one kernel gives locks; these network ones pass them on to the server.
_KERNEL_DECIDES = frozenset(
    [
        "ext2",
        "ext3",
        "ext4",
        "xfs",
        "btrfs",
        "zfs",
        "f2fs",
        "tmpfs",
        "overlay",
        "nfs",
        "nfs4",
        "lustre",
        "gpfs",
        "ceph",
        "ocfs2",
        "gfs2",
    ]
)
_LOCKS_STAY_LOCAL = frozenset({"nolock", "local_lock=all", "local_lock=flock", "localflock"})
"""Mount options under which a network file system does not pass locks on."""

logger = logging.getLogger(__name__)


@contextmanager
def folder_lock(folder: Path, root: Path | None = None) -> Iterator[None]:
    """Hold a folder for this process while the block runs.

    The folder is made if it is missing. The lock's file names the owner's
    process id, start time and host. The kernel's own lock on the file ends with
    the owner. Where a file system has no such locks, a process of this host is
    gone if its id is, or if the id now has another start time; and a process of
    another host counts as gone when the lock's time stamp, which its owner renews
    every minute, is ten minutes old by the clock of the file server. So does one
    of this host on a system that does not tell when processes started.

    The kernel's lock decides between hosts too, where it is known to work across
    them; where it is not, the time stamp decides.

    Parameters
    ----------
    folder : Path
        Folder that only one process may write to.
    root : Path, optional
        Folder below which the folders that stay empty are removed at the end.
        Default: two levels above `folder`.

    Raises
    ------
    LockedError
        If another process holds the folder; the message names the process.
    ArtifactError
        If the folder cannot be written.

    Notes
    -----
    The `filelock` package was tried in version 4.2.12. It leaves its file behind,
    names no owner while it uses the kernel's lock, and falls back to a file's
    mere existence only for ENOSYS, not where locks are unsupported (EOPNOTSUPP) or
    the lock server is away (ENOLCK). Its lease, which is renewed, can be
    taken over only by a process that watches it for the whole ten minutes.
    """
    path = folder / LOCK
    claim = _claim()
    try:
        descriptor = _acquire(path, claim)
    except OSError as e:
        raise write_error(path, e) from e
    released = threading.Event()
    try:
        threading.Thread(target=_renew, args=(path, claim, released), daemon=True).start()
        yield
    finally:
        released.set()
        _release(path, claim, descriptor)
        with suppress(OSError):
            root = root or folder.parent.parent
            while folder != root and root in folder.parents:
                folder.rmdir()  # only if it is still empty
                folder = folder.parent


def _acquire(path: Path, claim: dict[str, Any]) -> int:
    while True:
        descriptor = _open(path)
        written = False
        try:
            granted = _flock(descriptor)
            if not _is_named(descriptor, path):
                os.close(descriptor)
                continue
            owner = _read(path)
            if granted is False or (owner is not None and not _is_stale(path, owner, granted)):
                raise _held(path, owner)
            if owner is not None:
                logger.info("%s: its process %s is gone; taken over", path, owner.get("pid"))
            written = True
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, json.dumps(claim).encode())
            os.fsync(descriptor)
            if granted is None:
                time.sleep(_SETTLING_SECONDS)
                if (other := _read(path)) != claim:
                    written = False
                    raise _held(path, other)
        except BaseException:
            with suppress(OSError):
                if written and (granted or _read(path) == claim):
                    path.unlink()
            with suppress(OSError):
                os.close(descriptor)
            raise
        return descriptor


def _release(path: Path, claim: dict[str, Any], descriptor: int) -> None:
    """Remove the lock's file, unless another process has taken it over, and the kernel's lock."""
    # While it is still held: a waiting process sees that the name is gone, and starts over.
    removed = _remove(path, claim)
    os.close(descriptor)
    if not removed:  # Windows removes no file that is open
        _remove(path, claim)


def _remove(path: Path, claim: dict[str, Any]) -> bool:
    """Remove the lock's file if it has this claim; return whether it is no longer there with it."""
    try:
        if _read(path) == claim:
            path.unlink()
    except OSError:
        return False
    return True


def _open(path: Path) -> int:
    """Open the lock's file in a folder that its last owner may just be removing, empty."""
    tries = _TRIES
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT | _NOT_INHERITED | _NO_LINK, 0o644)
        except (FileNotFoundError, FileExistsError):
            tries -= 1
            if not tries:
                raise
        except OSError as e:
            if path.is_symlink() or path.is_dir():
                raise ArtifactError(
                    f"{path} is not a file, so it cannot be the lock of its folder",
                    hint="remove it if nobody needs it",
                ) from e
            raise


def _flock(descriptor: int) -> bool | None:
    """Take the kernel's lock; False if another process has it, None if there are no such locks."""
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        if e.errno in _NO_FLOCK:
            return None
        if e.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _is_named(descriptor: int, path: Path) -> bool:
    """Return whether the open file is the one under the name, and not one just removed."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _read(path: Path) -> dict[str, Any] | None:
    """Return what the lock says of its owner; None if that is nothing, or unreadable."""
    try:
        with path.open("rb") as file:
            value = json.loads(file.read(4096))
    except (ValueError, FileNotFoundError):
        return None
    return value if isinstance(value, dict) and isinstance(value.get("pid"), int) else None


def _is_stale(path: Path, owner: dict[str, Any], granted: bool | None) -> bool:
    """Return whether the owner that a lock names is gone; True or None says what the kernel gave."""
    if owner.get("host") != processes.host():
        return bool(granted and _kernel_decides(path.parent)) or _age(path) > STALE_SECONDS
    pid = owner["pid"]
    if pid == os.getpid() and granted:
        return True  # left by an earlier process with our id
    if not processes.is_alive(pid):
        return True
    ticks = processes.start_ticks(pid)
    if ticks is None:
        # No /proc, or not for this process: nothing but the stamp tells an id that is in use again.
        return _age(path) > STALE_SECONDS
    return ticks != owner.get("start_ticks")


def _kernel_decides(folder: Path) -> bool:
    """Return whether a lock from this kernel excludes processes of every host, as far as is known."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return False
    for mount in mounts:
        left, _, right = mount.partition(" - ")
        if left.split()[2] == number:
            kind, *rest = right.split()
            options = rest[-1].split(",") if rest else ()
            return kind in _KERNEL_DECIDES and _LOCKS_STAY_LOCAL.isdisjoint(options)
    return False


def _age(path: Path) -> float:
    """Return the seconds since the time stamp, by the clock that stamps a file written now."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=TEMPORARY_PREFIX) as file:
        file.write(b"x")
        file.flush()
        try:
            return os.fstat(file.fileno()).st_mtime - path.stat().st_mtime
        except FileNotFoundError:
            return 0.0  # its owner has just released it


def _renew(path: Path, claim: dict[str, Any], released: threading.Event) -> None:
    """Renew the time stamp until the lock is released or, after a long standstill, taken over."""
    while not released.wait(RENEWAL_SECONDS):
        with suppress(OSError):
            if _read(path) != claim:
                logger.warning("%s: another process has taken this lock over", path)
                return
            os.utime(path)  # without a time, a network file system takes its server's clock


def _held(path: Path, owner: dict[str, Any] | None) -> LockedError:
    if owner is None:
        return LockedError(
            f"{path.parent} is being written by another process", hint="wait until it has ended"
        )
    who = f"process {owner['pid']}, started {owner.get('started', 'at an unknown time')}"
    if owner.get("host") == processes.host():
        return LockedError(
            f"{path.parent} is being written by {who}", hint="wait until it has ended, or stop it"
        )
    return LockedError(
        f"{path.parent} is being written by {who}, on host {owner.get('host')}",
        hint=f"wait until it has ended; if it was killed, its lock lapses within "
        f"{STALE_SECONDS / 60:.0f} minutes, or remove {path}",
    )


def _claim() -> dict[str, Any]:
    ticks = processes.start_ticks(os.getpid())
    return {
        "pid": os.getpid(),
        "started": processes.start_time(ticks).isoformat(timespec="seconds"),
        "start_ticks": ticks,
        "host": processes.host(),
        "command": Path(sys.argv[0]).name,
    }
