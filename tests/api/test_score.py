"""Scores of arrays in memory equal the definitions, and those of the same data on disk."""

import json
import logging
import math
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import reference
import sfal
from scoring.builders import write_our_source
from scoring.definitions import expected_chance, expected_ndcg, published_ndcg
from scoring.published_cases import histogram, write_npz, write_source
from sfal.errors import ArtifactError, InvalidInputError


def occurrences_of(windows, n_features):
    counted = sfal.Occurrences(n_features)
    counted.extend(*reference.to_csr(windows))
    return counted


def expected(windows, vectors, explained, top_n, published):
    """Return ndcg, sfal, windows and status of each feature, and the chance, by the definitions."""
    n, n_features = len(windows), len(vectors)
    fired = np.array([[i in window for window in windows] for i in range(n_features)])
    vectors = np.where(explained[:, None], vectors, 0)
    if published:
        ndcg = published_ndcg(fired, vectors, top_n)
        chance = reference.chance(n_features - 1, top_n)
    else:
        ndcg = expected_ndcg(fired, vectors, top_n)
        chance = expected_chance(fired, vectors, top_n)
    rows = []
    for i, c in enumerate(fired.sum(axis=1).tolist()):
        status = (
            "dead" if c == 0
            else "always_on" if c == n
            else "unexplained" if not vectors[i].any()
            else "scored"
        )  # fmt: skip
        known = None if math.isnan(ndcg[i]) else ndcg[i]
        # With one candidate every order is perfect, so nothing is beyond chance.
        beyond = None if known is None or chance == 1 else (known - chance) / (1 - chance)
        rows.append((known, beyond, c, status))
    return rows, None if math.isnan(chance) else chance


@st.composite
def cases(draw):
    n_features = draw(st.integers(2, 7))
    features = st.sets(st.integers(0, n_features - 1))
    windows = draw(st.lists(features, min_size=1, max_size=8))
    # Cosines of sums of such vectors are either equal to the last bit or far apart.
    axes = draw(st.lists(st.integers(0, n_features), min_size=n_features, max_size=n_features))
    vectors = np.eye(n_features + 1, n_features, -1, dtype=np.float32)[axes]
    explained = draw(st.lists(st.booleans(), min_size=n_features, max_size=n_features))
    return windows, vectors, np.array(explained), draw(st.integers(1, 8))


PUBLISHED = {"candidates": "all", "ties": "index"}


@pytest.mark.parametrize("published", [False, True])
@given(cases())
def test_scores_are_those_of_the_definitions(published, case):
    windows, vectors, explained, top_n = case
    counted = occurrences_of(windows, len(vectors))
    rule = PUBLISHED if published else {}
    table = sfal.score_features(counted, vectors, explained, top_n=top_n, **rule)
    rows, chance = expected(windows, vectors, explained, top_n, published)
    assert table["feature"].to_pylist() == list(range(len(vectors)))
    assert table["windows"].to_pylist() == [row[2] for row in rows]
    assert table["status"].to_pylist() == [row[3] for row in rows]
    assert table["chance"].to_pylist() == pytest.approx([chance] * len(vectors))
    for name, place in (("ndcg", 0), ("sfal", 1)):
        assert table[name].to_pylist() == pytest.approx([row[place] for row in rows])


def test_arrays_give_the_same_bits_as_the_same_data_on_disk(tmp_path):
    folder, fired, vectors = write_our_source(tmp_path)
    occurrences = sfal.count_features(fired.T, window_size=1)
    table = sfal.score_features(occurrences, vectors)
    on_disk = sfal.score(tmp_path)
    assert on_disk.select(table.column_names).equals(table)
    assert set(on_disk["source"].to_pylist()) == {"gemma-2-2b/0-gemmascope-res-16k"}
    stored = pq.read_table(folder / "scores.parquet")
    assert on_disk.drop_columns("source").equals(stored)
    assert {"dead", "always_on", "unexplained", "scored"} == set(table["status"].to_pylist())


def test_a_histogram_scores_as_its_occurrences():
    rng = np.random.default_rng(0)
    occurrences = sfal.count_features(rng.random((60, 9)) < 0.3, window_size=2)
    histogram = sfal.Histogram.from_counts(occurrences.histogram(), occurrences.n_windows)
    vectors = rng.standard_normal((9, 4))
    one, other = (sfal.score_features(x, vectors, top_n=5) for x in (occurrences, histogram))
    assert one.equals(other)


def test_without_windows_all_features_are_dead():
    table = sfal.score_features(sfal.Occurrences(3), np.eye(3))
    assert table["status"].to_pylist() == ["dead"] * 3
    assert table["sfal"].null_count == 3


def test_one_feature_has_no_chance_and_no_score():
    table = sfal.score_features(occurrences_of([{0}, set()], 1), np.ones((1, 2)))
    assert table["ndcg"].to_pylist() == table["chance"].to_pylist() == [None]


