"""On which devices models run: one, several on this machine, or those of a Ray cluster."""

import re
from dataclasses import dataclass, field, fields
from typing import Any

from sfal.collect.options import Checked, option
from sfal.errors import InvalidInputError
from sfal.io.devices import devices_of_kind, resolve_device

_DEVICE = re.compile(r"cuda:[0-9]{1,3}|xpu:[0-9]{1,3}|mps")
_PROCESSES = re.compile(r"cpu(?::([1-9][0-9]{0,2}))?")
_THOSE_THERE_ARE = (
    "$devices(all) uses the GPUs that there are, $devices(cpu:4) four processes on the CPU"
)
_ADDRESS = re.compile(r"auto|local|[^\s/:]+:[0-9]{1,5}|\[[0-9a-fA-F:]+\]:[0-9]{1,5}")


def parse_devices(text: str) -> str:
    """Check the form of a list of devices; whether they exist is asked by :func:`devices_in`.

    Raises
    ------
    InvalidInputError
        If it is not such a list, names a device twice, or mixes kinds.
    """
    names = [name.strip() for name in text.split(",")]
    whole = text in ("all", "cuda", "xpu") or _PROCESSES.fullmatch(text)
    if not whole and not all(map(_DEVICE.fullmatch, names)):
        raise InvalidInputError(
            f"devices {text!r} are not known; there are all, cuda, cuda:0,cuda:1 and so on, xpu, "
            "mps, and cpu:4 for four processes on the CPU"
        )
    if len(set(names)) < len(names):
        raise InvalidInputError(f"devices {text!r} name one twice")
    kinds = sorted({name.partition(":")[0] for name in names})
    if len(kinds) > 1:
        raise InvalidInputError(
            f"devices {text!r} are of different kinds ({', '.join(kinds)}), which do not compute "
            "the same bits"
        )
    return ",".join(names)


def parse_address(text: str) -> str:
    """Check the form of a Ray cluster's address.

    Raises
    ------
    InvalidInputError
        If it is neither ``auto`` nor ``local`` nor HOST:PORT.
    """
    if text.startswith("ray://"):
        raise InvalidInputError(
            f"{text!r} is an address of Ray Client, through which arrays pass slowly",
            hint="run on a machine of the cluster with $ray(auto), or name the cluster's own "
            "address, HOST:PORT",
        )
    if not _ADDRESS.fullmatch(text):
        raise InvalidInputError(
            f"{text!r} is not the address of a Ray cluster; there are auto, local and HOST:PORT",
            hint="where no particular cluster is meant, give $ray(auto)",
        )
    return text


@dataclass(frozen=True, kw_only=True)
class Placement(Checked):
    """Whether several devices count or embed, and which; by default one does."""

    devices: str | None = field(
        default=None,
        metadata=option(
            "Use several devices of this machine, each in a process of its own: all (GPUs), "
            "cuda:0,cuda:1 or cpu:4 (four processes).",
            metavar="all|LIST|cpu:N",
            parse=parse_devices,
        ),
    )
    ray: str | None = field(
        default=None,
        metadata=option(
            "Use the GPUs of a Ray cluster, or its CPUs if the device is cpu; without an address: "
            "the cluster that this machine belongs to, otherwise this machine.",
            metavar="[ADDRESS]",
            parse=parse_address,
        ),
    )
    ray_wait: int = field(
        default=300,
        metadata=option("Seconds to wait while the Ray cluster has no worker.", minimum=1),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.devices is not None:
            parse_devices(self.devices)
        if self.ray is not None:
            parse_address(self.ray)
        if self.devices is not None and self.ray is not None:
            raise InvalidInputError(
                "devices of this machine and a Ray cluster are both named",
                hint="give either $devices or $ray",
            )

    @property
    def is_spread(self) -> bool:
        """Whether workers are used, rather than this process."""
        return self.devices is not None or self.ray is not None

    def placed(self, device: str) -> str:
        """Return the device that models run on, for several workers its kind.

        Parameters
        ----------
        device : str
            As :func:`sfal.io.devices.resolve_device` takes it.

        Raises
        ------
        InvalidInputError
            If there is no such device, or a device is named beside a list of devices. What a
            Ray cluster has is not asked; unless told otherwise, it has CUDA GPUs.
        """
        if self.ray is not None:
            return "cuda" if device == "auto" else device.partition(":")[0]
        if self.devices is None:
            return resolve_device(device)
        kind = devices_in(self.devices)[0].partition(":")[0]
        if device not in ("auto", kind):
            raise InvalidInputError(
                f"device {device} and devices {self.devices} are both named",
                hint="give either $device or $devices",
            )
        return kind

    def on_one(self) -> dict[str, Any]:
        """Return the values of these fields that mean one device, for a worker's settings."""
        return {one.name: one.default for one in fields(Placement)}


def devices_in(text: str) -> list[str]:
    """Return the devices in a list, ``cpu`` as often as there are to be processes.

    Parameters
    ----------
    text : str
        As :func:`parse_devices` takes it.

    Raises
    ------
    InvalidInputError
        If one of them does not exist.
    """
    text = parse_devices(text)
    if (processes := _PROCESSES.fullmatch(text)) is not None:
        return ["cpu"] * int(processes[1] or 1)
    if text in ("all", "cuda", "xpu"):
        found = devices_of_kind(None if text == "all" else text)
        if not found:
            raise InvalidInputError(
                "this machine has no GPU that PyTorch can use",
                hint="$devices(cpu:4) uses four processes on the CPU",
            )
        return found
    try:
        return [resolve_device(name) for name in text.split(",")]
    except InvalidInputError as e:
        raise InvalidInputError(e.message, hint=_THOSE_THERE_ARE) from e
