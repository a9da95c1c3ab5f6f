"""Histograms in .npz files: every way to store them, and what is refused."""

import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from sfal._core import Histogram
from sfal.errors import (
    ArtifactError,
    CorruptError,
    InvalidInputError,
    MemoryLimitError,
    MissingError,
    SfalError,
)
from sfal.store.published import histogram as histogram_module
from sfal.store.published import npz_header
from sfal.store.published.histogram import inspect_histogram, write_histogram

N_WINDOWS = 50


def read(path, n_windows=None):
    file = inspect_histogram(path, n_windows)
    return file.load(), file.n_windows


@pytest.fixture
def counts():
    fired = np.random.default_rng(3).random((37, N_WINDOWS)) < 0.3
    return (fired.astype(np.int64) @ fired.T.astype(np.int64)).astype(np.int64)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", ["<i4", "<u4", "<i8", "<u8", ">i4", ">u4", ">i8"])
def test_counts_are_the_same_however_they_are_stored(tmp_path, counts, save, dtype):
    path = tmp_path / "x_cooccurrences.npz"
    save(path, histogram=counts.astype(dtype), n_chunks=N_WINDOWS)
    found, n_windows = read(path)
    assert n_windows == N_WINDOWS
    assert found.dtype in (np.int32, np.uint32)
    np.testing.assert_array_equal(found, counts)


def test_counts_read_in_many_pieces_are_exact(tmp_path, counts, monkeypatch):
    monkeypatch.setattr(histogram_module, "_CHUNK", 101)
    for dtype in ("<i4", ">i8"):
        path = tmp_path / "x_cooccurrences.npz"
        np.savez_compressed(path, histogram=counts.astype(dtype), n_chunks=N_WINDOWS)
        np.testing.assert_array_equal(read(path)[0], counts)


def test_uncompressed_counts_are_mapped_and_not_read(tmp_path, counts):
    path = tmp_path / "x_cooccurrences.npz"
    np.savez(path, histogram=counts.astype(np.int32), n_chunks=N_WINDOWS)
    theirs, _ = read(path)
    assert not theirs.flags.writeable
    write_histogram(path, counts.astype(np.uint32), N_WINDOWS)
    ours, _ = read(path)
    assert not ours.flags.writeable
    assert ours.ctypes.data % 64 == 0
    for found in (theirs, ours):
        kept = Histogram.from_counts(found, N_WINDOWS)
        np.testing.assert_array_equal(kept.histogram(), counts)


def test_what_is_written_is_what_numpy_and_the_published_scripts_read(tmp_path, counts):
    path, again = tmp_path / "a.npz", tmp_path / "b.npz"
    for target in (path, again):
        write_histogram(target, counts.astype(np.uint32), N_WINDOWS)
    assert path.read_bytes() == again.read_bytes()
    with np.load(path) as file:
        assert file["histogram"].dtype == np.int32
        np.testing.assert_array_equal(file["histogram"], counts)
        assert int(file["n_chunks"]) == N_WINDOWS
    assert zipfile.ZipFile(path).testzip() is None


def test_counts_beyond_int32_are_not_written(tmp_path, counts):
    counts[0, 0] = 1 << 31
    path = tmp_path / "a.npz"
    with pytest.raises(ArtifactError, match="beyond int32"):
        write_histogram(path, counts.astype(np.uint32), N_WINDOWS)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_number_of_windows_names_the_setting(tmp_path, counts):
    path = tmp_path / "a.npz"
    np.savez(path, histogram=counts.astype(np.int32))
    with pytest.raises(InvalidInputError, match=r"a\.npz .*; give n_windows"):
        read(path)
    assert read(path, 60)[1] == 60


def test_a_number_of_windows_that_contradicts_the_file_is_refused(tmp_path, counts):
    path = tmp_path / "a.npz"
    np.savez(path, histogram=counts.astype(np.int32), n_chunks=N_WINDOWS)
    assert read(path, N_WINDOWS)[1] == N_WINDOWS
    with pytest.raises(InvalidInputError, match="50 windows, not 60; leave out n_windows"):
        read(path, 60)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "u1", "?", "c8", "U3", "M8[s]"])
