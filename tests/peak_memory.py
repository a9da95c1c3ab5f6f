"""The most memory that this process has held."""

import resource
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_memory():
    """Bytes; of this program alone where the system tells, and not of the one that started it."""
    if _STATUS.exists():
        lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
