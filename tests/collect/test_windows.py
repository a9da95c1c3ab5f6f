"""Windows are planned and counted as the plain loops of the definition say."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfal.collect.firing import fired_windows
from sfal.collect.sae.gates import ThresholdGate, TopKGate
from sfal.collect.sae.sae import Sae
from sfal.collect.windows import plan_windows
from sfal.errors import InvalidInputError, MemoryLimitError

SPECIAL = frozenset({0, 1, 2})


def planned_by_loops(ids, window_size, tail):
    tokens = [position for position, i in enumerate(ids) if i not in SPECIAL]
    windows = []
    while len(tokens) >= window_size:
        windows.append(tokens[:window_size])
        tokens = tokens[window_size:]
    if tail == "keep" and tokens and len(tokens) >= window_size / 2:
        windows.append(tokens)
    return windows


@given(
    ids=st.lists(st.integers(0, 6), max_size=40),
    window_size=st.integers(1, 9),
    tail=st.sampled_from(["drop", "keep"]),
)
def test_windows_are_those_of_the_plain_loop(ids, window_size, tail):
    plan = plan_windows(ids, SPECIAL, window_size, tail)
    assert [positions.tolist() for positions in plan] == planned_by_loops(ids, window_size, tail)
    assert all(positions.dtype == np.int64 for positions in plan)


def test_windows_close_up_over_special_positions():
    # BOS 2 in front, EOS 1 and PAD 0 inside: tokens are at 1, 3, 4, 6, 7.
    ids = [2, 9, 1, 9, 9, 0, 9, 9]
    assert [w.tolist() for w in plan_windows(ids, SPECIAL, 2)] == [[1, 3], [4, 6]]


@pytest.mark.parametrize(("rest", "kept"), [(1, False), (2, True), (3, True)])
def test_a_tail_is_kept_from_half_a_window_on(rest, kept):
    ids = [9] * (4 + rest)
    assert len(plan_windows(ids, SPECIAL, 4, "keep")) == 1 + kept
    assert len(plan_windows(ids, SPECIAL, 4, "drop")) == 1


def test_a_tail_of_an_odd_window_needs_more_than_its_smaller_half():
    assert len(plan_windows([9] * 2, SPECIAL, 5, "keep")) == 0
    assert len(plan_windows([9] * 3, SPECIAL, 5, "keep")) == 1


def test_a_document_of_specials_alone_has_no_window():
    assert plan_windows([2, 1, 0], SPECIAL, 1, "keep") == []
    assert plan_windows([], SPECIAL, 1, "keep") == []


def test_without_special_ids_every_position_is_a_token():
    assert [w.tolist() for w in plan_windows([0, 1], frozenset(), 2)] == [[0, 1]]


@pytest.mark.parametrize(("size", "tail"), [(0, "drop"), (-3, "keep"), (4, "half")])
def test_a_window_size_or_tail_out_of_range_is_refused(size, tail):
    with pytest.raises(InvalidInputError):
        plan_windows([5], SPECIAL, size, tail)


def sae_of(gate):
    d_in = gate.weight.shape[0]
    return Sae(d_in, gate.n_features, "test", {}, {}, gate, torch.float32, torch.device("cpu"))


def integer_sae(d_in, n_features, seed, top_k=None):
    """Weights of small integers: products are exact, in whatever order they are summed."""
    rng = np.random.default_rng(seed)
    weight = torch.from_numpy(rng.integers(-2, 3, (d_in, n_features)).astype(np.float32))
    bias = torch.from_numpy(rng.integers(-4, 2, n_features).astype(np.float32))
    if top_k:
        # Distinct halves break the ties that topk would break as it likes.
        return sae_of(TopKGate(weight, bias + torch.arange(n_features) / 64, top_k))
    threshold = torch.from_numpy(rng.integers(-1, 3, n_features).astype(np.float32))
    return sae_of(ThresholdGate(weight, bias, threshold))


def fired_by_loops(acts, plans, sae):
    """Token by token, feature by feature."""
    found = []
    for document, plan in zip(acts, plans, strict=True):
        fires = sae.fires(document)
        for positions in plan:
            found.append([f for f in range(sae.n_features) if any(fires[p, f] for p in positions)])
    return found


def rows_of(csr):
    indptr, indices = csr
    assert (indptr.dtype, indices.dtype) == (np.int64, np.uint32)
    return [indices[a:b].tolist() for a, b in pairwise(indptr)]


@given(
    lengths=st.lists(st.integers(0, 14), min_size=1, max_size=5),
    window_size=st.integers(1, 6),
    tail=st.sampled_from(["drop", "keep"]),
    max_elements=st.sampled_from([1, 7, 23, 60, 200, 10_000]),
    top_k=st.sampled_from([None, 1, 3]),
    seed=st.integers(0, 5),
)
def test_fired_features_are_those_of_the_plain_loop(
    lengths, window_size, tail, max_elements, top_k, seed
):
    rng = np.random.default_rng(seed)
    documents = [rng.integers(0, 9, n).tolist() for n in lengths]
    acts = torch.from_numpy(
        rng.integers(-2, 3, (len(lengths), max(*lengths, 1), 5)).astype(np.float32)
    )
    plans = [plan_windows(ids, SPECIAL, window_size, tail) for ids in documents]
    sae = integer_sae(5, 11, seed, top_k)
    csr = fired_windows(acts, plans, sae, max_elements)
    assert rows_of(csr) == fired_by_loops(acts, plans, sae)


def test_a_batch_without_a_window_gives_an_empty_result():
    indptr, indices = fired_windows(torch.ones(2, 3, 5), [[], []], integer_sae(5, 11, 0), 100)
    assert indptr.tolist() == [0]
    assert indices.shape == (0,)
    assert indices.dtype == np.uint32


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_an_activation_that_is_no_number_is_refused_by_hook_and_document(bad):
    acts = torch.ones(3, 6, 5)
    acts[1, 4, 2] = bad
    plans = [plan_windows([9] * 6, SPECIAL, 3)] * 3
    with pytest.raises(InvalidInputError, match=r"layer 7 mlp, document 41, token 4"):
        fired_windows(
            acts, plans, integer_sae(5, 11, 0), 100, hook="layer 7 mlp", documents=[40, 41, 42]
        )


def test_what_lies_outside_the_windows_may_be_no_number():
    acts = torch.ones(1, 6, 5)
    acts[0, 0] = float("nan")  # BOS
    acts[0, 5] = float("inf")  # padding
    plans = [plan_windows([2, 9, 9, 9, 9], SPECIAL, 2)]
    sae = integer_sae(5, 11, 0)
    expected = fired_by_loops(torch.ones(1, 6, 5), plans, sae)
    assert rows_of(fired_windows(acts, plans, sae, 100)) == expected


def test_an_sae_of_another_width_is_refused_with_both_widths():
    with pytest.raises(InvalidInputError, match=r"5.*layer 2 res.*6"):
        fired_windows(torch.ones(1, 4, 6), [[]], integer_sae(5, 11, 0), 100, hook="layer 2 res")


def test_a_limit_of_nothing_is_refused():
    with pytest.raises(InvalidInputError, match="max_elements"):
        fired_windows(torch.ones(1, 4, 5), [[]], integer_sae(5, 11, 0), 0)


def test_no_more_products_are_held_than_the_limit_allows():
    sae = integer_sae(5, 11, 0)
    held = []
    product = sae.gate.fires_in

    def watch(x, out=None):
        held.append(x.shape[0] * x.shape[1] * sae.n_features)
        assert out is not None
        assert out.numel() <= 110
        return product(x, out)

    sae.gate.fires_in = watch
    plans = [plan_windows([9] * 64, SPECIAL, 32)] * 3
    fired_windows(torch.ones(3, 64, 5), plans, sae, 110)
    assert max(held) <= 110
    assert sum(held) == 3 * 64 * 11


def test_memory_that_runs_out_is_said_with_the_flag_that_helps():
    sae = integer_sae(5, 11, 0)

    def full(x, out=None):
        raise torch.OutOfMemoryError

    sae.gate.fires_in = full
    with pytest.raises(MemoryLimitError, match=r"11 features of 1 windows.*--batch-tokens"):
        fired_windows(torch.ones(1, 4, 5), [plan_windows([9] * 4, SPECIAL, 4)], sae, 99)
