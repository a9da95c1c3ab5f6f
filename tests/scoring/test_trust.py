"""Scores do not depend on numbering, and say whether a label is right."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

import sfal
from scoring.definitions import exchanged, expected_chance
from sfal import _core
from sfal.errors import InvalidInputError
from sfal.scoring.metrics import false_discovery_rate
from sfal.scoring.settings import MEASURES, ScoreSettings

SAME_FOR_ANY_NUMBERING = [
    "ndcg",
    "sfal",
    "chance",
    "windows",
    "status",
    "p_chance",
    "q_chance",
    "label_rank",
    "p_label",
    "q_label",
    "chance_label",
    "overlap10",
    "rbo98",
]


def random_case(seed, n_features=24, n_windows=60):
    """Return occurrences and vectors: some features rare, so that they tie, some labels equal."""
    rng = np.random.default_rng(seed)
    density = rng.choice([0.02, 0.1, 0.4], n_features)
    fired = rng.random((n_features, n_windows)) < density[:, None]
    vectors = rng.standard_normal((n_features, 8)).astype(np.float32)
    vectors[rng.integers(0, n_features, 6)] = vectors[rng.integers(0, n_features, 6)]
    vectors[rng.integers(0, n_features)] = 0
    return fired, vectors


def columns(table, names=SAME_FOR_ANY_NUMBERING):
    return {name: table[name].to_pandas().to_numpy() for name in names}


@given(st.integers(0, 10_000), st.sampled_from([3, 10, 1023]))
def test_scores_do_not_depend_on_how_features_are_numbered(seed, top_n):
    fired, vectors = random_case(seed)
    order = np.random.default_rng(seed + 1).permutation(len(fired))
    plain = sfal.score_features(sfal.count_features(fired.T, 1), vectors, top_n=top_n)
    renamed = sfal.score_features(
        sfal.count_features(fired[order].T, 1), vectors[order], top_n=top_n
    )
    for name, values in columns(plain).items():
        found = columns(renamed)[name]
        if values.dtype == object:
            assert found.tolist() == values[order].tolist()
        else:
            np.testing.assert_allclose(found, values[order], rtol=1e-9, atol=1e-12, err_msg=name)


def test_equal_labels_score_chance_however_features_are_numbered():
    windows = {0: [0, 1, 2, 3], 5: [0, 1, 2, 3], 4: [0, 1], 1: [4], 2: [5], 3: [6]}

    def score(names, **rule):
        fired = np.zeros((8, 6), bool)
        for feature, where in windows.items():
            fired[where, names[feature]] = True
        counted = sfal.count_features(fired, 1)
        table = sfal.score_features(counted, np.ones((6, 3)), top_n=2, **rule)
        return table["sfal"].to_pylist()[0]

    for names in ([0, 1, 2, 3, 4, 5], [0, 5, 4, 3, 2, 1]):
        assert score(names) == pytest.approx(0, abs=1e-12)
    assert score([0, 5, 4, 3, 2, 1], ties="index") == pytest.approx(1)
    assert score([0, 1, 2, 3, 4, 5], ties="index") == pytest.approx(-0.588, abs=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_label_fit_is_that_of_exchanging_labels_by_hand(seed):
    fired, vectors = random_case(seed, n_features=9)
    top_n = 4
    table = sfal.score_features(sfal.count_features(fired.T, 1), vectors, top_n=top_n).to_pylist()
    scores = exchanged(fired, vectors, top_n)
    chance = expected_chance(fired, vectors, top_n)
    for i, row in scores.items():
        same = [j for j in row if np.array_equal(vectors[j], vectors[i])]
        rank = sum(s >= row[i] - 1e-12 or j in same for j, s in row.items())
        assert table[i]["label_rank"] == rank
        assert table[i]["p_label"] == rank / len(row)
        others = [s for j, s in row.items() if j != i]
        assert table[i]["chance_label"] == pytest.approx(np.mean(others))
        better = sorted(s for j, s in row.items() if s > row[i] + 1e-12 and j not in same)[::-1]
        found = table[i]["better_labels"]
        assert [one["sfal"] for one in found] == pytest.approx(
            [(s - chance) / (1 - chance) for s in better[:5]], abs=1e-6
        )
        assert all(row[one["feature"]] > row[i] for one in found)


def test_probabilities_are_those_of_the_law_and_adjusted_for_the_number_of_tests():
    fired, vectors = random_case(3)
    table = sfal.score_features(sfal.count_features(fired.T, 1), vectors, top_n=5)
    found = columns(table, ["ndcg", "p_chance", "q_chance", "p_label", "q_label"])
    scored = ~np.isnan(found["ndcg"])
    law = _core.chance_law(int(scored.sum()) - 1, 5)
    expected = np.maximum(np.interp(found["ndcg"][scored], *law), 1e-9)
    np.testing.assert_allclose(found["p_chance"][scored], expected)
    for kind in ("chance", "label"):
        p, q = found[f"p_{kind}"], found[f"q_{kind}"]
        np.testing.assert_allclose(q[scored], false_discovery_control(p[scored]))
        assert np.isnan(p[~scored]).all()
        assert np.isnan(q[~scored]).all()


@given(st.lists(st.one_of(st.floats(1e-9, 1), st.just(float("nan"))), max_size=20))
def test_false_discovery_rates_equal_scipy(values):
    p = np.array(values, dtype=float)
    known = ~np.isnan(p)
    q = false_discovery_rate(p)
    assert (np.isnan(q) == ~known).all()
    if known.any():
        np.testing.assert_allclose(q[known], false_discovery_control(p[known]))


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_ranks_by_its_own_values(measure):
    fired, vectors = random_case(5)
    counted = sfal.count_features(fired.T, 1)
    table = sfal.score_features(counted, vectors, top_n=6, measure=measure, ties="index")
    scored = np.flatnonzero(~np.isnan(columns(table, ["ndcg"])["ndcg"]))
    lists, _ = _core.functional_neighbours(counted, 6, measure, scored, scored)
    semantic, _ = _core.semantic_neighbours(vectors, 6, scored, scored)
    expected = _core.ndcg(lists, semantic, 6)
    np.testing.assert_array_equal(columns(table, ["ndcg"])["ndcg"][scored], expected)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"measure": "dice"}, "dice: same order as jaccard"),
        ({"candidates": "some"}, "give candidates as comparable or all"),
        ({"ties": "random"}, "give ties as average or index"),
    ],
)
def test_unknown_rules_are_refused_with_those_that_exist(setting, message):
    with pytest.raises(InvalidInputError, match=message):
        ScoreSettings(**setting)
