"""Tensors in files of ``torch.save``, of both its formats; nothing in them is unpickled."""

import os
import sys
import zipfile
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from sfal._core import available_memory
from sfal.collect.sae.files import DAMAGED_ARCHIVE, fill, require
from sfal.collect.sae.torch_pickle import StoredTensor, TorchPickle, read_pickle, read_plain
from sfal.errors import ArtifactError, CorruptError, MemoryLimitError, MissingError
from sfal.store.published.pickle_records import CutShort, Refused

_PICKLE_LIMIT = 16 << 20
"""Most bytes of the pickle, which holds names and shapes; those of real SAEs have kilobytes."""
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The number with which files of torch before 1.6 begin."""


class TorchFile:
    """Tensors and plain settings of a file of ``torch.save``.

    Parameters
    ----------
    path : Path
        File of ``torch.save``, old format or new.

    Raises
    ------
    MissingError
        If there is no such file.
    CorruptError
        If it is damaged.
    ArtifactError
        If it is not such a file, or holds more than tensors, numbers and texts:
        the message names what.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Where each storage begins: a member's name, or a position.
        self._places: dict[str, str | int] = {}
        try:
            with path.open("rb") as file:
                start = file.read(len(_LEGACY))
                if start.startswith(b"PK\x03\x04"):
                    found = self._open_archive(file)
                elif start == _LEGACY:
                    found = self._open_legacy(file)
                else:
                    raise ArtifactError(f"{path} is not a file that torch.save writes")
        except FileNotFoundError as e:
            raise MissingError(f"{path} does not exist") from e
        except CutShort as e:
            raise CorruptError(f"{path} is damaged: {e}") from e
        except Refused as e:
            raise ArtifactError(
                f"{path} holds more than tensors and settings, and is not loaded: {e}",
                hint="save the tensors alone, by torch.save(sae.state_dict(), FILE)",
            ) from e
        except DAMAGED_ARCHIVE as e:
            raise CorruptError(f"{path} is not a readable torch file: {e}") from e
        self._tensors = found.tensors
        self.settings = found.settings
        """Numbers and texts beside the tensors."""
        self.shapes = {name: tensor.shape for name, tensor in found.tensors.items()}
        """Shape of each tensor."""

    def read(self, keys: list[str]) -> dict[str, Tensor]:
        """Read floating-point tensors.

        Raises
        ------
        CorruptError
            If a tensor is cut short.
        ArtifactError
            If one is missing, or does not hold floats.
        MemoryLimitError
            If one does not fit into free memory.
        """
        require(self.path, keys, set(self._tensors))
        for key in keys:
            dtype = self._tensors[key].dtype
            if not dtype.is_floating_point:
                raise ArtifactError(f"{self.path}: array {key!r} is of type {dtype}, not of floats")
        return {key: self._read(key) for key in keys}

    def number(self, key: str) -> float | None:
        """Return a number among the settings, or in a tensor of one element; None without one."""
        stored = self._tensors.get(key)
        if stored is not None:
            return float(self._read(key)) if stored.shape in ((), (1,)) else None
        value = self.settings.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value) if abs(value) <= sys.float_info.max else None

    def _open_archive(self, file: IO[bytes]) -> TorchPickle:
        with zipfile.ZipFile(file) as archive:
            sizes = {info.filename: info for info in archive.infolist()}
            pickles = [name for name in sizes if name.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise ArtifactError(f"{self.path} is not a file that torch.save writes")
            root = pickles[0].removesuffix("data.pkl")
            if f"{root}byteorder" in sizes:
                with archive.open(f"{root}byteorder") as member:
                    if member.read(8) != b"little":
                        raise ArtifactError(f"{self.path} was saved in another byte order")
            size = sizes[pickles[0]].file_size
            if size > _PICKLE_LIMIT:
                raise Refused(f"its pickle takes {size:,} bytes")
            found, _ = read_pickle(archive.read(pickles[0]))
        for tensor in found.tensors.values():
            name = f"{root}data/{tensor.storage}"
            info = sizes.get(name)
            # Compressed members could claim more than the file has; torch.save writes none.
            stored = info is not None and info.compress_type == zipfile.ZIP_STORED
            if info is None or not stored or info.file_size != _n_bytes(tensor):
                raise CorruptError(f"{self.path}: storage {tensor.storage} is missing or cut short")
            self._places[tensor.storage] = name
        return found

    def _open_legacy(self, file: IO[bytes]) -> TorchPickle:
        """Walk the five pickles of the old format, then the storages that follow them."""
        file.seek(0)
        head = file.read(_PICKLE_LIMIT)
        at = len(_LEGACY)
        protocol, n = read_plain(head[at:])
        at += n
        system, n = read_plain(head[at:])
        at += n
        if protocol != 1001 or not isinstance(system, dict) or not system.get("little_endian"):
            raise ArtifactError(f"{self.path} is of an old torch format that SFAL does not read")
        found, n = read_pickle(head[at:])
        at += n
        keys, n = read_plain(head[at:])
        at += n
        end = os.fstat(file.fileno()).st_size
        for key in keys if isinstance(keys, list) else ():
            file.seek(at)
            length = int.from_bytes(file.read(8), "little")
            stored = found.storages.get(key) if isinstance(key, str) else None
            if stored is None or length != stored.length or at + 8 + _n_bytes(stored) > end:
                raise CorruptError(f"{self.path}: storage {str(key)[:40]} is cut short")
            self._places[stored.storage] = at + 8
            at += 8 + _n_bytes(stored)
        if missing := sorted(set(found.storages) - set(self._places)):
            raise CorruptError(f"{self.path}: storage {missing[0]} is missing")
        return found

    def _read(self, key: str) -> Tensor:
        stored = self._tensors[key]
        n_bytes = _n_bytes(stored)
        if n_bytes > available_memory():
            raise MemoryLimitError(
                f"{self.path}: array {key!r} needs {n_bytes:,} bytes, more than is free"
            )
        storage = torch.empty(stored.length, dtype=stored.dtype)
        place = self._places[stored.storage]
        try:
            with self.path.open("rb") as file:
                into = storage.view(torch.uint8).numpy().data if n_bytes else memoryview(b"")
                if isinstance(place, int):
                    file.seek(place)
                    fill(file, into)
                else:
                    with zipfile.ZipFile(file) as archive, archive.open(place) as member:
                        fill(member, into)
                        member.read(1)  # reading to the end checks the checksum
        except DAMAGED_ARCHIVE as e:
            raise CorruptError(f"{self.path}: array {key!r} is damaged: {e}") from e
        return storage.as_strided(stored.shape, stored.stride, stored.offset)


def _n_bytes(stored: StoredTensor) -> int:
    return stored.length * stored.dtype.itemsize
