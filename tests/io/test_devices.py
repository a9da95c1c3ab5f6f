"""Devices: names as torch spells them, and what is not there."""

import pytest

from sfal.collect.settings import CollectSettings
from sfal.errors import InvalidInputError
from sfal.io.devices import device_name, resolve_device


@pytest.fixture
def gpus(monkeypatch):
    def there_are(cuda=0, mps=False):
        monkeypatch.setattr("torch.cuda.is_available", lambda: cuda > 0)
        monkeypatch.setattr("torch.cuda.device_count", lambda: cuda)
        monkeypatch.setattr("torch.backends.mps.is_available", lambda: mps)

    return there_are


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:0", "cuda:1", "mps"])
def test_a_device_that_is_there_is_used(gpus, name):
    gpus(cuda=2, mps=True)
    assert resolve_device(name) == ("cuda" if name == "auto" else name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cuda", "no CUDA device is available"),
        ("cuda:1", "no CUDA device is available"),
        ("mps", "no MPS device is available"),
        ("xpu", "no XPU device is available"),
    ],
)
def test_a_device_that_is_not_there_is_refused(gpus, name, message):
    gpus()
    with pytest.raises(InvalidInputError, match=f"{message}; use device=cpu"):
        resolve_device(name)
    assert resolve_device("auto") == "cpu"


def test_a_number_beyond_the_last_device_is_refused(gpus):
    gpus(cuda=1)
    with pytest.raises(InvalidInputError, match="'cuda:1' is not available; there is only cuda:0"):
        resolve_device("cuda:1")
    gpus(cuda=3)
    with pytest.raises(InvalidInputError, match="the last one is cuda:2"):
        resolve_device("cuda:7")


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "meta", "cpu:0", "CUDA"])
def test_what_is_not_a_device_is_refused(name):
    with pytest.raises(InvalidInputError, match="is not known; there are auto, cpu"):
        device_name(name)


def test_the_precision_follows_the_device(gpus):
    gpus(cuda=2, mps=True)
    for device, dtype in (("cuda:1", "bfloat16"), ("mps", "float32"), ("cpu", "float32")):
        assert CollectSettings("c", device=device).resolved().dtype == dtype
    for wrong in ({"dtype": "float64"}, {"sae_dtype": "float64"}):
        with pytest.raises(InvalidInputError, match="cannot compute in float64"):
            CollectSettings("c", device="mps", **wrong).resolved()
