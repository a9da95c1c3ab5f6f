"""Histograms in ``.npz`` files, as the published scripts write and read them.

Two members: ``histogram``, the F×F co-occurrence counts, and ``n_chunks``, the
number of windows. An uncompressed histogram of 16k features is 1 GiB, so it is
mapped, not read, where the file allows it; a compressed one is inflated into
one array, never twice in memory. Sizes are checked before anything is inflated.
"""

import io
import mmap
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sfal.errors import ArtifactError, InvalidInputError
from sfal.io.atomic import atomic_path
from sfal.store.published.npz_header import (
    HISTOGRAM,
    N_WINDOWS,
    check_shape,
    data_start,
    first_bytes,
    member,
    npy_header,
    read_n_windows,
)

Counts = npt.NDArray[np.uint32] | npt.NDArray[np.int32]

PATTERN = "*cooccurrences*.npz"
"""File names of histograms."""

_CHUNK = 1 << 22
_ALIGNMENT = 64
_PADDING_ID = 0xD935  # the extra field by which zipalign pads
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
    _checksum: int

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
        """Bytes of the member, inflated, exactly as many as it declares, and its checksum held."""
        expected = self._header + self.n_features**2 * self._dtype.itemsize
        left, checksum = self._stored, 0
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
                        checksum = zlib.crc32(chunk, checksum)
                        yield chunk
                    elif inflate and inflate.eof:
                        break
        if expected:
            raise EOFError("the histogram is cut short")
        if checksum != self._checksum:
            raise zipfile.BadZipFile("the checksum of the histogram is another")


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
            info = member(archive, HISTOGRAM, path)
            start = data_start(file, info)
            header, shape, item = npy_header(first_bytes(file, start, info))
            n = check_shape(path, info, header, shape, item)
            windows = read_n_windows(archive, path, n_windows)
    except ArtifactError:
        raise
    except InvalidInputError:
        raise
    except (OSError, *_DAMAGED) as e:
        raise _damaged(path, e) from e
    compressed = info.compress_type == zipfile.ZIP_DEFLATED
    return HistogramFile(
        path, n, windows, compressed, np.dtype(item), start, info.compress_size, header, info.CRC
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
        _write_member(out, HISTOGRAM, np.ascontiguousarray(counts).view(np.int32))
        _write_member(out, N_WINDOWS, np.array(n_windows, dtype=np.int64))


def histogram_bytes(n_features: int) -> int:
    """Size of the file that :func:`write_histogram` makes for an SAE of this width.

    Examples
    --------
    >>> histogram_bytes(16_384) - 4 * 16_384**2
    790
    """
    # Headers are padded: they are as long as those of a small histogram that ends as far from
    # a boundary as this one.
    small = n_features % 8 + 8
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", allowZip64=True) as out:
        _write_member(out, HISTOGRAM, np.zeros((small, small), np.int32))
        _write_member(out, N_WINDOWS, np.array(0, dtype=np.int64))
    return file.tell() + 4 * (n_features**2 - small**2)


def _write_member(archive: zipfile.ZipFile, name: str, array: npt.NDArray[Any]) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    info = zipfile.ZipInfo(name)
    # 30 bytes of local header, the name, 20 bytes of zip64 sizes, 4 before the padding itself.
    start = archive.fp.tell() if archive.fp else 0
    taken = start + 30 + len(name) + 20 + 4 + header.tell()
    padding = -taken % _ALIGNMENT
    info.extra = struct.pack("<HH", _PADDING_ID, padding) + b"\0" * padding
    with archive.open(info, "w", force_zip64=True) as out:
        out.write(header.getvalue())
        rows = array.reshape(-1)
        for first in range(0, len(rows), _CHUNK):
            out.write(rows[first : first + _CHUNK].view(np.uint8).data)


def _damaged(path: Path, error: Exception) -> ArtifactError:
    if isinstance(error, OSError):
        return ArtifactError(f"cannot read {path}: {error.strerror or error}")
    return ArtifactError(f"{path} is no readable .npz file ({error}); it is damaged or cut short")
