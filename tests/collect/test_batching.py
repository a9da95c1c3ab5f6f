"""Buffers and batches: always the same ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sfal.collect.batching import BufferWindows, Plan, batch_by_length, buffers, plan_buffer
from sfal.collect.settings import WindowConfig
from sfal.store.manifest import Counts


class Letters:
    """Every letter is a token; BOS is 0."""

    def special_ids_in(self, document):
        return frozenset({0})

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
