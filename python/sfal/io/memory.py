"""How much memory a process can still allocate, control groups included."""

import os
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int:
    """Return the bytes that this process can still allocate.

    The least of what the system has available and what each control group
    above the process leaves. Cached file pages of a group count as available,
    because the kernel gives them back under pressure. Where the system reports
    nothing (macOS), the physical memory is returned.
    """
    limits = [*_system(), *_groups()]
    return min(limits) if limits else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _system() -> Iterator[int]:
    for line in _text(_PROC / "meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _groups() -> Iterator[int]:
    """Yield what each control group above this process leaves; versions 2 and 1."""
    for group in _text(_PROC / "self" / "cgroup").splitlines():
        _hierarchy, controllers, path = group.split(":", 2)
        if not controllers:
            root, limit, used, cache = _CGROUP, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root = _CGROUP / "memory"
            limit, used = "memory.limit_in_bytes", "memory.usage_in_bytes"
            cache = "total_inactive_file"
        else:
            continue
        # Inside a container the path may name a folder that only the host sees: the root then
        # stands for it.
        folder = root / path.lstrip("/")
        for place in (folder, *folder.parents):
            if not place.is_relative_to(root):
                break
            most, now = _number(_text(place / limit)), _number(_text(place / used))
            if most is not None and now is not None:
                yield max(0, most - max(0, now - _reclaimable(place / "memory.stat", cache)))


def _reclaimable(statistics: Path, name: str) -> int:
    for line in _text(statistics).splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return _number(value) or 0
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""


def _number(text: str) -> int | None:
    """Read a count of bytes; a group without a limit says ``max``."""
    return int(text) if text.strip().isdecimal() else None
