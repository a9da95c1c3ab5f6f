"""Devices that models run on."""

import platform
import re
from contextlib import suppress
from pathlib import Path

from sfal.errors import InvalidInputError

_HINT = "use $device(cpu), or $device(auto) for a CUDA GPU if there is one"
_NAMES = re.compile(r"auto|cpu|mps|(cuda|xpu)(:[0-9]{1,3})?")


def device_name(text: str) -> str:
    """Return a device's name after checking its form; whether there is such a device is not asked.

    Raises
    ------
    InvalidInputError
        If it is not the name of a device that models run on.
    """
    if not _NAMES.fullmatch(text):
        raise InvalidInputError(
            f"device {text!r} is not known; there are auto, cpu, cuda, cuda:1 and so on, mps, and "
            "xpu"
        )
    return text


def resolve_device(device: str) -> str:
    """Return the device that a setting stands for, after checking that it is available.

    Parameters
    ----------
    device : str
        ``auto`` (a CUDA GPU if there is one, otherwise the CPU), or as torch
        names devices: ``cpu``, ``cuda``, ``cuda:1``, ``mps``, ``xpu``.

    Raises
    ------
    InvalidInputError
        If there is no such device.
    """
    kind, _, index = device_name(device).partition(":")
    if kind == "cpu":
        return device
    import torch

    if kind == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    n = 0
    if kind == "cuda" and torch.cuda.is_available():
        n = max(torch.cuda.device_count(), 1)
    elif kind == "mps" and torch.backends.mps.is_available():
        n = 1
    elif kind == "xpu" and torch.xpu.is_available():
        n = torch.xpu.device_count()
    if n == 0:
        raise InvalidInputError(f"no {kind.upper()} device is available", hint=_HINT)
    if index and int(index) >= n:
        there = f"there is only {kind}:0" if n == 1 else f"the last one is {kind}:{n - 1}"
        raise InvalidInputError(f"device {device!r} is not available; {there}", hint=_HINT)
    return device


def devices_of_kind(kind: str | None = None) -> list[str]:
    """Return the GPUs of this machine.

    Parameters
    ----------
    kind : str, optional
        ``cuda`` or ``xpu``; None: those of the first kind that there is.
    """
    import torch

    for name, there in (("cuda", torch.cuda), ("xpu", torch.xpu)):
        if kind in (None, name) and there.is_available():
            return [f"{name}:{index}" for index in range(there.device_count())]
    return []


def device_model(device: str) -> str:
    """Return what a device is: results have the same bits on devices of the same model.

    For a GPU its name; for a CPU its name, its vector instructions, and the
    threads that PyTorch uses, on which the order of its sums depends.

    Parameters
    ----------
    device : str
        As torch names it.
    """
    import torch

    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    if device.startswith("xpu"):
        return str(torch.xpu.get_device_name(device))
    if device != "cpu":
        return device
    threads = torch.get_num_threads()
    return (
        f"{_cpu_name()}, {torch.backends.cpu.get_cpu_capability()}, "
        f"{threads} thread{'' if threads == 1 else 's'}"
    )


def _cpu_name() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
