"""The pickle inside a torch file, read as data: tensors as places in the file, plain settings beside.

``torch.load(weights_only=True)`` still makes objects from what a file claims: a
``bytearray`` of any length, storages of any size. Here nothing is made until a
tensor's place has been compared with the file.
"""

import math
from typing import Any, ClassVar, NamedTuple

import torch

from sfal.store.published.pickle_machine import Machine
from sfal.store.published.pickle_records import Built, Dict, List, Name, Refused, Tuple

_STORAGES = {
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.DoubleStorage": torch.float64,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
}
_REBUILD = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor")
_PARAMETER = "torch._utils._rebuild_parameter"
_ORDERED = "collections.OrderedDict"
_TYPES = ("torch.float32", "torch.float16", "torch.bfloat16", "torch.float64", "torch.device")
_NAMES = frozenset((*_STORAGES, *_REBUILD, _PARAMETER, _ORDERED, *_TYPES))
_DEPTH_LIMIT = 4
_ENTRY_LIMIT = 10_000
_WRAPPERS = ("state_dict", "model_state_dict", "sae", "model")
"""Keys under which checkpoints keep an SAE's tensors beside those of the optimiser."""


class StoredTensor(NamedTuple):
    """Where a tensor lies in a torch file."""

    storage: str
    """Name of the storage."""
    dtype: torch.dtype
    """Item type of the storage."""
    length: int
    """Items in the storage."""
    offset: int
    """First item."""
    shape: tuple[int, ...]
    """Shape of the tensor."""
    stride: tuple[int, ...]
    """Items between neighbours along each axis."""


class TorchPickle(NamedTuple):
    """What the pickle of a torch file describes."""

    tensors: dict[str, StoredTensor]
    """By name; those in a nested dictionary as ``outer.inner``."""
    settings: dict[str, Any]
    """Numbers, texts and None at the top, and in dictionaries there."""
    storages: dict[str, StoredTensor]
    """Every storage, also those of no tensor named here."""


class _TorchMachine(Machine):
    """Adds to the machine what ``torch.save`` writes: storages, and ordered dictionaries."""

    content: ClassVar[str] = "a file of tensors and plain settings"

    def __init__(self, data: bytes, names: frozenset[str]) -> None:
        super().__init__(data, names)
        self.storages: dict[str, StoredTensor] = {}

    def _storage(self) -> None:
        name = self._pop()
        if type(name) is not Tuple or not 5 <= len(name.values) <= 6:
            raise Refused("a storage without type, name, device and length")
        kind, storage_type, key, _device, length = name.values[:5]
        view = name.values[5] if len(name.values) == 6 else None
        known = type(storage_type) is Name and storage_type.path in _STORAGES
        if kind != "storage" or not known or type(key) is not str or view is not None:
            raise Refused("a storage of an unknown kind")
        self._charge(200)
        # A record of our own, which no pickle can spell.
        made = StoredTensor(key, _STORAGES[storage_type.path], _count(length), 0, (), ())
        if self.storages.setdefault(key, made) != made:
            raise Refused(f"two storages of the name {key[:40]!r}")
        self._stack.append(made)

    def _call(self) -> None:
        args, callee = self._peek(), self._stack[-2:-1]
        if callee and type(callee[0]) is Name and callee[0].path == _ORDERED:
            if type(args) is not Tuple or args.values:
                raise Refused("an ordered dictionary made from something")
            self._pop()
            self._pop()
            self._empty_dict()
            return
        super()._call()

    def _build(self) -> None:
        if len(self._stack) >= 2 and type(self._stack[-2]) is Dict:
            self._pop()  # the versions of a module's layout, which torch keeps as an attribute
            self._peek()
            return
        super()._build()


_TorchMachine.steps = {
    **Machine.steps,
    ord("Q"): _TorchMachine._storage,
    ord("R"): _TorchMachine._call,
    ord("b"): _TorchMachine._build,
}


