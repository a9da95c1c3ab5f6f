"""Torch files are read as data: tensors, and nothing that a pickle could run."""

import contextlib
import io
import os
import pickle
import pickletools
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch

from sfal.collect.sae.torch_files import TorchFile
from sfal.errors import ArtifactError, CorruptError, MemoryLimitError, MissingError, SfalError

BOTH = pytest.mark.parametrize("old", [False, True], ids=["zip", "legacy"])


def save(path, content, old):
    torch.save(content, path, _use_new_zipfile_serialization=not old)
    return path


@BOTH
def test_tensors_come_out_as_torch_loads_them(tmp_path, old):
    shared = torch.arange(12.0)
    content = {
        "plain": torch.randn(4, 3),
        "transposed": torch.randn(6, 4).t(),
        "half": torch.randn(3).half(),
        "bfloat": torch.randn(2, 2).bfloat16(),
        "double": torch.randn(2).double(),
        "parameter": torch.nn.Parameter(torch.randn(2)),
        "part": shared[3:9].view(2, 3),
        "all": shared,
        "empty": torch.zeros(0, 3),
    }
    file = TorchFile(save(tmp_path / "a.pt", content, old))
    for key, tensor in content.items():
        assert file.shapes[key] == tuple(tensor.shape)
        assert torch.equal(file.read([key])[key], tensor.detach())


@BOTH
def test_settings_and_numbers_are_kept_beside_the_tensors(tmp_path, old):
    content = {
        "k": torch.tensor(4),
        "threshold": torch.tensor(0.5),
        "activation": "TopK",
        "state": {"k": 32, "dtype": torch.float32, "device": torch.device("cuda:0")},
        "epochs": [1, 2],
        "step": 7,
        "trained": True,
    }
    file = TorchFile(save(tmp_path / "a.pt", content, old))
    assert (file.number("k"), file.number("threshold"), file.number("step")) == (4, 0.5, 7)
    assert file.number("trained") is None
    assert file.number("activation") is None
    assert file.settings["state"] == {"k": 32, "dtype": "torch.float32", "device": None}
    with pytest.raises(ArtifactError, match=r"'k' is of type torch\.int64, not of floats"):
        file.read(["k"])


@BOTH
def test_a_modules_state_dict_is_found_in_a_checkpoint(tmp_path, old):
    module = torch.nn.Linear(3, 5)
    optimiser = torch.optim.Adam(module.parameters())
    module(torch.randn(2, 3)).sum().backward()
    optimiser.step()
    content = {
        "model_state_dict": module.state_dict(),
        "optimizer": optimiser.state_dict(),
        "step": 1,
    }
    file = TorchFile(save(tmp_path / "a.pt", content, old))
    assert file.shapes == {"weight": (5, 3), "bias": (5,)}
    assert torch.equal(file.read(["weight"])["weight"], module.weight.detach())


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@BOTH
@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda ran: {"a": Evil(ran)}, "posix.mkdir"),
        (lambda ran: torch.nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        (lambda ran: {"a": np.float64(3)}, "numpy"),
        (lambda ran: {"a": bytearray(5)}, "bytearray"),
        (lambda ran: {"a": torch.zeros(3).to_sparse()}, "_rebuild_sparse_tensor"),
        (lambda ran: [torch.zeros(3)], "does not hold a dictionary"),
        (lambda ran: torch.zeros(3), "does not hold a dictionary"),
    ],
)
def test_more_than_tensors_is_refused_by_name_and_never_run(tmp_path, old, make, named):
    content = make(tmp_path / "ran")
    with pytest.raises(ArtifactError, match=rf"a\.pt holds more than tensors.*{named}"):
        TorchFile(save(tmp_path / "a.pt", content, old))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "data", [b"", b"PK", pickle.dumps({"a": 1}), pickle.dumps({"a": 1}, 0), b"\x80" * 40]
)
def test_another_kind_of_file_is_refused(tmp_path, data):
    (tmp_path / "a.pt").write_bytes(data)
    with pytest.raises(ArtifactError, match=r"a\.pt is not a file that torch\.save writes"):
        TorchFile(tmp_path / "a.pt")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingError, match=r"a\.pt does not exist"):
        TorchFile(tmp_path / "a.pt")


@BOTH
def test_a_file_cut_short_anywhere_is_damaged(tmp_path, old):
    path = save(tmp_path / "a.pt", {"w": torch.randn(40), "b": torch.randn(7)}, old)
    whole = path.read_bytes()
    for keep in range(16, len(whole), 23):
        path.write_bytes(whole[:keep])
        with pytest.raises(ArtifactError, match=r"a\.pt"):
            TorchFile(path).read(["w", "b"])


