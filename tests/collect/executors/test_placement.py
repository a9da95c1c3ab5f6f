"""Lists of devices and addresses: what is taken, and what is refused."""

import pytest

from sfal.collect.executors.placement import Placement, devices_in, parse_address, parse_devices
from sfal.errors import InvalidInputError


def test_devices_are_read():
    assert parse_devices("cuda:0, cuda:2") == "cuda:0,cuda:2"
    assert parse_devices("all") == "all"
    assert devices_in("cpu:3") == ["cpu", "cpu", "cpu"]
    assert devices_in("cpu") == ["cpu"]
    assert Placement(devices="cpu:3").placed("auto") == "cpu"
    assert Placement(ray="auto").placed("auto") == "cuda"
    assert Placement(ray="auto").placed("cpu") == "cpu"
    assert not Placement().is_spread


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpu", "are not known"),
        ("cpu:0", "are not known"),
        ("cuda:0,all", "are not known"),
        ("", "are not known"),
        ("cuda:0,cuda:0", "name one twice"),
        ("cuda:0,xpu:0", "of different kinds"),
    ],
)
def test_other_devices_are_refused(text, message):
    with pytest.raises(InvalidInputError, match=message):
        Placement(devices=text)


def test_addresses_are_read():
    for text in ("auto", "local", "head:6379", "10.0.0.1:6379", "[::1]:6379"):
        assert parse_address(text) == text
    for text in ("gemma-2-2b/0-gemmascope-res-16k", "head", "http://head:1", ""):
        with pytest.raises(InvalidInputError, match="is not the address of a Ray cluster"):
            Placement(ray=text)
    with pytest.raises(InvalidInputError, match="Ray Client"):
        Placement(ray="ray://head:10001")
    with pytest.raises(InvalidInputError, match="both named"):
        Placement(ray="auto", devices="all")
