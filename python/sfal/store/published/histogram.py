"""Histograms in ``.npz`` files, as the published scripts write and read them.

There are two members: ``histogram``, the F×F co-occurrence counts, and
``n_chunks``, the number of windows. An uncompressed histogram of 16k features
is 1 GiB, so it is mapped instead of read where the file allows it; a compressed
one is inflated into one array and is never twice in memory. Sizes are checked
before anything is inflated.
"""

import io
import mmap
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sfal.errors import ArtifactError, CorruptError, MissingError, SfalError
from sfal.io.atomic import atomic_path
from sfal.io.npy import read_npy_header
from sfal.store.published.npz_header import (
    HISTOGRAM,
    N_WINDOWS,
    check_histogram,
    data_start,
    member,
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
    """Position of the member in the file."""
    _header: int
    """Bytes of the member before the counts."""

    def load(self) -> Counts:
        """Map the counts where they lie in the file, or read them into memory.

        Returns
        -------
        counts : ndarray of shape (n_features, n_features), uint32 or int32
            Read-only, and perhaps unaligned, where it is mapped. What the
            numbers mean is not checked here: `Histogram.from_counts` does that.

        Raises
        ------
        CorruptError
            If the file is damaged.
        ArtifactError
            If a count is negative or beyond 32 bits.
        """
        plain = self._dtype.itemsize == 4 and self._dtype.isnative
        try:
            if plain and not self.compressed:
                return self._map()
            return self._read(plain)
        except (OSError, *_DAMAGED) as e:
            raise _unreadable(self.path, e) from e

    def _map(self) -> Counts:
        with self.path.open("rb") as file:
            whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        n, first = self.n_features, self._start + self._header
        if len(whole) < first + 4 * n * n:
            raise EOFError("the histogram is cut short")
        # What np.savez writes lies across word boundaries, which the core can read too.
        return np.ndarray((n, n), self._dtype, whole, offset=first)

    def _read(self, plain: bool) -> Counts:
        n, size = self.n_features, self._dtype.itemsize
        counts: Counts = np.empty((n, n), self._dtype if plain else np.uint32)
        flat: npt.NDArray[Any] = counts.reshape(-1)
        step = max(1, _CHUNK // size)
        with zipfile.ZipFile(self.path) as archive, archive.open(HISTOGRAM) as file:
            file.read(self._header)
            for first in range(0, len(flat), step):
                n_items = min(step, len(flat) - first)
                content = file.read(n_items * size)
                if len(content) < n_items * size:
                    raise EOFError("the histogram is cut short")
                values = np.frombuffer(content, self._dtype)
                if not plain and not 0 <= int(values.min()) <= int(values.max()) < 1 << 32:
                    raise ArtifactError(
                        f"{self.path}: the histogram holds counts below 0 or beyond 32 bits"
                    )
                flat[first : first + n_items] = values
            if file.read(1):  # reading to the end also verifies the checksum
                raise EOFError("the histogram is longer than its shape")
        return counts


def inspect_histogram(path: Path, n_windows: int | None = None) -> HistogramFile:
    """Check what an ``.npz`` declares, without reading the counts.

    Parameters
    ----------
    path : Path
        The file.
    n_windows : int, optional
        Number of windows, for a file that does not state it.

    Raises
    ------
    MissingError
        If there is no such file.
    ArtifactError
        If it is not a histogram.
    CorruptError
        If it is damaged, or declares sizes that do not agree.
    InvalidInputError
        If the number of windows is stated nowhere, or differently in both places.
    MemoryLimitError
        If the counts would not fit into the memory that is available.
    """
    try:
        with path.open("rb") as raw, zipfile.ZipFile(raw) as archive:
            info = member(archive, HISTOGRAM, path)
            start = data_start(raw, info)
            with archive.open(info) as file:
                header = read_npy_header(file)
            n_features = check_histogram(path, info, header)
            n_windows = read_n_windows(archive, path, n_windows)
    except SfalError:
        raise
    except (OSError, *_DAMAGED) as e:
        raise _unreadable(path, e) from e
    compressed = info.compress_type == zipfile.ZIP_DEFLATED
    return HistogramFile(
        path, n_features, n_windows, compressed, header.dtype, start, header.length
    )


def write_histogram(path: Path, counts: npt.NDArray[np.uint32], n_windows: int) -> None:
    """Write a histogram as the published scripts do: int32, and ``n_chunks``.

    The file is not compressed, and the counts are aligned so that they can be
    mapped. The same counts give the same bytes.

    Parameters
    ----------
    path : Path
        The ``.npz`` file; replaced if it exists.
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
            f"{path}: a count of {int(counts.max())} is beyond int32, the item type of the "
            "published layout",
            hint="use $histogram(none); scoring needs only the occurrences",
        )
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", allowZip64=True) as out:
        _write_member(out, HISTOGRAM, np.ascontiguousarray(counts).view(np.int32))
        _write_member(out, N_WINDOWS, np.array(n_windows, dtype=np.int64))


def histogram_bytes(n_features: int) -> int:
    """Return the size of the file that :func:`write_histogram` makes for an SAE of this width.

    Examples
    --------
    >>> histogram_bytes(16_384) - 4 * 16_384**2
    790
    """
    # Headers are padded, and are as long as those of a small histogram that ends as far from a
    # boundary as this one.
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


def _unreadable(path: Path, error: Exception) -> ArtifactError:
    if isinstance(error, FileNotFoundError):
        return MissingError(f"cannot read {path}: {error.strerror}")
    if isinstance(error, OSError):
        return ArtifactError(f"cannot read {path}: {error.strerror or error}")
    return CorruptError(f"{path} is not a readable .npz file ({error}); it is damaged or cut short")
