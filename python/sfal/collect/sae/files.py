"""Arrays and settings in SAE files: no pickles, and only the arrays requested."""

import sys
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from sfal._core import available_memory
from sfal.errors import ArtifactError, CorruptError, MemoryLimitError, MissingError
from sfal.io.atomic import read_json
from sfal.io.npy import read_npy_header

DAMAGED_ARCHIVE = (
    OSError,
    EOFError,
    NotImplementedError,
    RuntimeError,  # a member that claims to be encrypted
    ValueError,  # a name that is not UTF-8
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading from a damaged zip archive raises."""
_DAMAGED = (*DAMAGED_ARCHIVE, SyntaxError, TokenError)
"""What a damaged header or array raises."""


def read_npz(path: Path, keys: Sequence[str]) -> dict[str, Tensor]:
    """Read floating-point arrays from an ``.npz`` file, as tensors.

    Parameters
    ----------
    path : Path
        File as ``np.savez`` or ``np.savez_compressed`` writes it.
    keys : sequence of str
        Arrays to read; the others are left alone.

    Raises
    ------
    MissingError
        If there is no such file.
    CorruptError
        If it is damaged.
    ArtifactError
        If it lacks an array, or one does not hold floats. The message names
        file and key.
    MemoryLimitError
        If an array does not fit into free memory.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            stored = {name.removesuffix(".npy") for name in archive.namelist()}
            require(path, keys, stored)
            return {key: _read_member(path, archive, key) for key in keys}
    except FileNotFoundError as e:
        raise MissingError(f"{path} does not exist") from e
    except DAMAGED_ARCHIVE as e:
        raise CorruptError(f"{path} is not a readable .npz file: {e}") from e


def _read_member(path: Path, archive: zipfile.ZipFile, key: str) -> Tensor:
    name = f"{key}.npy"
    try:
        with archive.open(name) as member:
            _length, shape, fortran, dtype = read_npy_header(member)
            if dtype.kind != "f":
                raise ArtifactError(f"{path}: array {key!r} is of type {dtype}, not of floats")
            count = int(np.prod(shape, dtype=object)) if shape else 1
            # Checked before anything is allocated: a header may claim any shape.
            if archive.getinfo(name).file_size - member.tell() != count * dtype.itemsize:
                raise CorruptError(
                    f"{path}: array {key!r} is shorter or longer than its shape {shape}"
                )
            if count * dtype.itemsize > available_memory():
                raise MemoryLimitError(
                    f"{path}: array {key!r} needs {count * dtype.itemsize:,} bytes, more than is free"
                )
            array = np.empty(count, dtype)
            fill(member, array.view(np.uint8).data)
            extra = member.read(1)  # reading to the end also checks the checksum
    except MemoryLimitError:
        raise
    except (*_DAMAGED, MemoryError) as e:
        raise CorruptError(f"{path}: array {key!r} is damaged: {e}") from e
    if extra:
        raise CorruptError(f"{path}: array {key!r} is longer than its shape {shape}")
    shaped = array.reshape(shape, order="F" if fortran else "C")
    native = shaped.astype(dtype.newbyteorder("="), copy=False)
    return torch.from_numpy(np.ascontiguousarray(native))


def fill(member: IO[bytes], into: memoryview) -> None:
    """Read as many bytes as memory has place for; EOFError if there are fewer."""
    at = 0
    while at < len(into):
        block = member.read(min(len(into) - at, 1 << 20))
        if not block:
            raise EOFError("it ends early")
        into[at : at + len(block)] = block
        at += len(block)


def read_safetensors(path: Path, keys: Sequence[str]) -> dict[str, Tensor]:
    """Read tensors from a safetensors file; errors as in :func:`read_npz`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            require(path, keys, set(file.keys()))
            found = {key: file.get_tensor(key) for key in keys}
    except FileNotFoundError as e:
        raise MissingError(f"{path} does not exist") from e
    except (OSError, SafetensorError) as e:
        raise CorruptError(f"{path} is not a readable safetensors file: {e}") from e
    for key, tensor in found.items():
        if not tensor.is_floating_point():
            raise ArtifactError(f"{path}: array {key!r} is of type {tensor.dtype}, not of floats")
    return found


class SafetensorsFile:
    """Tensors of a safetensors file, whose shapes are known before one is read.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    MissingError
        If there is no such file.
    CorruptError
        If it is damaged.
    """

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        self.path = path
        try:
            with safe_open(path, framework="pt") as file:
                self.shapes = {
                    key: tuple(file.get_slice(key).get_shape())
                    for key in file.keys()  # noqa: SIM118 - not a dictionary
                }
                """Shape of each tensor."""
        except FileNotFoundError as e:
            raise MissingError(f"{path} does not exist") from e
        except (OSError, SafetensorError) as e:
            raise CorruptError(f"{path} is not a readable safetensors file: {e}") from e

    def read(self, keys: Sequence[str]) -> dict[str, Tensor]:
        """Read floating-point tensors; errors as in :func:`read_safetensors`."""
        return read_safetensors(self.path, keys)


def read_settings(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise ArtifactError(f"{path} is not a JSON object, as the settings of an SAE are")
    return found


def number(path: Path, settings: dict[str, Any], *keys: str) -> float:
    """Return a finite number from nested settings.

    Raises
    ------
    ArtifactError
        If there is none under these keys; the message names file and keys.
    """
    value: Any = settings
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not abs(value) <= sys.float_info.max:
        raise ArtifactError(f"{path}: {'.'.join(keys)} is {str(value)[:80]!r}, not a number")
    return float(value)


def check_arrays(path: Path, arrays: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]) -> None:
    """Refuse arrays of the wrong shape, NaN, and infinity except in a threshold.

    Raises
    ------
    ArtifactError
        Naming file and key.
    """
    for key, shape in shapes.items():
        if key in arrays and tuple(arrays[key].shape) != shape:
            raise ArtifactError(
                f"{path}: array {key!r} has shape {tuple(arrays[key].shape)}, expected {shape}"
            )
    for key, array in arrays.items():
        # Both survive a sum, which needs no second array of that size.
        total = array.sum(dtype=torch.float64)
        if total.isnan() or (total.isinf() and key != "threshold"):
            raise ArtifactError(f"{path}: array {key!r} holds NaN or infinity")


def encoder_shape(path: Path, arrays: dict[str, Tensor], key: str) -> tuple[int, int]:
    """Return the shape of a weight, which must be a non-empty matrix."""
    shape = tuple(arrays[key].shape)
    refuse_crosscoder(path, key, shape)
    if len(shape) != 2 or 0 in shape:
        raise ArtifactError(f"{path}: array {key!r} has shape {shape}, expected a matrix")
    return shape[0], shape[1]


def refuse_crosscoder(path: Path, key: str, shape: tuple[int, ...]) -> None:
    """Refuse an encoder of three dimensions, by the name of what it is."""
    if len(shape) == 3:
        raise ArtifactError(
            f"{path} is a crosscoder: its {key!r} of shape {shape} reads several activations of a "
            "token at once, and SFAL counts SAEs that read one",
            hint="count what it fires by its own code with $do_count_encoded",
        )


def require(path: Path, keys: Sequence[str], stored: set[str]) -> None:
    """Refuse a file that lacks an array, naming what it holds."""
    missing = [key for key in keys if key not in stored]
    if missing:
        raise ArtifactError(
            f"{path} lacks {', '.join(map(repr, missing))}; it holds {', '.join(sorted(stored))}"
        )
