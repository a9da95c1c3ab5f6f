"""Where the arrays lie in an ``.npz``, and whether what it declares agrees; nothing is evaluated."""

import os
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from sfal.errors import ArtifactError, InvalidInputError, MemoryLimitError

HISTOGRAM, N_WINDOWS = "histogram.npy", "n_chunks.npy"
"""Names of the members."""

_HEADER_LIMIT = 1 << 16
_NPY_HEADER = re.compile(
    rb"\{'descr': '([^']{1,20})', 'fortran_order': (?:True|False), "
    rb"'shape': \(([0-9, ]{0,60})\),? ?\} *\n"
)
_COUNTS = re.compile(r"[<>=][iu][48]")


def member(archive: zipfile.ZipFile, name: str, path: Path) -> zipfile.ZipInfo:
    """Entry of a member that is there once, plain or deflated."""
    names = archive.namelist()
    if names.count(name) != 1:
        there = ", ".join(n.removesuffix(".npy") for n in names[:8]) or "nothing"
        raise ArtifactError(
            f"{path} has no single array {name.removesuffix('.npy')!r}, it holds {there}; "
            "it is no co-occurrence histogram"
        )
    info = archive.getinfo(name)
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArtifactError(
            f"{path}: array {name.removesuffix('.npy')!r} is encrypted or compressed in a way "
            "that numpy does not write"
        )
    return info


def data_start(file: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Position of a member's bytes, behind its local header."""
    file.seek(info.header_offset)
    local = file.read(30)
    if len(local) < 30 or local[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile("a member without its header")
    name, extra = struct.unpack("<HH", local[26:30])
    start: int = info.header_offset + 30 + name + extra
    if start + info.compress_size > os.fstat(file.fileno()).st_size:
        raise EOFError("the file is cut short")
    return start


def first_bytes(file: IO[bytes], start: int, info: zipfile.ZipInfo) -> bytes:
    """Beginning of a member, inflated, 64 KiB at most."""
    file.seek(start)
    raw = file.read(min(info.compress_size, _HEADER_LIMIT))
    if info.compress_type == zipfile.ZIP_STORED:
        return raw
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(raw, _HEADER_LIMIT)


def npy_header(content: bytes) -> tuple[int, tuple[int, ...], str]:
    """Length of an array's header in bytes, its shape and item type, as numpy writes them."""
    if content[:6] != b"\x93NUMPY" or len(content) < 12:
        raise ValueError("an array without its header")
    size_bytes = 2 if content[6] == 1 else 4
    first = 8 + size_bytes
    stop = first + int.from_bytes(content[8:first], "little")
    match = _NPY_HEADER.fullmatch(content[first:stop])
    if match is None or stop > len(content):
        raise ValueError("an array whose header is not as numpy writes it")
    # Column order is of no matter to a symmetric matrix; asymmetric ones are refused later.
    shape = tuple(int(n) for n in match[2].replace(b" ", b"").split(b",") if n)
    return stop, shape, match[1].decode("ascii")


def check_shape(
    path: Path, info: zipfile.ZipInfo, header: int, shape: tuple[int, ...], item: str
) -> int:
    """Width of a histogram whose shape, item type and sizes agree and whose counts fit."""
    if _COUNTS.fullmatch(item) is None:
        raise ArtifactError(
            f"{path}: the histogram holds items of type {item!r}; counts are int32, int64 or uint32"
        )
    dtype = np.dtype(item)
    if len(shape) != 2 or shape[0] != shape[1] or shape[0] < 1:
        raise ArtifactError(f"{path}: the histogram has shape {shape}, it must be square")
    n = int(shape[0])
    size = header + n * n * dtype.itemsize
    if info.file_size != size or (
        info.compress_type == zipfile.ZIP_STORED and info.compress_size != size
    ):
        raise ArtifactError(
            f"{path}: a histogram of {n:,} features takes {size:,} bytes, "
            f"the file declares {info.file_size:,}; it is damaged"
        )
    # Deflate packs at most 1,032 bytes into one: more is a lie about the size.
    if info.file_size > 1100 * max(info.compress_size, 1):
        raise ArtifactError(f"{path}: {info.file_size:,} bytes cannot come out of what is stored")
    limit = int(0.8 * available_memory())
    if 4 * n * n > limit:
        raise MemoryLimitError(
            f"{path}: a histogram of {n:,} features takes {4 * n * n:,} bytes, "
            f"of which {limit:,} are free; score from occurrences, which need a fraction of it"
        )
    return n


def read_n_windows(archive: zipfile.ZipFile, path: Path, given: int | None) -> int:
    """Return the number of windows that the file says, or else the one given."""
    if N_WINDOWS not in archive.namelist():
        if given is None:
            raise InvalidInputError(
                f"{path} does not say over how many windows it counts; give --n-windows"
            )
        return given
    info = member(archive, N_WINDOWS, path)
    if info.file_size > _HEADER_LIMIT:
        raise ArtifactError(f"{path}: n_chunks is no single number")
    with archive.open(info) as file:
        content = file.read(_HEADER_LIMIT)
    start, shape, item = npy_header(content)
    values = content[start:]
    if _COUNTS.fullmatch(item) is None or set(shape) > {1} or len(values) != int(item[-1]):
        raise ArtifactError(f"{path}: n_chunks is no single integer")
    found = int(np.frombuffer(values, np.dtype(item))[0])
    if found < 1:
        raise ArtifactError(f"{path}: n_chunks is {found}, no number of windows")
    if given is not None and given != found:
        raise InvalidInputError(
            f"{path} counts over {found:,} windows, --n-windows says {given:,}; leave it out"
        )
    return found


def available_memory() -> int:
    """Bytes of memory that a process could still take."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
