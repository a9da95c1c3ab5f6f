"""Buffers, batches and shards: always the same ones."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfal.collect.batching import BufferWindows, Plan, batch_by_length, buffers, plan_buffer
from sfal.collect.settings import CollectSettings, WindowConfig
from sfal.collect.shard import BUFFER_DOCUMENTS, Shard
from sfal.errors import InvalidInputError
from sfal.store.manifest import Counts


class Letters:
    """Every letter is a token; BOS is 0."""

    special_ids = frozenset({0})

    def tokenize(self, texts, max_length, prepend_bos=None):
        return [[0, *map(ord, text)][:max_length] for text in texts]


@given(
    n=st.integers(0, 50), first=st.integers(0, 9), stop=st.integers(0, 60), size=st.integers(1, 9)
)
def test_buffers_divide_the_documents_in_order(n, first, stop, size):
    documents = [str(i) for i in range(first, first + n)]
    found = list(buffers(documents, first, stop, size))
    assert [text for b in found for text in b.texts] == documents[: max(stop - first, 0)]
    assert [b.first for b in found] == list(range(first, first + size * len(found), size))
    assert all(len(b.texts) == size for b in found[:-1])


@given(st.lists(st.integers(0, 50)), st.integers(1, 200))
def test_every_document_with_tokens_is_in_one_batch_within_the_limit(lengths, batch_tokens):
    batches = batch_by_length(lengths, batch_tokens)
    assert sorted(i for b in batches for i in b) == [i for i, n in enumerate(lengths) if n]
    for batch in batches:
        assert len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= batch_tokens


def test_counts_of_a_buffer():
    config = WindowConfig(window_size=3, max_length=8)
    plan = plan_buffer(["", "ab", "abc", "abcdefghij"], Letters(), config, 8192, None)
    assert plan.counts == Counts(
        documents=4, empty=1, too_short=1, tokens=2 + 3 + 7, tokens_in_windows=3 + 6, windows=3
    )
    # Nothing is needed after the last window.
    assert [len(ids) for ids in plan.ids] == [0, 0, 4, 7]


@given(st.lists(st.integers(0, 3), max_size=12), st.randoms(use_true_random=False))
def test_windows_come_back_in_the_order_of_documents(n_windows, random):
    rows = {(d, w): [d, 100 + w] for d, n in enumerate(n_windows) for w in range(n)}
    plan = Plan([], [[None] * n for n in n_windows], [], Counts())
    found = BufferWindows(1000, plan)
    order = list(range(len(n_windows)))
    random.shuffle(order)
    for batch in (order[::2], order[1::2]):
        chosen = [rows[d, w] for d in batch for w in range(n_windows[d])]
        indptr = np.cumsum([0, *map(len, chosen)]).astype(np.int64)
        found.add(batch, indptr, np.array([f for row in chosen for f in row], np.uint32))
    windows = found.windows()
    assert windows.documents.tolist() == [1000 + d for d, _ in rows]
    assert windows.ordinals.tolist() == [w for _, w in rows]
    assert windows.indices.tolist() == [f for row in rows.values() for f in row]
    assert windows.indptr.tolist() == [2 * i for i in range(len(rows) + 1)]


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
def test_what_is_no_shard_is_refused(text):
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