def read_pickle(data: bytes) -> tuple[TorchPickle, int]:
    """Read what a pickle of ``torch.save`` describes, and the bytes that it takes.

    Raises
    ------
    Refused
        If it holds more than dictionaries of tensors, numbers and texts.
    """
    machine = _TorchMachine(data, _NAMES)
    found = machine.run()
    if type(found) is not Dict:
        raise Refused("it does not hold a dictionary of tensors")
    tensors: dict[str, StoredTensor] = {}
    settings: dict[str, Any] = {}
    _collect(found, "", tensors, settings, [_ENTRY_LIMIT])
    return TorchPickle(_unwrapped(tensors), settings, machine.storages), machine.position


def read_plain(data: bytes) -> tuple[Any, int]:
    """Read a pickled number, or list or dictionary of texts and numbers, and the bytes it takes."""
    machine = _TorchMachine(data, frozenset())
    return _plain(machine.run(), _DEPTH_LIMIT), machine.position


def _collect(
    found: Dict,
    prefix: str,
    tensors: dict[str, StoredTensor],
    settings: dict[str, Any],
    left: list[int],
) -> None:
    """Sort the entries of a dictionary into tensors and settings."""
    if prefix.count(".") >= _DEPTH_LIMIT:
        raise Refused(f"dictionaries nested more than {_DEPTH_LIMIT} deep")
    for key, value in found.pairs:
        left[0] -= 1
        if left[0] < 0:
            raise Refused(f"more than {_ENTRY_LIMIT:,} entries")
        if type(key) is not str:
            continue  # the states of an optimiser
        tensor = _tensor(value)
        if tensor is not None:
            tensors[prefix + key] = tensor
        elif type(value) is Dict:
            inner: dict[str, Any] = {}
            _collect(value, f"{prefix}{key}.", tensors, inner, left)
            settings[key] = inner
        else:
            settings[key] = _plain(value, 1)


def _tensor(value: Any) -> StoredTensor | None:
    """Return the place of a tensor that a call in the pickle would rebuild; None if it is none."""
    if type(value) is Built and value.callee == _PARAMETER:
        value = value.args[0] if value.args else None
    if type(value) is not Built or value.callee not in _REBUILD:
        return None
    if len(value.args) < 4 or type(value.args[0]) is not StoredTensor:
        raise Refused("a tensor without a storage")
    storage: StoredTensor = value.args[0]
    offset, size, step = value.args[1:4]
    if type(size) is not Tuple or type(step) is not Tuple or len(size.values) != len(step.values):
        raise Refused("a tensor without a shape")
    shape = tuple(_count(n) for n in size.values)
    stride = tuple(_count(n) for n in step.values)
    offset = _count(offset)
    used = offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True)) + 1
    if 0 not in shape and max(used, math.prod(shape)) > storage.length:
        raise Refused(f"a tensor of shape {shape} in a storage of {storage.length:,} items")
    return storage._replace(offset=offset, shape=shape, stride=stride)


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise Refused("a length or place that is not a number >= 0")
    return value


def _plain(value: Any, depth: int) -> Any:
    """Return a number, text, None, or a list or dictionary of such; None for anything else."""
    if value is None or isinstance(value, str | int | float):
        return value
    if type(value) is Name:
        return value.path
    if type(value) is List and depth > 0:
        return [_plain(item, depth - 1) for item in value.values]
    if type(value) is Dict and depth > 0:
        pairs = [pair for pair in value.pairs if type(pair[0]) is str]
        return {key: _plain(item, depth - 1) for key, item in pairs}
    return None


def _unwrapped(tensors: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Return the SAE's tensors alone where a checkpoint keeps them under one of the usual keys."""
    for wrapper in _WRAPPERS:
        inner = {
            name.removeprefix(f"{wrapper}."): tensor
            for name, tensor in tensors.items()
            if name.startswith(f"{wrapper}.")
        }
        if inner:
            return inner
    return tensors
