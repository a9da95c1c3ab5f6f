"""Occurrences from arrays in memory equal those of plain loops."""

import itertools

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st

import reference
import sfal.api.count as module
from sfal import Occurrences, count_encoded, count_features
from sfal.errors import InvalidInputError


def expected_windows(acts, lengths, window_size, tail):
    """Features of each window, document by document, token by token."""
    windows, start = [], 0
    for length in lengths:
        tokens = list(range(start, start + length))
        start += length
        for first in range(0, length, window_size):
            window = tokens[first : first + window_size]
            whole = len(window) == window_size
            if whole or (tail == "keep" and len(window) >= window_size / 2):
                windows.append({j for t in window for j in range(acts.shape[1]) if acts[t, j] > 0})
    return windows


def assert_windows(occurrences, windows, n_features):
    assert (occurrences.n_windows, occurrences.n_features) == (len(windows), n_features)
    indptr, indices = occurrences.rows(0, len(windows))
    wanted_indptr, wanted_indices = reference.to_csr(windows)
    np.testing.assert_array_equal(indptr, wanted_indptr)
    np.testing.assert_array_equal(indices, wanted_indices)


KINDS = {
    "numpy": lambda a: a,
    "bool": lambda a: a > 0,
    "fortran": np.asfortranarray,
    "torch": torch.from_numpy,
    "bfloat16": lambda a: torch.from_numpy(a).bfloat16(),
    "csr": scipy.sparse.csr_array,
    "csc": scipy.sparse.csc_matrix,
    "coo": scipy.sparse.coo_array,
}


@st.composite
def cases(draw):
    lengths = draw(st.lists(st.integers(0, 9), max_size=5))
    shape = (sum(lengths), draw(st.integers(1, 7)))
    values = st.sampled_from(np.float32([0, 0, 0, -1, 0.5, 3]))
    acts = draw(hnp.arrays(np.float32, shape, elements=values))
    return acts, lengths, draw(st.integers(1, 5)), draw(st.sampled_from(["drop", "keep"]))


@pytest.mark.parametrize("kind", KINDS)
@given(cases(), st.integers(1, 20))
def test_windows_are_those_of_plain_loops(kind, case, elements):
    acts, lengths, window_size, tail = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_ELEMENTS", elements)  # batches of few windows
        found = count_features(KINDS[kind](acts), window_size, document_lengths=lengths, tail=tail)
    assert_windows(found, expected_windows(acts, lengths, window_size, tail), acts.shape[1])


class Linear:
    """Encodes by a matrix, and notes how many tokens came at once."""

    def __init__(self, weights):
        self.weights, self.batches = weights, []

    def encode(self, x):
        self.batches.append(len(x))
        return x @ self.weights


@given(cases(), st.integers(1, 20))
def test_encoding_in_batches_is_encoding_at_once(case, batch_tokens):
    acts, lengths, window_size, tail = case
    sae = Linear(np.arange(acts.shape[1] * 3).reshape(-1, 3) % 3 - 1)
    windows = expected_windows(acts @ sae.weights, lengths, window_size, tail)
    options = {"document_lengths": lengths, "tail": tail, "batch_tokens": batch_tokens}
    if not windows:
        with pytest.raises(InvalidInputError, match="no document has a window"):
            count_encoded(sae, acts, window_size, **options)
        return
    assert_windows(count_encoded(sae, acts, window_size, **options), windows, 3)
    assert max(sae.batches) <= max(batch_tokens, window_size)


def test_tokens_outside_windows_are_not_encoded():
    sae = Linear(np.eye(2))
    acts = np.full((7, 2), np.nan)
    acts[[0, 1, 4, 5]] = 1
    found = count_encoded(sae, acts, 2, document_lengths=[3, 1, 3])
    assert sae.batches == [4]
    assert found.counts().tolist() == [2, 2]


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weights = torch.nn.Parameter(torch.eye(3, dtype=torch.float64))

    def encode(self, x):
        assert x.dtype == torch.float64
        assert not torch.is_grad_enabled()
        return x @ self.weights


@pytest.mark.parametrize("as_input", [np.float32, torch.tensor, "read-only"])
def test_a_torch_module_gets_tensors_of_its_own_dtype_and_device(as_input):
    acts = np.array([[1, 0, -1], [0, 0, 2], [3, 0, 0], [0, 0, 0]], np.float32)
    if as_input == "read-only":
        acts.flags.writeable = False
        given_acts = acts
    else:
        given_acts = as_input(acts)
    assert_windows(count_encoded(Module(), given_acts, 2), [{0, 2}, {0}], 3)


