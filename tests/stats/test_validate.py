"""Scores against votes."""

import numpy as np
import pyarrow as pa
import pytest

import sfal
from sfal.errors import InvalidInputError
from sfal.stats.correlation_tests import steiger_z, williams_t, zou_interval
from sfal.stats.validate import validate
from sfal.stats.votes.tables import votes_of

RNG = np.random.default_rng(0)
N = 60
TRUTH = RNG.standard_normal(N)
SCORES = pa.table(
    {
        "feature": np.arange(N, dtype=np.uint32),
        "sfal": TRUTH + 0.5 * RNG.standard_normal(N),
        "rbo98": TRUTH + 2.0 * RNG.standard_normal(N),
        "status": ["scored"] * N,
    }
)
VOTES = {"feature": np.arange(N), "score": np.round(2 * TRUTH)}


def test_correlations_of_a_metric_with_the_votes():
    found = sfal.validate(SCORES, VOTES)
    (metric,) = found.metrics
    x, y = SCORES["sfal"].to_numpy(), VOTES["score"]
    assert metric.pearson.value == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert metric.pearson.low < metric.pearson.value < metric.pearson.high
    assert 0 < metric.kendall.value < metric.spearman.value
    assert found.n == N
    assert (found.agreement, found.differences, found.notes) == ((), (), ())


def test_two_metrics_against_the_same_votes():
    found = validate(SCORES, VOTES, ["sfal", "rbo98"])
    (one,) = found.differences
    r12, r13 = (metric.pearson.value for metric in found.metrics)
    r23 = np.corrcoef(SCORES["sfal"].to_numpy(), SCORES["rbo98"].to_numpy())[0, 1]
    assert (one.a, one.b) == ("sfal", "rbo98")
    assert one.difference == r12 - r13 > 0
    assert one.williams.statistic == pytest.approx(williams_t(r12, r13, r23, N).statistic)
    assert one.steiger.p == pytest.approx(steiger_z(r12, r13, r23, N).p)
    assert (one.low, one.high) == pytest.approx(zou_interval(r12, r13, r23, N))


def test_a_column_of_the_votes_may_be_a_metric():
    judged = VOTES | {"gpt": TRUTH + RNG.standard_normal(N), "note": ["x"] * N}
    found = validate(SCORES, judged, ["sfal", "gpt"])
    assert [metric.metric for metric in found.metrics] == ["sfal", "gpt"]
    assert found.metrics[1].pearson.value == pytest.approx(
        np.corrcoef(judged["gpt"], VOTES["score"])[0, 1]
    )


def test_features_without_a_score_or_a_vote_are_left_out():
    votes = {"feature": [*range(10, N), 900], "score": [*VOTES["score"][10:], 1.0]}
    status = ["dead" if i < 20 else "scored" for i in range(N)]
    found = validate(SCORES.set_column(3, "status", [status]), votes)
    assert found.n == N - 20
    assert str(found.notes[0]) == ("11 of 51 features with votes have no sfal: they are left out")


def test_several_raters_and_their_agreement():
    ratings = TRUTH + RNG.standard_normal((3, N))
    votes = pa.table(
        {
            "feature": np.tile(np.arange(N), 3),
            "score": ratings.ravel(),
            "rater": np.repeat(["x", "y", "z"], N),
        }
    )
    found = validate(SCORES, votes, n_resamples=50)
    assert (found.n, found.n_votes, found.n_raters) == (N, 3 * N, 3)
    nominal, ordinal, interval = found.agreement
    assert interval.level == "interval"
    assert interval.value == pytest.approx(0.5, abs=0.15)
    assert interval.ceiling == pytest.approx(np.sqrt(interval.value))
    assert nominal.value < 0.1 < ordinal.value
    x = SCORES["sfal"].to_numpy()
    assert found.metrics[0].pearson.value == pytest.approx(
        np.corrcoef(x, ratings.mean(axis=0))[0, 1]
    )
    columns = found.table().column_names
    assert columns[:3] == ["metric", "n", "pearson"]
    assert "ceiling_interval" in columns


def test_votes_without_names_agree_too():
    votes = votes_of({"feature": [0, 0, 1, 1, 2], "score": [1, 1, 3, 3, 2]}, "votes")
    assert votes.n_raters == 0
    assert validate(SCORES, votes, n_resamples=10).agreement[0].value == 1


def test_weights_count_in_the_mean():
    votes = votes_of(
        {"feature": [4, 4, 7, 9], "score": [0.0, 1.0, 5.0, 2.0], "weight": [1.0, 3.0, 1.0, 0.0]},
        "v",
    )
    features, means = votes.means()
    assert features.tolist() == [4, 7]
    assert means.tolist() == [0.75, 5.0]


@pytest.mark.parametrize(
    ("votes", "metrics", "said"),
    [
        (VOTES, ["f1"], "there is no metric f1; there are sfal, rbo98, status"),
        (VOTES, [], "no metric is given"),
        (
            {"feature": [1, 2], "score": [1, 2]},
            ["sfal"],
            "only 2 of the 2 features with a vote also have sfal",
        ),
        ({"feature": [1, 2], "stars": [1, 2]}, ["sfal"], "votes has no column score or verdict"),
        ({"feature": [1, 1], "score": [1, 2], "rater": ["x", "x"]}, ["sfal"], "x has two votes on"),
        ({"feature": [1.5], "score": [1]}, ["sfal"], "does not hold an integer in each row"),
        ({"feature": [-1], "score": [1]}, ["sfal"], "feature -1 is below 0"),
        ({"feature": [1], "score": ["good"]}, ["sfal"], "column score holds string, not numbers"),
        ({"feature": [1], "score": [1], "weight": [-2]}, ["sfal"], "weight -2, which is below 0"),
        (
            {"feature": [1], "verdict": ["perhaps"]},
            ["sfal"],
            "'perhaps', not right, wrong or unsure",
        ),
        (7, ["sfal"], "votes of type int is not a table"),
    ],
)
def test_what_cannot_be_validated_is_refused_in_one_line(votes, metrics, said):
    with pytest.raises(InvalidInputError, match=said) as e:
        validate(SCORES, votes, metrics)
    assert "\n" not in str(e.value)
