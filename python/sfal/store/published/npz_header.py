"""What an ``.npz`` declares, and whether its parts agree; nothing is evaluated or inflated whole."""

import os
import re
import struct
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from sfal._core import available_memory
from sfal.errors import ArtifactError, CorruptError, InvalidInputError, MemoryLimitError
from sfal.io.npy import NpyHeader, read_npy_header

HISTOGRAM, N_WINDOWS = "histogram.npy", "n_chunks.npy"
"""Names of the members."""

_COUNTS = re.compile(r"[<>=][iu][48]")


def member(archive: zipfile.ZipFile, name: str, path: Path) -> zipfile.ZipInfo:
    """Find a member that occurs exactly once, stored or deflated.

    Raises
    ------
    ArtifactError
        If it is missing, occurs twice, is encrypted, or is compressed otherwise.
    """
    names = archive.namelist()
    if names.count(name) != 1:
        found = ", ".join(n.removesuffix(".npy") for n in names[:8]) or "nothing"
        raise ArtifactError(
            f"{path} has no single array {name.removesuffix('.npy')!r}, it holds {found}; "
            "it is not a co-occurrence histogram"
        )
    info = archive.getinfo(name)
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArtifactError(
            f"{path}: array {name.removesuffix('.npy')!r} is encrypted or compressed in a way "
            "that numpy does not write"
        )
    return info


def data_start(file: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Return the position of a member's bytes, after its local header.

    The standard library knows this position, but does not tell it; mapping a
    stored array needs it.
    """
    file.seek(info.header_offset)
    local = file.read(30)
    if len(local) < 30 or local[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile("a member without its header")
    name, extra = struct.unpack("<HH", local[26:30])
    start: int = info.header_offset + 30 + name + extra
    if start + info.compress_size > os.fstat(file.fileno()).st_size:
        raise EOFError("the file is cut short")
    return start


def check_histogram(path: Path, info: zipfile.ZipInfo, header: NpyHeader) -> int:
    """Return the number of features of a histogram whose declared sizes agree and fit memory.

    Raises
    ------
    ArtifactError
        If the item type is not one of counts, or the shape is not square.
    CorruptError
        If the sizes contradict each other.
    MemoryLimitError
        If the counts would not fit into 80 % of the memory that is available.
    """
    item, shape = header.dtype, header.shape
    if _COUNTS.fullmatch(item.str) is None:
        raise ArtifactError(
            f"{path}: the histogram holds items of type {item.str!r}; "
            "counts are int32, int64, or uint32"
        )
    if len(shape) != 2 or shape[0] != shape[1] or shape[0] < 1:
        raise ArtifactError(f"{path}: the histogram has shape {shape}; it must be square")
    n = int(shape[0])
    size = header.length + n * n * item.itemsize
    if info.file_size != size or (
        info.compress_type == zipfile.ZIP_STORED and info.compress_size != size
    ):
        raise CorruptError(
            f"{path}: a histogram of {n:,} features takes {size:,} bytes, "
            f"the file declares {info.file_size:,}; it is damaged"
        )
    # Deflate packs at most 1,032 bytes into one: a larger ratio is a false size.
    if info.file_size > 1100 * max(info.compress_size, 1):
        raise CorruptError(
            f"{path}: {info.file_size:,} bytes cannot come out of the "
            f"{info.compress_size:,} that are stored"
        )
    limit = int(0.8 * available_memory())
    if 4 * n * n > limit:
        raise MemoryLimitError(
            f"{path}: a histogram of {n:,} features takes {4 * n * n:,} bytes, "
            f"and {limit:,} are available",
            hint="score from occurrences, which need a fraction of it ($do_count makes them)",
        )
    return n


def read_n_windows(archive: zipfile.ZipFile, path: Path, given: int | None) -> int:
    """Return the number of windows that the file states, or else the one given.

    Raises
    ------
    InvalidInputError
        If neither is there, or they differ.
    ArtifactError
        If the file states something other than one positive integer.
    """
    if N_WINDOWS not in archive.namelist():
        if given is None:
            raise InvalidInputError(
                f"{path} does not state how many windows it counts", hint="give $n_windows"
            )
        return given
    with archive.open(member(archive, N_WINDOWS, path)) as file:
        header = read_npy_header(file)
        values = file.read(header.dtype.itemsize + 1)
    if (
        _COUNTS.fullmatch(header.dtype.str) is None
        or set(header.shape) > {1}
        or len(values) != header.dtype.itemsize
    ):
        raise ArtifactError(f"{path}: n_chunks is not a single integer")
    found = int(np.frombuffer(values, header.dtype)[0])
    if found < 1:
        raise ArtifactError(f"{path}: n_chunks is {found}, which is not a number of windows")
    if given is not None and given != found:
        raise InvalidInputError(
            f"{path} counts {found:,} windows, not {given:,}", hint="leave out $n_windows"
        )
    return found