def test_an_sae_of_saelens_is_counted_as_it_encodes():
    sae_lens = pytest.importorskip("sae_lens")
    torch.manual_seed(0)
    sae = sae_lens.StandardSAE(sae_lens.StandardSAEConfig(d_in=6, d_sae=20))
    sae.b_enc.data.uniform_(-0.3, 0.1)
    acts = torch.randn(40, 6)
    found = count_encoded(sae, acts, 4, batch_tokens=12)
    windows = expected_windows(sae.encode(acts).detach().numpy(), [40], 4, "drop")
    assert_windows(found, windows, 20)
    assert 0 < found.counts().sum() < 200


def test_pieces_of_a_corpus_join_to_the_whole():
    acts = np.random.default_rng(0).standard_normal((30, 5))
    lengths = [10, 13, 7]
    whole = count_features(acts, 3, document_lengths=lengths)
    joined = Occurrences(5)
    for start, length in zip(itertools.accumulate([0, *lengths]), lengths, strict=False):
        joined.merge(count_features(acts[start : start + length], 3))
    for one, other in zip(whole.rows(0, 9), joined.rows(0, 9), strict=True):
        np.testing.assert_array_equal(one, other)


def test_repeated_entries_of_a_sparse_matrix_add_up_and_stay_as_they_are():
    parts = (np.array([2.0, -3.0, 1.0]), np.array([1, 1, 0]), np.array([0, 3]))
    matrix = scipy.sparse.csr_array(parts, shape=(1, 2))
    assert count_features(matrix, 1).counts().tolist() == [1, 0]
    assert matrix.nnz == 3


@pytest.mark.parametrize(
    ("acts", "message"),
    [
        (np.zeros(4), r"ndarray of shape \(4,\)"),
        (np.zeros((2, 2), complex), "complex128"),
        (np.array([["a"]]), "numbers"),
        (scipy.sparse.coo_array(np.ones(3)), "coo_array"),
        (torch.ones(2, 2).to_sparse(), "dense torch tensor"),
        ([[1, 2], [3]], "list"),
        (np.zeros((4, 0)), "n_features"),
    ],
)
def test_input_that_is_not_a_matrix_of_numbers_is_refused(acts, message):
    with pytest.raises(InvalidInputError, match=message):
        count_features(acts)


@pytest.mark.parametrize("kind", ["numpy", "fortran", "torch", "csr", "csc"])
def test_nan_is_refused_with_its_place_if_it_lies_in_a_window(kind):
    acts = np.zeros((9, 4), np.float32)
    acts[6, 2] = np.nan
    with pytest.raises(InvalidInputError, match="feature 2 on token 6 is NaN"):
        count_features(KINDS[kind](acts), 2, document_lengths=[5, 4])
    assert count_features(KINDS[kind](acts), 4, document_lengths=[7, 2]).n_windows == 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy])
def test_activations_that_are_not_finite_are_refused_before_they_are_encoded(value, convert):
    acts = np.zeros((8, 2), np.float32)
    acts[5, 1] = value
    with pytest.raises(InvalidInputError, match="token 5 are NaN or infinite"):
        count_encoded(Linear(np.eye(2)), convert(acts), 2, document_lengths=[3, 5])


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([3, 2], "sum to 5 tokens, but there are activations of 4"),
        ([5, -1], "document 1 has -1 tokens"),
        ([2.0, 2.0], "one integer per document"),
        ([[4]], "one integer per document"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(lengths, message):
    with pytest.raises(InvalidInputError, match=message):
        count_features(np.ones((4, 2)), 2, document_lengths=lengths)


@pytest.mark.parametrize(("size", "tail"), [(0, "drop"), (-1, "keep"), (2, "cut")])
def test_sizes_and_tails_that_cannot_be_are_refused(size, tail):
    with pytest.raises(InvalidInputError, match=r"window_size|tail"):
        count_features(np.ones((4, 2)), size, tail=tail)


class Strange:
    def __init__(self, *outputs):
        self.outputs = iter(outputs)

    def encode(self, x):
        return next(self.outputs)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ([(np.ones((2, 3)), "indices")], "the result of encode..: tuple"),
        ([np.ones((1, 3))], r"returned shape \(1, 3\) for 2 tokens, not \(2, 3\)"),
        ([np.ones((2, 3)), np.ones((2, 4))], r"returned shape \(2, 4\) for 2 tokens, not \(2, 3\)"),
        ([np.full((2, 3), np.nan)], "feature 0 on token 0 is NaN"),
    ],
)
def test_what_encode_gives_is_checked(outputs, message):
    with pytest.raises(InvalidInputError, match=message):
        count_encoded(Strange(*outputs), np.ones((4, 2)), 2, batch_tokens=2)


def test_inputs_of_an_encoder_are_dense():
    with pytest.raises(InvalidInputError, match="sparse"):
        count_encoded(Linear(np.eye(2)), scipy.sparse.csr_array(np.ones((4, 2))), 2)


def test_batches_of_no_tokens_are_refused():
    with pytest.raises(InvalidInputError, match="batch_tokens is 0"):
        count_encoded(Linear(np.eye(2)), np.ones((4, 2)), 2, batch_tokens=0)