def test_the_vectors_given_are_not_modified():
    vectors = np.ones((3, 2), np.float32)
    sfal.score_features(occurrences_of([{0}, {1}], 3), vectors, [True, False, True])
    assert (vectors == 1).all()


@pytest.mark.parametrize(
    ("vectors", "explained", "message"),
    [
        (np.ones((2, 2)), None, r"embeddings has shape \(2, 2\).*3 features"),
        (np.ones(3), None, r"shape \(3,\)"),
        (np.array([["a"]] * 3), None, "dtype"),
        ([[1], [1, 2], [3]], None, "embeddings cannot .*inhomogeneous"),
        (np.array([[1], [np.nan], [1]]), None, "NaN|finite"),
        (np.array([[1], [1e300], [1]]), None, "NaN|finite"),
        (np.ones((3, 2)), [True], r"explained has shape \(1,\)"),
        (np.ones((3, 2)), [1, 0, 1], "explained has .*True or False"),
    ],
)
def test_what_does_not_fit_the_features_is_refused(vectors, explained, message):
    with pytest.raises(InvalidInputError, match=message):
        sfal.score_features(occurrences_of([{0}, {1, 2}], 3), vectors, explained)


@pytest.mark.parametrize("given", [np.zeros((4, 3)), scipy.sparse.eye(3).tocsr(), None])
def test_activations_in_place_of_occurrences_are_refused_with_advice(given):
    with pytest.raises(InvalidInputError, match=r"occurrences is .*sfal\.count_features"):
        sfal.score_features(given, np.eye(3))


def test_tensors_score_like_arrays():
    import torch

    occurrences = occurrences_of([{0, 1}, {2}, {0, 2}], 3)
    vectors = np.array([[1, 0.5], [0.25, 2], [-1, 0.125]], np.float32)
    expected = sfal.score_features(occurrences, vectors, [True, True, False])
    explained = torch.tensor([True, True, False])
    for tensor in (
        torch.tensor(vectors, requires_grad=True),
        torch.tensor(vectors, dtype=torch.bfloat16),
        torch.tensor(vectors, dtype=torch.float64, requires_grad=True),
    ):
        assert sfal.score_features(occurrences, tensor, explained).equals(expected)
    with pytest.raises(InvalidInputError, match="embeddings"):
        sfal.score_features(occurrences, torch.tensor(vectors).to_sparse())


def test_a_top_n_of_0_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="top_n"):
        sfal.score_features(occurrences_of([{0}, {1}], 2), np.eye(2), top_n=0)
    with pytest.raises(InvalidInputError, match="top_n"):
        sfal.score(tmp_path, top_n=0)


def test_a_histogram_without_windows_is_scored_with_their_number(tmp_path):
    _, fired, _ = write_source(tmp_path)
    folder = tmp_path / "gemmascope-res-16k" / "0-gemmascope-res-16k"
    before = sfal.score(tmp_path)
    write_npz(folder, histogram(fired), None)
    with pytest.raises(InvalidInputError, match="give n_windows"):
        sfal.score(tmp_path)
    assert sfal.score(tmp_path, n_windows=40).equals(before)


def test_an_empty_tree_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="no data yet"):
        sfal.score(str(tmp_path))


def test_a_refused_source_is_logged_and_the_others_are_scored(tmp_path, caplog):
    write_our_source(tmp_path)
    with caplog.at_level(logging.WARNING, "sfal"):
        table = sfal.score(tmp_path, layers=[0, 7])
    assert len(table) == 12
    assert "layer 7" in caplog.text


def test_the_table_converts_to_pandas():
    frame = sfal.score_features(occurrences_of([{0, 1}, {0}, {1}], 3), np.eye(3)).to_pandas()
    assert frame["sfal"].dtype == np.float64
    assert math.isnan(frame["sfal"][2])
    assert frame["windows"].tolist() == [2, 2, 0]


IMPORTS = """
import json, sys
import sfal
dir(sfal); sfal.errors
heavy = [m for m in ("numpy", "torch", "pyarrow", "click") if m in sys.modules]
import numpy as np
table = sfal.score_features(sfal.count_features(np.eye(4), 2), np.eye(4))
later = [m for m in ("torch", "pandas", "transformers", "scipy.sparse") if m in sys.modules]
print(json.dumps([heavy, later]))
"""


def test_importing_sfal_imports_nothing_heavy_and_scoring_arrays_no_torch():
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout) == [[], []]


def test_every_public_name_can_be_imported():
    for name in sfal.__all__:
        assert getattr(sfal, name) is not None
        assert name in sfal.__doc__
    assert set(sfal.__all__) == set(dir(sfal))
    assert set(sfal._MODULES) <= set(sfal.__all__)
    assert sfal.__version__ == version("sfal")
    with pytest.raises(AttributeError, match="no attribute 'scores'"):
        _ = sfal.scores
