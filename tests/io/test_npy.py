"""Headers of arrays are read as numpy writes them, or refused in little memory."""

import io
import struct
import tracemalloc

import numpy as np
import pytest

from sfal.io.npy import read_npy_header


def saved(array, version=None):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version)
    return file.getvalue()


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_the_header_is_read_and_the_data_follow(version):
    array = np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3))
    content = saved(array, version)
    file = io.BytesIO(content)
    header = read_npy_header(file)
    assert header.length == len(content) - 24
    assert (header.shape, header.fortran_order, header.dtype) == ((2, 3), True, array.dtype)
    assert file.read() == array.tobytes("F")


def forged(text, version=1):
    size = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + size + text.encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"PK\x03\x04 not an array at all",
        forged("{}", version=3),
        forged("(" * 9000),
        forged("[" * 60_000),
        forged("{'descr': '<i4', 'fortran_order': False, 'shape': (1,)"),
        forged("{'descr': '<i4', 'fortran_order': False, 'shape': '(1,)'}"),
        forged("{'descr': 'nonsense', 'fortran_order': False, 'shape': (1,)}"),
        forged("{'descr': '<i4', 'fortran_order': False, 'shape': (1L,), x}"),
        forged("__import__('os').system('true')"),
    ],
)
def test_a_header_that_numpy_does_not_write_is_refused(content):
    with pytest.raises(ValueError, match=r".+"):
        read_npy_header(io.BytesIO(content))


def test_a_header_that_claims_gigabytes_is_not_read():
    content = b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 31) + b" " * (1 << 24)
    file = io.BytesIO(content)
    tracemalloc.start()
    with pytest.raises(ValueError, match="header of 2,147,483,648 bytes"):
        read_npy_header(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20
