"""Comparing sets of scores of the same features."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import spearmanr

import sfal
from sfal.errors import InvalidInputError
from sfal.stats.compare import compare
from sfal.stats.differences import hodges_lehmann

RNG = np.random.default_rng(0)
TRUTH = RNG.normal(0.4, 0.15, 300)


def table(values, features=None, **columns):
    features = np.arange(len(values)) if features is None else features
    return pa.table({"feature": features.astype(np.uint32), "sfal": values, **columns})


def test_one_pair_by_hand():
    a, b = TRUTH + 0.05, TRUTH + RNG.normal(0, 0.1, 300)
    found = sfal.compare(table(a), table(b), names=["new", "old"], n_resamples=300)
    (pair,) = found.pairs
    assert found.names == (pair.a, pair.b) == ("new", "old")
    assert found.n == 300
    assert found.medians == (np.median(a), np.median(b))
    assert pair.difference.value == hodges_lehmann(a - b)
    assert pair.difference.low < 0.05 < pair.difference.high
    assert pair.share_above == np.mean(a > b)
    assert pair.spearman.value == pytest.approx(spearmanr(a, b).statistic)
    assert pair.detectable == pytest.approx(2.8 * pair.difference.se)
    assert pair.p < 1e-6
    assert np.isnan(pair.se_documents)
    assert found.letters == ("a", "b")


def test_only_features_scored_in_all_count_whatever_their_order():
    a, b = TRUTH.copy(), TRUTH + 0.1
    status = np.where(np.arange(300) < 10, "dead", "scored")
    b[20:25] = np.nan
    order = RNG.permutation(300)[:290]
    found = compare(
        table(a, status=status),
        table(b[order], order),
        table(a[::-1] + 0.2, np.arange(300)[::-1]),
        n_resamples=50,
    )
    kept = np.setdiff1d(order, [*range(10), *range(20, 25)])
    assert found.n == len(kept)
    assert found.pairs[0].difference.value == pytest.approx(-0.1)
    assert found.pairs[1].difference.value == pytest.approx(-0.2)
    assert found.names == ("a", "b", "c")


def test_groups_of_several():
    noise = RNG.normal(0, 0.02, (4, 300))
    shifts = [0.0, 0.1, 0.101, 0.2]
    found = compare(
        *(table(TRUTH + s + n) for s, n in zip(shifts, noise, strict=True)), n_resamples=200
    )
    assert found.letters == ("c", "b", "b", "a")
    assert len(found.pairs) == 6
    assert all(pair.q >= pair.p for pair in found.pairs)


def test_equal_scores_cannot_be_told_apart():
    found = compare(table(TRUTH), table(TRUTH))
    (pair,) = found.pairs
    assert pair.difference.value == 0
    assert pair.share_above == 0.5
    assert pair.p == 1
    assert found.letters == ("a", "a")


def test_corpus_noise_that_both_share_cancels():
    """Each half moves all scores of both sets by the same amount."""
    shared = RNG.normal(0, 0.05, (8, 2, 1))
    own = RNG.normal(0, 0.001, (2, 8, 2, 300))
    halves = TRUTH + shared + own
    found = compare(table(TRUTH + 0.01), table(TRUTH), replicates=list(halves), n_resamples=50)
    assert found.pairs[0].se_documents < 0.001
    independent = TRUTH + RNG.normal(0, 0.05, (2, 8, 2, 1)) + own
    a = TRUTH + RNG.normal(0.01, 0.1, 300)
    found = compare(table(a), table(TRUTH), replicates=list(independent), n_resamples=50)
    # Two independent errors of .05 for a half, .05 / sqrt(2) for all the text.
    assert found.pairs[0].se_documents == pytest.approx(0.05, rel=0.6)
    assert found.pairs[0].se > found.pairs[0].se_documents


def test_the_shrinkage_of_the_tables_is_used():
    halves = TRUTH + RNG.normal(0, 0.05, (8, 2, 300))
    se2 = np.sqrt(((halves[:, 0] - halves[:, 1]) ** 2).mean(axis=0) / 2)
    zero = np.zeros_like(halves)
    by_root = compare(table(TRUTH), table(TRUTH), replicates=[halves, zero], n_resamples=2)
    slow = compare(
        table(TRUTH, se=0.9 * se2), table(TRUTH), replicates=[halves, zero], n_resamples=2
    )
    ratio = slow.pairs[0].se_documents / by_root.pairs[0].se_documents
    assert ratio == pytest.approx(0.9 * np.sqrt(2))


def test_replicates_follow_the_rows_of_their_table():
    halves = TRUTH + RNG.normal(0, 0.05, (8, 2, 300))
    order = RNG.permutation(300)
    straight = compare(table(TRUTH), table(TRUTH), replicates=[halves, halves], n_resamples=2)
    mixed = compare(
        table(TRUTH),
        table(TRUTH[order], order),
        replicates=[halves, halves[:, :, order]],
        n_resamples=2,
    )
    assert mixed.pairs[0].se_documents == straight.pairs[0].se_documents == 0


def test_other_columns_can_be_compared():
    rbo = RNG.random((2, 300))
    tables = [table(TRUTH, rbo98=values) for values in rbo]
    found = compare(*tables, metric="rbo98", n_resamples=20)
    assert found.metric == "rbo98"
    assert found.medians == tuple(np.median(rbo, axis=1))


def test_the_table_of_a_comparison():
    found = compare(table(TRUTH), table(TRUTH + 0.1), table(TRUTH - 0.1), n_resamples=20).table()
    assert found.num_rows == 3
    assert found.column_names[:5] == ["a", "b", "metric", "n", "median_a"]


@pytest.mark.parametrize(
    ("tables", "options", "said"),
    [
        ([table(TRUTH)], {}, "needs two or more tables, got 1"),
        ([table(TRUTH), 3], {}, "b of type int is not a table"),
        (
            [table(TRUTH), table(TRUTH)],
            {"metric": "f1"},
            "a has no column f1; it has feature, sfal",
        ),
        ([table(TRUTH), table(TRUTH)], {"names": ["x", "x"]}, "names are x, x, for 2 tables"),
        ([table(TRUTH), table(TRUTH[:2])], {}, "2 features are scored in all of a, b"),
        ([table(TRUTH), table(TRUTH)], {"clusters": [0, 1]}, r"clusters has shape \(2,\)"),
        (
            [table(TRUTH), table(TRUTH)],
            {"replicates": [np.zeros((8, 2, 1))] * 2},
            r"of a have shape",
        ),
        ([table(TRUTH), table(TRUTH)], {"replicates": [None]}, "1 sets of replicates for 2"),
        ([table(TRUTH), pa.table({"x": [1]})], {}, "b has no column feature; it has x"),
        (
            [table(TRUTH), table(np.tile(TRUTH, 2), np.tile(np.arange(300), 2))],
            {},
            "b has several rows for a feature",
        ),
        (
            [table(TRUTH), table(np.full(300, np.inf))],
            {},
            "b: column sfal holds an infinite number",
        ),
        ([table(TRUTH), table(["x"] * 300)], {}, "b: column sfal holds string, not numbers"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(tables, options, said):
    with pytest.raises(InvalidInputError, match=said) as e:
        compare(*tables, **options)
    assert "\n" not in str(e.value)
