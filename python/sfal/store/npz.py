"""Histograms in ``.npz`` files, as the published scripts write and read them.

Two members: ``histogram``, the F×F co-occurrence counts, and ``n_chunks``, the
number of windows. An uncompressed histogram of 16k features is 1 GiB, so it is
mapped, not read, where the file allows it; a compressed one is inflated into
one array, never twice in memory. Sizes are checked before anything is inflated.
"""

import io
import mmap
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from sfal.errors import ArtifactError, InvalidInputError, MemoryLimitError
from sfal.store.files import atomic_path

Counts = npt.NDArray[np.uint32] | npt.NDArray[np.int32]

PATTERN = "*cooccurrences*.npz"
"""File names of histograms."""

_HISTOGRAM, _N_WINDOWS = "histogram.npy", "n_chunks.npy"
_CHUNK = 1 << 22
_ALIGNMENT = 64
_HEADER_LIMIT = 1 << 16
_PADDING_ID = 0xD935  # the extra field by which zipalign pads
_NPY_HEADER = re.compile(
    rb"\{'descr': '([^']{1,20})', 'fortran_order': (?:True|False), "
    rb"'shape': \(([0-9, ]{0,60})\),? ?\} *\n"
)
_COUNTS = re.compile(r"[<>=][iu][48]")
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class HistogramFile:
    """A histogram on disk whose declared sizes have been checked."""

    path: Path
    """The ``.npz`` file."""
    n_features: int
    """Rows and columns."""
    n_windows: int
    """Windows counted."""
    compressed: bool
    """Whether it must be inflated."""
    _dtype: np.dtype[Any]
    _start: int
    _stored: int
    _header: int

    def load(self) -> Counts:
        """Map the counts where they lie in the file, or read them into memory.

        Returns
        -------
        counts : ndarray of shape (n_features, n_features), uint32 or int32
            Read-only, and perhaps unaligned, where it is mapped. What the
            numbers mean is not checked here: `Histogram.from_counts` does that.

        Raises
        ------
        ArtifactError
            If the file is damaged, or a count is negative or beyond 32 bits.
        """
        plain = self._dtype.itemsize == 4 and self._dtype.isnative
        try:
            if plain and not self.compressed:
                return self._map()
            return self._stream(plain)
        except (OSError, *_DAMAGED) as e:
            raise _damaged(self.path, e) from e

    def _map(self) -> Counts:
        with self.path.open("rb") as file:
            whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        n, first = self.n_features, self._start + self._header
        if len(whole) < first + 4 * n * n:
            raise EOFError("the histogram is cut short")
        # What np.savez writes lies across word boundaries, which the core can read too.
        return np.ndarray((n, n), self._dtype, whole, offset=first)

    def _stream(self, plain: bool) -> Counts:
        n = self.n_features
        counts: Counts = np.empty((n, n), self._dtype if plain else np.uint32)
        flat: npt.NDArray[Any] = counts.reshape(-1)
        target = flat.view(np.uint8)
        done, rest, skip = 0, b"", self._header
        for chunk in self._chunks():
            content = rest + chunk[skip:] if rest or skip else chunk
            skip = max(0, skip - len(chunk))
            if plain:
                target[done : done + len(content)] = np.frombuffer(content, np.uint8)
                done += len(content)
                continue
            whole = len(content) // self._dtype.itemsize * self._dtype.itemsize
            values = np.frombuffer(content, self._dtype, whole // self._dtype.itemsize)
            if values.size and not 0 <= int(values.min()) <= int(values.max()) < 1 << 32:
                raise ArtifactError(
                    f"{self.path}: the histogram holds counts below 0 or beyond 32 bits"
                )
            flat[done : done + len(values)] = values
            done, rest = done + len(values), content[whole:]
        return counts

    def _chunks(self) -> Iterator[bytes]:
        """Bytes of the member, inflated, exactly as many as it declares."""
        expected = self._header + self.n_features**2 * self._dtype.itemsize
        left = self._stored
        inflate = zlib.decompressobj(-zlib.MAX_WBITS) if self.compressed else None
        with self.path.open("rb") as file:
            file.seek(self._start)
            while left and expected:
                raw = file.read(min(_CHUNK, left))
                if not raw:
                    break
                left -= len(raw)
                while raw and expected:
                    limit = min(_CHUNK, expected)
                    chunk = inflate.decompress(raw, limit) if inflate else raw[:limit]
                    raw = inflate.unconsumed_tail if inflate else b""
                    expected -= len(chunk)
                    if chunk:
                        yield chunk
                    elif inflate and inflate.eof:
                        break
        if expected:
            raise EOFError("the histogram is cut short")


def inspect_histogram(path: Path, n_windows: int | None = None) -> HistogramFile:
    """Check what an ``.npz`` declares, without reading the counts.

    Parameters
    ----------
    path : Path
        The file.
    n_windows : int, optional
        Number of windows, for a file that does not say.

    Raises
    ------
    ArtifactError
        If it is no such file, or declares sizes that do not agree.
    InvalidInputError
        If the number of windows is given nowhere, or differently in both places.
    MemoryLimitError
        If the counts would not fit into the memory that is free.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            info = _member(archive, _HISTOGRAM, path)
            start = _data_start(file, info)
            header, shape, item = _npy_header(_first_bytes(file, start, info))
            n = _check_shape(path, info, header, shape, item)
            windows = _read_n_windows(archive, path, n_windows)
    except ArtifactError:
        raise
    except InvalidInputError:
        raise
    except (OSError, *_DAMAGED) as e:
        raise _damaged(path, e) from e
    compressed = info.compress_type == zipfile.ZIP_DEFLATED
    return HistogramFile(
        path, n, windows, compressed, np.dtype(item), start, info.compress_size, header
    )


def open_histogram(path: Path, n_windows: int | None = None) -> tuple[Counts, int]:
    """Read a histogram and its number of windows.

    Parameters
    ----------
    path : Path
        The ``.npz`` file.
    n_windows : int, optional
        Number of windows, for a file that does not say.

    Returns
    -------
    counts : ndarray of shape (F, F), uint32 or int32
        Mapped from the file where it is stored uncompressed and aligned.
    n_windows : int

    Raises
    ------
    ArtifactError, InvalidInputError, MemoryLimitError
        As :func:`inspect_histogram` and :meth:`HistogramFile.load`.
    """
    file = inspect_histogram(path, n_windows)
    return file.load(), file.n_windows


def write_histogram(path: Path, counts: npt.NDArray[np.uint32], n_windows: int) -> None:
    """Write a histogram as the published scripts do: int32, and ``n_chunks``.

    Uncompressed, and placed in the file so that it can be mapped. The same
    counts give the same bytes.

    Parameters
    ----------
    path : Path
        The ``.npz`` file; replaced if it is there.
    counts : ndarray of shape (F, F), uint32
    n_windows : int

    Raises
    ------
    ArtifactError
        If a count is beyond int32, which the published layout cannot hold, or
        the file cannot be written.
    """
    if counts.size and int(counts.max()) > np.iinfo(np.int32).max:
        raise ArtifactError(
            f"{path}: a count of {int(counts.max())} is beyond int32, which the published layout "
            "holds; use --histogram none, scoring needs only the occurrences"
        )
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", allowZip64=True) as out:
        _write_member(out, _HISTOGRAM, np.ascontiguousarray(counts).view(np.int32))
        _write_member(out, _N_WINDOWS, np.array(n_windows, dtype=np.int64))


def _write_member(archive: zipfile.ZipFile, name: str, array: npt.NDArray[Any]) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    info = zipfile.ZipInfo(name)
    # 30 bytes of local header, the name, 20 bytes of zip64 sizes, 4 before the padding itself.
    start = archive.fp.tell() if archive.fp else 0
    taken = start + 30 + len(name) + 20 + 4 + header.tell()
    padding = -taken % _ALIGNMENT
    info.extra = struct.pack("<HH", _PADDING_ID, padding) + b"\0" * padding
    with archive.open(info, "w", force_zip64=True) as member:
        member.write(header.getvalue())
        rows = array.reshape(-1)
        for first in range(0, len(rows), _CHUNK):
            member.write(rows[first : first + _CHUNK].view(np.uint8).data)


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> zipfile.ZipInfo:
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


def _data_start(file: IO[bytes], info: zipfile.ZipInfo) -> int:
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


def _first_bytes(file: IO[bytes], start: int, info: zipfile.ZipInfo) -> bytes:
    file.seek(start)
    raw = file.read(min(info.compress_size, _HEADER_LIMIT))
    if info.compress_type == zipfile.ZIP_STORED:
        return raw
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(raw, _HEADER_LIMIT)


def _npy_header(content: bytes) -> tuple[int, tuple[int, ...], str]:
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


def _check_shape(
    path: Path, info: zipfile.ZipInfo, header: int, shape: tuple[int, ...], item: str
) -> int:
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


def _read_n_windows(archive: zipfile.ZipFile, path: Path, given: int | None) -> int:
    if _N_WINDOWS not in archive.namelist():
        if given is None:
            raise InvalidInputError(
                f"{path} does not say over how many windows it counts; give --n-windows"
            )
        return given
    info = _member(archive, _N_WINDOWS, path)
    if info.file_size > _HEADER_LIMIT:
        raise ArtifactError(f"{path}: n_chunks is no single number")
    with archive.open(info) as member:
        content = member.read(_HEADER_LIMIT)
    start, shape, item = _npy_header(content)
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


def _damaged(path: Path, error: Exception) -> ArtifactError:
    if isinstance(error, OSError):
        return ArtifactError(f"cannot read {path}: {error.strerror or error}")
    return ArtifactError(f"{path} is no readable .npz file ({error}); it is damaged or cut short")