def archive(path, pickled, storages=(), **options):
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("a/data.pkl", pickled)
        for key, data in storages:
            made.writestr(f"a/data/{key}", data, **options)
    return path


class Described:
    """A tensor in a pickle that claims what it likes."""

    def __init__(self, length, offset, shape, stride):
        self.length, self.place = length, (offset, shape, stride)

    def __reduce__(self):
        return torch._utils._rebuild_tensor_v2, (
            Storage(self.length),
            *self.place,
            False,
            OrderedDict(),
        )


class Storage:
    def __init__(self, length):
        self.length = length


class Pickler(pickle.Pickler):
    def persistent_id(self, found):
        if isinstance(found, Storage):
            return ("storage", torch.FloatStorage, "0", "cpu", found.length)
        return None


def pickled(content):
    stream = io.BytesIO()
    Pickler(stream, 2).dump(content)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("length", "offset", "shape", "stride"),
    [
        (10**12, 0, (10**12,), (1,)),
        (3, 0, (10**12,), (0,)),
        (3, 0, (10**6, 10**6), (0, 0)),
        (3, 0, (4,), (1,)),
        (3, 2, (2,), (1,)),
        (3, 0, (2, 2), (2, 1)),
        (3, -1, (2,), (1,)),
        (3, 0, (-2,), (1,)),
        (3, 0, (2,), (-1,)),
        (3, 0, (2,), (1, 1)),
        (3, 0, (2.0,), (1,)),
        (-3, 0, (2,), (1,)),
        (2**70, 0, (2,), (1,)),
        ("3", 0, (2,), (1,)),
    ],
)
def test_a_tensor_that_claims_more_than_the_file_has_is_refused_before_it_is_made(
    tmp_path, length, offset, shape, stride
):
    path = archive(
        tmp_path / "a.pt",
        pickled({"w": Described(length, offset, shape, stride)}),
        [("0", np.zeros(3, np.float32).tobytes())],
    )
    with pytest.raises(ArtifactError, match=r"a\.pt"):
        TorchFile(path)


def test_a_compressed_storage_is_refused_however_much_it_claims(tmp_path):
    zeros = bytes(4 << 22)
    content = pickled({"w": Described(1 << 22, 0, (1 << 22,), (1,))})
    path = archive(tmp_path / "a.pt", content, [("0", zeros)], compress_type=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 16
    with pytest.raises(CorruptError, match="storage 0 is missing or cut short"):
        TorchFile(path)


def test_a_pickle_of_many_megabytes_is_refused(tmp_path):
    path = archive(tmp_path / "a.pt", bytes(17 << 20))
    with pytest.raises(ArtifactError, match="its pickle takes 17,825,792 bytes"):
        TorchFile(path)


def test_dictionaries_within_dictionaries_end(tmp_path):
    deep = {}
    for _ in range(50):
        deep = {"a": deep, "b": deep}
    with pytest.raises(ArtifactError, match="nested more than"):
        TorchFile(archive(tmp_path / "a.pt", pickled(deep)))
    endless = {}
    endless["a"] = endless
    with pytest.raises(ArtifactError, match="nested more than"):
        TorchFile(archive(tmp_path / "a.pt", pickled(endless)))


def test_an_old_file_that_claims_a_long_storage_is_refused(tmp_path):
    path = save(tmp_path / "a.pt", {"w": torch.randn(6)}, True)
    data = path.read_bytes()
    # The pickle of the tensors begins after those of magic number, version and machine.
    at = next(at for code, n, at in pickletools.genops(data[137:]) if code.name == "BININT1" and n)
    path.write_bytes(data[: 137 + at] + b"J\xff\xff\xff\x7f" + data[137 + at + 2 :])
    with pytest.raises(ArtifactError, match=r"a\.pt"):
        TorchFile(path)


def test_a_tensor_beyond_free_memory_is_refused(tmp_path, monkeypatch):
    path = save(tmp_path / "a.pt", {"w": torch.randn(1000)}, False)
    monkeypatch.setattr("sfal.collect.sae.torch_files.available_memory", lambda: 3999)
    with pytest.raises(MemoryLimitError, match=r"a\.pt: array 'w' needs 4,000 bytes"):
        TorchFile(path).read(["w"])


@BOTH
def test_a_changed_byte_gives_tensors_or_an_error_of_ours(tmp_path, old):
    path = save(tmp_path / "a.pt", {"w": torch.randn(4, 3), "k": torch.tensor(4), "s": "x"}, old)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(400):
        data = bytearray(whole)
        data[rng.integers(len(data))] = rng.integers(256)
        path.write_bytes(data)
        with contextlib.suppress(SfalError):
            file = TorchFile(path)
            file.read([key for key in file.shapes if key == "w"])
            file.number("k")