def test_item_types_other_than_counts_are_refused(tmp_path, counts, dtype):
    path = tmp_path / "a.npz"
    np.savez(path, histogram=counts.astype(dtype), n_chunks=N_WINDOWS)
    with pytest.raises(ArtifactError, match=r"a\.npz: the histogram holds .*int32"):
        read(path)


def test_arrays_of_objects_are_refused_unread(tmp_path, counts):
    path = tmp_path / "a.npz"
    np.savez(path, histogram=counts.astype(object), n_chunks=N_WINDOWS, allow_pickle=True)
    with pytest.raises(ArtifactError, match="holds items of type"):
        read(path)
    objects = np.array([{"a": 1}], dtype=object)
    np.savez(path, histogram=counts.astype(np.int32), n_chunks=objects, allow_pickle=True)
    with pytest.raises(ArtifactError, match=r"n_chunks|header"):
        read(path)


@pytest.mark.parametrize("shape", [(37,), (36, 37), (2, 2, 2), (0, 0), ()])
def test_shapes_other_than_squares_are_refused(tmp_path, shape):
    path = tmp_path / "a.npz"
    np.savez(path, histogram=np.zeros(shape, np.int32), n_chunks=N_WINDOWS)
    with pytest.raises(ArtifactError, match="square"):
        read(path)


@pytest.mark.parametrize("n_chunks", [0, -3, 2.5, [1, 2], "many", [], 1 + 2j])
def test_invalid_numbers_of_windows_are_refused(tmp_path, counts, n_chunks):
    path = tmp_path / "a.npz"
    np.savez(path, histogram=counts.astype(np.int32), n_chunks=n_chunks)
    with pytest.raises(ArtifactError, match="n_chunks"):
        read(path)


@pytest.mark.parametrize("value", [-1, 1 << 32])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_64_bit_counts_that_do_not_fit_are_refused(tmp_path, counts, value, save):
    counts[3, 4] = value
    path = tmp_path / "a.npz"
    save(path, histogram=counts, n_chunks=N_WINDOWS)
    with pytest.raises(ArtifactError, match=r"a\.npz: .* below 0 or beyond 32 bits"):
        read(path)


def test_an_archive_of_other_arrays_is_refused(tmp_path, counts):
    path = tmp_path / "a.npz"
    np.savez(path, packed=counts, n_windows=3)
    with pytest.raises(ArtifactError, match="'histogram', it holds packed, n_windows"):
        read(path)


