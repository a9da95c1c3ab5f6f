"""Settings and shards: bounds, defaults, and the descriptions that the command line reads."""

from dataclasses import MISSING, fields
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfal.collect.settings import (
    CollectSettings,
    CorpusConfig,
    ModelConfig,
    SaeConfig,
    WindowConfig,
)
from sfal.collect.shard import BUFFER_DOCUMENTS, Shard
from sfal.errors import InvalidInputError

GROUPS = (CorpusConfig, WindowConfig, ModelConfig, SaeConfig)


@given(n_docs=st.integers(1, 5000), of=st.integers(1, 20))
def test_shards_are_disjoint_contiguous_and_complete(n_docs, of):
    shares = [Shard(i + 1, of).documents(n_docs) for i in range(of)]
    assert shares[0][0] == 0
    assert shares[-1][1] == n_docs
    assert all(a[1] == b[0] for a, b in pairwise(shares))
    assert all(first <= stop for first, stop in shares)
    if n_docs >= of * BUFFER_DOCUMENTS:
        assert all(first % BUFFER_DOCUMENTS == 0 < stop - first for first, stop in shares)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3", ""])
def test_text_that_is_not_a_shard_is_refused(text):
    with pytest.raises(InvalidInputError, match="shard"):
        Shard.parse(text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_docs": 0},
        {"window_size": 0},
        {"window_size": 2000},
        {"max_length": 1},
        {"tail": "cut"},
        {"batch_tokens": 0},
        {"part_windows": 0},
        {"top_k": 0},
        {"dtype": "int8"},
        {"sae_dtype": "auto"},
        {"input_scale": 0.0},
        {"input_scale": float("nan")},
        {"histogram": "csv"},
        {"histogram": "npz", "shard": Shard(1, 2)},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InvalidInputError):
        CollectSettings("c", **wrong)


def test_a_value_is_refused_with_its_name_and_the_bound():
    with pytest.raises(InvalidInputError, match="n_docs is 0, but must be at least 1"):
        CorpusConfig("c", n_docs=0)
    with pytest.raises(InvalidInputError, match="tail is 'cut', but must be drop or keep"):
        WindowConfig(tail="cut")


def test_the_four_groups_make_up_the_settings_and_share_no_field():
    names = [one.name for group in GROUPS for one in fields(group)]
    assert len(names) == len(set(names))
    assert set(names) < {one.name for one in fields(CollectSettings)}
    assert issubclass(CollectSettings, GROUPS)


@pytest.mark.parametrize("one", fields(CollectSettings), ids=lambda one: one.name)
def test_every_field_is_described_and_its_default_within_its_bounds(one):
    described = one.metadata
    assert described["help"].endswith(".")
    assert described.keys() <= {"help", "flag", "choices", "min", "metavar", "parse"}
    if one.default is not MISSING:
        assert one.default in described.get("choices", (one.default,))
        assert one.default is None or one.default >= described.get("min", one.default)


def test_options_that_are_not_plain_text_or_numbers_are_parsed_from_text():
    parse = {one.name: one.metadata.get("parse") for one in fields(CollectSettings)}
    assert parse["shard"]("2/8") == Shard(2, 8)
    assert [parse["input_scale"](text) for text in ("auto", "none", "0.5")] == ["auto", "none", 0.5]
    with pytest.raises(InvalidInputError, match="'half' is neither"):
        parse["input_scale"]("half")


@pytest.mark.parametrize(
    ("gpu", "asked", "resolved"),
    [
        (False, ("auto", "auto"), ("cpu", "float32")),
        (True, ("auto", "auto"), ("cuda", "bfloat16")),
        (True, ("cpu", "auto"), ("cpu", "float32")),
        (True, ("cuda", "float16"), ("cuda", "float16")),
        (False, ("auto", "bfloat16"), ("cpu", "bfloat16")),
    ],
)
def test_device_and_dtype_are_resolved_together(monkeypatch, gpu, asked, resolved):
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    device, dtype = asked
    settings = CollectSettings("c", n_docs=7, device=device, dtype=dtype).resolved()
    assert (settings.device, settings.dtype) == resolved
    assert settings.n_docs == 7
    assert settings.resolved() == settings
