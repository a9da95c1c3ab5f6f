"""Which process wrote a file, and whether it still runs."""

import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

_FIRST_PID_NAMESPACE = 0xEFFFFFFC
"""Inode of the namespace that a Linux host starts with (``include/linux/nsfs.h``)."""


def host() -> str:
    """Return the name of the place in which process ids have a meaning.

    That is the host's name. In a container with process ids of its own, their
    namespace is appended: containers of one pod share the host's name.
    """
    name = socket.gethostname()
    with suppress(OSError):
        namespace = Path("/proc/self/ns/pid").stat().st_ino
        if namespace != _FIRST_PID_NAMESPACE:
            name += f"~{namespace:x}"
    return name


def is_alive(pid: int) -> bool:
    """Return whether a process of this host runs; True where that cannot be found out."""
    if pid <= 0:
        return False
    if os.name == "nt":  # there, signal 0 is Ctrl-C
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it runs under another account
    return True


def start_ticks(pid: int) -> int | None:
    """Return the clock ticks from boot to a process's start; None where the system has no /proc."""
    try:
        # The command's name is in parentheses and may contain anything, parentheses included.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def start_time(ticks: int | None) -> datetime:
    """Return the wall-clock time of a process's start, from its ticks; now if they are unknown."""
    if ticks is not None:
        with suppress(OSError, ValueError, StopIteration):
            lines = Path("/proc/stat").read_text().splitlines()
            boot = int(next(line for line in lines if line.startswith("btime ")).split()[1])
            return datetime.fromtimestamp(boot + ticks / os.sysconf("SC_CLK_TCK"), UTC)
    return datetime.now(UTC)