def header(shape, dtype="<i4"):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def write_members(path, histogram, n_chunks=None, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as out:
        out.writestr("histogram.npy", histogram)
        out.writestr("n_chunks.npy", header("()", "<i8") + struct.pack("<q", n_chunks or N_WINDOWS))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_shape_beyond_what_is_stored_is_refused_before_anything_is_inflated(
    tmp_path, compression
):
    path = tmp_path / "a.npz"
    write_members(path, header((1 << 20, 1 << 20)) + bytes(1000), compression=compression)
    with pytest.raises(ArtifactError, match=r"takes .* bytes, the file declares"):
        inspect_histogram(path)


def test_a_bomb_that_agrees_with_its_shape_is_refused_for_its_size(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    write_members(path, header((2000, 2000)) + bytes(16_000_000))
    monkeypatch.setattr(npz_header, "available_memory", lambda: 8_000_000)
    with pytest.raises(MemoryLimitError, match=r"a\.npz: .* 16,000,000 bytes"):
        inspect_histogram(path)


def test_declared_sizes_that_deflate_cannot_reach_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    content = header((2000, 2000)) + bytes(16_000_000)
    write_members(path, content)
    raw = bytearray(path.read_bytes())
    entry = raw.index(b"PK\x01\x02")
    (stored,) = struct.unpack("<I", raw[entry + 20 : entry + 24])
    raw[entry + 20 : entry + 24] = struct.pack("<I", stored // 10)
    path.write_bytes(raw)
    with pytest.raises(ArtifactError, match="cannot come out"):
        inspect_histogram(path)


def test_more_than_was_declared_is_not_inflated(tmp_path, counts):
    """The member inflates to more than its entry says: only the declared bytes are taken."""
    path = tmp_path / "a.npz"
    content = header((37, 37)) + counts.astype("<i4").tobytes()
    write_members(path, content + bytes(50_000_000))
    raw = bytearray(path.read_bytes())
    entry = raw.index(b"PK\x01\x02")
    raw[entry + 24 : entry + 28] = struct.pack("<I", len(content))
    path.write_bytes(raw)
    with pytest.raises(ArtifactError, match="CRC"):
        read(path)
    raw[entry + 16 : entry + 20] = struct.pack("<I", zlib.crc32(content))
    path.write_bytes(raw)
    np.testing.assert_array_equal(read(path)[0], counts)


@pytest.mark.parametrize("text", ["__import__('os').system('touch PWNED')", "(" * 9000, "{'descr'"])
def test_a_header_that_is_not_a_description_is_not_evaluated(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.npz"
    raw = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()
    write_members(path, raw)
    with pytest.raises(ArtifactError, match=r"a\.npz"):
        read(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_header_that_claims_gigabytes_is_refused_in_little_memory(tmp_path):
    path = tmp_path / "a.npz"
    write_members(path, b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 31) + b" " * (1 << 26))
    tracemalloc.start()
    with pytest.raises(CorruptError, match=r"a\.npz .*header"):
        read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 23


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_file_cut_anywhere_is_refused(tmp_path, counts, save):
    path = tmp_path / "a.npz"
    save(path, histogram=counts.astype(np.int32), n_chunks=N_WINDOWS)
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(ArtifactError, match=r"a\.npz"):
            read(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_flipped_bytes_end_in_an_error_of_ours_or_in_nothing(tmp_path, counts, save, tally):
    rng = np.random.default_rng(1)
    path = tmp_path / "a.npz"
    save(path, histogram=counts.astype(np.int32), n_chunks=N_WINDOWS)
    whole = path.read_bytes()
    refused = 0
    for _ in range(400):
        content = bytearray(whole)
        content[rng.integers(len(content))] ^= 1 << rng.integers(8)
        path.write_bytes(content)
        try:
            found, n_windows = read(path)
            Histogram.from_counts(found, n_windows)
        except SfalError:
            refused += 1
    assert refused > 0
    tally("hostile inputs: histograms", 400)


def test_a_flipped_bit_among_compressed_counts_is_always_noticed(tmp_path, counts):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, histogram=counts.astype(np.int32), n_chunks=N_WINDOWS)
    whole = path.read_bytes()
    (info, _) = zipfile.ZipFile(path).infolist()
    start = inspect_histogram(path)._start
    for position in range(start, start + info.compress_size, 7):
        content = bytearray(whole)
        content[position] ^= 4
        path.write_bytes(content)
        with pytest.raises(ArtifactError, match=r"a\.npz"):
            read(path)


def test_duplicate_members_and_other_compressions_are_refused(tmp_path, counts):
    path = tmp_path / "a.npz"
    content = header((37, 37)) + counts.astype("<i4").tobytes()
    write_members(path, content, compression=zipfile.ZIP_BZIP2)
    with pytest.raises(ArtifactError, match="compressed in a way"):
        read(path)
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("histogram.npy", content)
        with pytest.warns(UserWarning, match="Duplicate"):
            out.writestr("histogram.npy", content)
    with pytest.raises(ArtifactError, match="no single array"):
        read(path)


def test_a_file_that_is_not_a_zip_and_one_that_is_missing_are_named(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"not a zip")
    with pytest.raises(CorruptError, match=r"a\.npz is not a readable \.npz"):
        read(path)
    with pytest.raises(MissingError, match=r"cannot read .*gone\.npz"):
        read(tmp_path / "gone.npz")
