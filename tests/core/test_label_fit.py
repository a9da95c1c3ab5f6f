"""Label fit against the exchange of labels itself."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference_trust
from sfal import _core
from sfal.errors import InvalidInputError

FUNCTIONAL = np.array([[1, 2], [0, 2], [3, 0], [2, 1]], dtype=np.uint32)
SEMANTIC = np.array([[1, 3], [0, 3], [3, 1], [2, 0]], dtype=np.uint32)
FIT = np.array(
    [
        [0.768969, 0.768969, 0.366176, 0.485165],
        [0.768969, 0.768969, 0.231031, 0.851341],
        [0.366176, 0.851341, 0.768969, 1],
        [0.485165, 0.231031, 1, 0.768969],
    ]
)
NONE = 2**32 - 1


def test_four_features_by_hand():
    rank, mean, better, value = _core.label_fit(FUNCTIONAL, SEMANTIC, top_n=2)
    assert rank.tolist() == [2, 3, 3, 2]
    others = ~np.eye(4, dtype=bool)
    expected = [row[mask].mean() for row, mask in zip(FIT, others, strict=True)]
    np.testing.assert_allclose(mean, expected, atol=1e-6)
    best = [[NONE] * 5, [3] + [NONE] * 4, [3, 1] + [NONE] * 3, [2] + [NONE] * 4]
    assert better.tolist() == best
    np.testing.assert_allclose(value[2, :2], [1, 0.851341], atol=1e-6)
    assert np.isnan(value[better == NONE]).all()
    np.testing.assert_allclose(_core.ndcg(FUNCTIONAL, SEMANTIC, 2), np.diag(FIT), atol=1e-6)


@st.composite
def scored(draw):
    """Similarities of a few features with and without ties, and which of them are scored."""
    n = draw(st.integers(2, 7))
    distinct = draw(st.booleans())
    random = draw(st.randoms(use_true_random=False))
    phi, cosine = np.zeros((n, n)), np.zeros((n, n))
    for i, j in itertools.combinations(range(n), 2):
        for out in (phi, cosine):
            out[i, j] = out[j, i] = random.random() if distinct else random.choice([0, 0.5, 1])
    cosine = cosine.astype(np.float32).astype(np.float64)
    chosen = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    features = [i for i in range(n) if chosen[i]]
    return phi, cosine, features if len(features) > 1 else list(range(n))


@settings(max_examples=150)
@given(scored(), st.integers(1, 7), st.sampled_from([1.1, 2.0]), st.booleans())
def test_label_fit_is_what_exchanged_labels_score(case, top_n, base, some_rows):
    phi, cosine, features = case
    phi, cosine = (similarity[np.ix_(features, features)] for similarity in (phi, cosine))
    n = len(features)
    classes = [
        {i: reference_trust.classes(similarity[i], i, range(n)) for i in range(n)}
        for similarity in (phi, cosine)
    ]
    expected = reference_trust.fit(*classes, top_n, base)
    rows = np.arange(n)[::-2].copy() if some_rows else np.arange(n)
    rankings = _core.top_ranking(phi, top_n), _core.top_ranking(cosine.astype(np.float32), top_n)
    if some_rows:
        part = [_core.top_ranking(np.ascontiguousarray(phi[[i]]), top_n, int(i)) for i in rows]
        found = [
            _core.label_fit(r, rankings[1], top_n, base, rows[[k]], 3) for k, r in enumerate(part)
        ]
        rank, mean, better, value = (np.concatenate(column) for column in zip(*found, strict=True))
    else:
        rank, mean, better, value = _core.label_fit(*rankings, top_n, base, best=3)
    for r, i in enumerate(rows):
        fit = np.array([expected[i][j] for j in range(n)])
        others = np.delete(fit, i)
        assert np.sum(fit > fit[i] + 1e-6) < rank[r] <= np.sum(fit >= fit[i] - 1e-6)
        assert mean[r] == pytest.approx(others.mean(), abs=1e-6)
        named = better[r] != NONE
        np.testing.assert_allclose(value[r][named], fit[better[r][named]], atol=1e-6)
        best = np.sort(others)[::-1][: named.sum()]
        np.testing.assert_allclose(value[r][named], best, atol=1e-6)
        assert named.sum() >= min(3, np.sum(fit > fit[i] + 1e-6))


def test_features_keep_their_numbers():
    features = np.array([3, 10, 11, 40])
    renamed = features.astype(np.uint32)[FUNCTIONAL], features.astype(np.uint32)[SEMANTIC]
    rank, mean, better, _ = _core.label_fit(*renamed, top_n=2, labels=features)
    plain = _core.label_fit(FUNCTIONAL, SEMANTIC, top_n=2)
    np.testing.assert_array_equal(rank, plain[0])
    np.testing.assert_array_equal(mean, plain[1])
    assert better[2, :2].tolist() == [40, 10]


def test_equal_labels_fit_as_well_and_are_not_better():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((60, 4), dtype=np.float32)[rng.integers(0, 20, 60)]
    _, same = np.unique(vectors, axis=0, return_inverse=True)
    lists = _core.top_neighbours(rng.random((60, 60)), 30)[0]
    semantic, _ = _core.semantic_neighbours(vectors, 30)
    rank, _, better, _ = _core.label_fit(lists, semantic, 30, same=same.ravel())
    plain, _, _, _ = _core.label_fit(lists, semantic, 30)
    twins = np.bincount(same.ravel())[same.ravel()]
    assert np.all(rank >= twins)
    assert np.any(rank > plain)
    named = better != NONE
    assert np.all(same.ravel()[better[named]] != np.repeat(same.ravel(), named.sum(axis=1)))


def test_many_labels_in_blocks_and_on_any_number_of_threads():
    rng = np.random.default_rng(1)
    n, width = 70_000, 6
    functional, semantic = (rng.integers(0, n, (n, width), dtype=np.uint32) for _ in range(2))
    rows = np.array([0, 5, 65_535, 65_536, 69_999])
    found = [
        _core.label_fit(functional[rows], semantic, width, rows=rows, n_threads=k) for k in (1, 2)
    ]
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    gains, discounts = 1.1 ** (width - np.arange(width)) - 1, 1 / np.log2(np.arange(width) + 2)
    for r, i in enumerate(rows):
        weight = np.zeros(n)
        for d, f in zip(discounts, functional[i], strict=True):
            weight[f] += d
        moved = np.where(semantic == i, np.arange(n)[:, None], semantic)
        fit = weight[moved] @ gains / (gains @ discounts)
        assert abs(int(found[0][0][r]) - np.sum(fit >= fit[i] - 1e-9)) <= np.sum(
            np.abs(fit - fit[i]) < 1e-6
        )
        assert found[0][1][r] == pytest.approx(np.delete(fit, i).mean(), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rows": np.arange(3)}, "rows"),
        ({"rows": np.array([0, 1, 2, 9])}, "label"),
        ({"labels": np.array([0, 2, 1, 3])}, "increasing"),
        ({"same": np.arange(3)}, "same"),
        ({"best": -1}, "best"),
    ],
)
def test_what_does_not_agree_is_refused(wrong, message):
    with pytest.raises(InvalidInputError, match=message):
        _core.label_fit(FUNCTIONAL, SEMANTIC, 2, **wrong)
