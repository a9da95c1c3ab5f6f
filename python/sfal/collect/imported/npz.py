"""Firings as arrays in an ``.npz`` file, read as a stream; nothing is unpickled."""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sfal.collect.imported.columns import Columns, choose_columns
from sfal.collect.imported.rows import Facts, Rows, Tokens, reading, whole_numbers
from sfal.errors import InvalidInputError
from sfal.io.npy import NpyHeader, read_npy_header

_ERRORS = (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, RuntimeError)
_LENGTHS = "document_lengths"
_TOKENS = "tokens"


@dataclass(frozen=True)
class NpzArrays:
    """One array per column, and perhaps ``tokens`` or ``document_lengths``."""

    path: Path
    """The file."""
    named: Mapping[str, str]
    """Arrays that the user named, by role."""

    @cached_property
    def _headers(self) -> dict[str, NpyHeader]:
        with reading(self.path, "npz", *_ERRORS), zipfile.ZipFile(self.path) as archive:
            found = {}
            for name in archive.namelist():
                if name.endswith(".npy"):
                    with archive.open(name) as file:
                        found[name.removesuffix(".npy")] = read_npy_header(file)
        return found

    @cached_property
    def _columns(self) -> Columns:
        headers = self._headers
        self._refuse_matrix()
        there = [name for name in headers if name not in (_TOKENS, _LENGTHS)]
        chosen = choose_columns(
            self.path, there, dict(self.named), lambda name: _is_number(headers[name]), "arrays"
        )
        shapes = {name: headers[name].shape for name in chosen.found.values()}
        if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
            listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise InvalidInputError(
                f"{self.path}: its arrays have the shapes {listed}; they must have one dimension "
                "and equal lengths"
            )
        for role, name in chosen.found.items():
            if role != "activation" or headers[name].dtype.kind != "b":
                _check_numbers(self.path, name, headers[name])
        [length] = set(shapes.values())
        beside = tuple(name for name in chosen.strengths if headers[name].shape == length)
        return replace(chosen, strengths=beside)

    def _refuse_matrix(self) -> None:
        """Refuse matrices of activations, which do not say where documents begin and end."""
        headers = self._headers
        sparse = "format" in headers and "shape" in headers and "data" in headers
        wide = [
            name for name, header in headers.items() if len(header.shape) > 1 and name != _TOKENS
        ]
        if sparse or (wide and len(headers) <= 2):
            what = "a sparse matrix of scipy" if sparse else f"{wide[0]} of shape "
            what += "" if sparse else str(headers[wide[0]].shape)
            raise InvalidInputError(
                f"{self.path} holds {what}, which does not say which document and position a row "
                "is",
                hint="write its entries as the arrays document, position, feature and activation, "
                "or give the matrix to $do_count_features",
            )

    @cached_property
    def facts(self) -> Facts:
        """What the file says about the whole."""
        chosen, headers = self._columns, self._headers
        lengths = tokens = None
        if _LENGTHS in headers:
            lengths = whole_numbers(self.path, 0, self._whole(_LENGTHS, 1), _LENGTHS)
            if lengths.size and lengths.min() < 0:
                raise InvalidInputError(f"{self.path}: {_LENGTHS} has {lengths.min()}")
        elif _TOKENS in headers:
            ids = self._whole(_TOKENS, 2)
            tokens = Tokens((ids.shape[0], ids.shape[1]), lambda first, stop: ids[first:stop])
        return Facts(
            "npz",
            tuple(chosen.found),
            lengths=lengths,
            tokens=tokens,
            apart=chosen.apart,
            strengths=chosen.strengths,
        )

    def rows(self, size: int) -> Iterator[Rows]:
        """Read the arrays side by side, about `size` rows at a time."""
        found, headers = self._columns.found, self._headers
        total = headers[found["document"]].shape[0]
        with ExitStack() as stack:
            with reading(self.path, "npz", *_ERRORS):
                archive = stack.enter_context(zipfile.ZipFile(self.path))
                streams = {
                    role: stack.enter_context(archive.open(f"{name}.npy"))
                    for role, name in found.items()
                }
                for stream in streams.values():
                    read_npy_header(stream)
            for first in range(0, total, size):
                n = min(size, total - first)
                with reading(self.path, "npz", *_ERRORS):
                    columns = {
                        role: _take(stream, headers[found[role]].dtype, n)
                        for role, stream in streams.items()
                    }
                place = "window" if "window" in columns else "position"
                yield Rows(
                    first,
                    whole_numbers(self.path, first, columns["document"], "document"),
                    whole_numbers(self.path, first, columns[place], place),
                    whole_numbers(self.path, first, columns["feature"], "feature"),
                    columns.get("activation"),
                )
            with reading(self.path, "npz", *_ERRORS):
                for stream in streams.values():
                    if stream.read(1):  # also checks the member's checksum
                        raise ValueError("an array is longer than its header says")

    def _whole(self, name: str, dimensions: int) -> NDArray[Any]:
        header = self._headers[name]
        _check_numbers(self.path, name, header)
        if len(header.shape) != dimensions or (header.fortran_order and dimensions > 1):
            raise InvalidInputError(
                f"{self.path}: {name} has shape {header.shape}; it must have {dimensions} "
                f"dimension{'s' if dimensions > 1 else ''}, rows first"
            )
        size = header.dtype.itemsize * int(np.prod(header.shape, dtype=object))
        with reading(self.path, "npz", *_ERRORS), zipfile.ZipFile(self.path) as archive:
            info = archive.getinfo(f"{name}.npy")
            if info.file_size != header.length + size:
                raise ValueError(f"{name} is not as long as its header says")
            with archive.open(info) as file:
                read_npy_header(file)
                values = np.frombuffer(file.read(size), header.dtype)
                return values.reshape(header.shape)


def _is_number(header: NpyHeader) -> bool:
    return header.dtype.kind in "iufb"


def _check_numbers(path: Path, name: str, header: NpyHeader) -> None:
    if header.dtype.kind not in "iuf":
        raise InvalidInputError(f"{path}: array {name} is of type {header.dtype}, not of numbers")


def _take(stream: IO[bytes], dtype: np.dtype[Any], n: int) -> NDArray[Any]:
    pieces, left = [], n * dtype.itemsize
    while left:
        piece = stream.read(left)
        if not piece:
            raise EOFError("an array is shorter than its header says")
        pieces.append(piece)
        left -= len(piece)
    values = np.frombuffer(b"".join(pieces), dtype)
    if dtype.kind == "b":
        return values.view(np.int8)
    return values if dtype.isnative else values.astype(dtype.newbyteorder("="))
