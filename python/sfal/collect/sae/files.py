"""Arrays and settings of SAE files: no pickles, and only the arrays asked for."""

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
from sfal.errors import ArtifactError, MemoryLimitError
from sfal.io.atomic import read_json
from sfal.io.npy import read_npy_header

_DAMAGED = (ValueError, EOFError, SyntaxError, TokenError, zlib.error, zipfile.BadZipFile)
"""What damage to an array's header or content ends in."""


def read_npz(path: Path, keys: Sequence[str]) -> dict[str, Tensor]:
    """Floating-point arrays of an ``.npz`` file, as tensors.

    Parameters
    ----------
    path : Path
        File as ``np.savez`` or ``np.savez_compressed`` writes it.
    keys : sequence of str
        Arrays to read; the others are not touched.

    Raises
    ------
    ArtifactError
        If the file is damaged or lacks an array, or one does not hold floats;
        the message names file and key.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            there = {name.removesuffix(".npy") for name in archive.namelist()}
            _require(path, keys, there)
            return {key: _read_member(path, archive, key) for key in keys}
    except (OSError, zipfile.BadZipFile, NotImplementedError) as e:
        raise ArtifactError(f"{path} is no readable .npz file: {e}") from e


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
                raise ArtifactError(f"{path}: array {key!r} is not as long as its shape {shape}")
            if count * dtype.itemsize > available_memory():
                raise MemoryLimitError(
                    f"{path}: array {key!r} takes {count * dtype.itemsize:,} bytes, more than is free"
                )
            array = np.empty(count, dtype)
            _fill(member, array.view(np.uint8).data)
            extra = member.read(1)  # reading to the end also checks the sum
    except MemoryLimitError:
        raise
    except (*_DAMAGED, MemoryError) as e:
        raise ArtifactError(f"{path}: array {key!r} is damaged: {e}") from e
    if extra:
        raise ArtifactError(f"{path}: array {key!r} is longer than its shape {shape}")
    shaped = array.reshape(shape, order="F" if fortran else "C")
    native = shaped.astype(dtype.newbyteorder("="), copy=False)
    return torch.from_numpy(np.ascontiguousarray(native))


def _fill(member: IO[bytes], into: memoryview) -> None:
    at = 0
    while at < len(into):
        block = member.read(min(len(into) - at, 1 << 20))
        if not block:
            raise EOFError("it ends early")
        into[at : at + len(block)] = block
        at += len(block)


def read_safetensors(path: Path, keys: Sequence[str]) -> dict[str, Tensor]:
    """Tensors of a safetensors file; errors as :func:`read_npz`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            _require(path, keys, set(file.keys()))
            found = {key: file.get_tensor(key) for key in keys}
    except (OSError, SafetensorError) as e:
        raise ArtifactError(f"{path} is no readable safetensors file: {e}") from e
    for key, tensor in found.items():
        if not tensor.is_floating_point():
            raise ArtifactError(f"{path}: array {key!r} is of type {tensor.dtype}, not of floats")
    return found


def safetensors_keys(path: Path) -> set[str]:
    """Names of the tensors in a safetensors file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return set(file.keys())
    except (OSError, SafetensorError) as e:
        raise ArtifactError(f"{path} is no readable safetensors file: {e}") from e


def read_settings(path: Path) -> dict[str, Any]:
    """JSON object in a file."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise ArtifactError(f"{path} is no JSON object; it is not the settings of an SAE")
    return found


def number(path: Path, settings: dict[str, Any], *keys: str) -> float:
    """A finite number in nested settings; ArtifactError naming file and key otherwise."""
    value: Any = settings
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not abs(value) <= sys.float_info.max:
        raise ArtifactError(f"{path}: {'.'.join(keys)} is {str(value)[:80]!r}, not a number")
    return float(value)


def check_arrays(path: Path, arrays: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]) -> None:
    """Refuse arrays of the wrong shape, NaN, and infinity but in a threshold.

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
        # Both outlast a sum, which needs no second array as large.
        total = array.sum(dtype=torch.float64)
        if total.isnan() or (total.isinf() and key != "threshold"):
            raise ArtifactError(f"{path}: array {key!r} holds NaN or infinity")


def encoder_shape(path: Path, arrays: dict[str, Tensor], key: str) -> tuple[int, int]:
    """Shape of a weight that must be a matrix and not empty."""
    shape = tuple(arrays[key].shape)
    if len(shape) != 2 or 0 in shape:
        raise ArtifactError(f"{path}: array {key!r} has shape {shape}, expected a matrix")
    return shape[0], shape[1]


def _require(path: Path, keys: Sequence[str], there: set[str]) -> None:
    missing = [key for key in keys if key not in there]
    if missing:
        raise ArtifactError(
            f"{path} lacks {', '.join(map(repr, missing))}; it holds {', '.join(sorted(there))}"
        )
