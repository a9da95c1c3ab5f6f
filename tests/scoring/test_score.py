"""Scores of tiny sources equal the definitions in plain loops; refusals name the file."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.definitions import expected_chance, expected_ndcg, published_ndcg
from scoring.published_cases import (
    EMBEDDER,
    occurrences,
    read_csv,
    write_pickle,
    write_source,
)
from sfal.errors import CombinedError, CorruptError
from sfal.scoring.driver import score_selection
from sfal.scoring.feature_scores import compute_scores
from sfal.scoring.metrics import beyond_chance
from sfal.scoring.neighbour_lists import FunctionalLists, Plan, pass_blocks
from sfal.scoring.selection import Selection
from sfal.scoring.settings import CANDIDATES, TIES, ScoreSettings
from sfal.scoring.status import SCORED, STATUSES, statuses

ALL = Selection()
APPENDED = ("p_label", "low", "high", "sfal_corrected")


@pytest.mark.parametrize("top_n", [1, 5, 8, 1023])
def test_scores_equal_plain_loops(tmp_path, top_n):
    _, fired, vectors = write_source(tmp_path)
    (scores,) = score_selection(tmp_path, ALL, ScoreSettings(top_n=top_n)).scores
    (one,) = scores.embeddings
    ndcg = expected_ndcg(fired, vectors, top_n)
    np.testing.assert_allclose(one.ndcg, ndcg, rtol=1e-9)
    chance = expected_chance(fired, vectors, top_n)
    assert one.features.chance == pytest.approx(chance, rel=1e-12)
    np.testing.assert_allclose(one.sfal, (ndcg - chance) / (1 - chance), rtol=1e-9, atol=1e-12)
    assert [STATUSES[s] for s in one.status[:4]] == ["dead", "always_on", "scored", "unexplained"]


@pytest.mark.parametrize("top_n", [1, 5, 11, 1023])
def test_published_scores_equal_plain_loops(tmp_path, top_n):
    _, fired, vectors = write_source(tmp_path)
    settings = ScoreSettings(top_n=top_n).published()
    (scores,) = score_selection(tmp_path, ALL, settings).scores
    ndcg = published_ndcg(fired, vectors, top_n)
    np.testing.assert_allclose(scores.embeddings[0].ndcg, ndcg, rtol=1e-12)


def arrays(features):
    """Return every array of a set of scores by name."""
    return {name: value for name, value in vars(features).items() if isinstance(value, np.ndarray)}


@pytest.mark.parametrize("candidates", CANDIDATES)
@pytest.mark.parametrize("ties", TIES)
@given(st.integers(0, 1000), st.integers(1, 30), st.integers(2, 40))
def test_blocks_of_rows_of_any_size_give_the_same_bits(
    ties, candidates, seed, block_rows, n_features
):
    rng = np.random.default_rng(seed)
    fired = rng.random((n_features, 20)) < 0.3
    windows = occurrences(fired)
    vectors = rng.standard_normal((n_features, 4)).astype(np.float32)
    vectors[rng.random(n_features) < 0.2] = 0
    status = statuses(windows.counts(), 20, vectors.any(axis=1))
    settings = ScoreSettings(8, candidates=candidates, ties=ties)
    whole, _ = compute_scores(FunctionalLists(lambda: windows), vectors, status, settings)
    plan = Plan(n_features, np.flatnonzero(status == SCORED), settings)
    width = max(1, min(8, plan.n_candidates))
    small = replace(settings, block_bytes=12 * width * block_rows)
    assert max(map(len, replace(plan, settings=small).blocks()), default=0) <= block_rows
    kept = FunctionalLists(lambda: windows, several=True)
    for _ in range(2):
        found, _ = compute_scores(kept, vectors, status, small)
        for name, values in arrays(whole).items():
            np.testing.assert_array_equal(arrays(found)[name], values, err_msg=name)


def test_every_computation_is_given_every_block_once_and_in_order():
    windows = occurrences(np.random.default_rng(0).random((10, 60)) < 0.3)
    vectors = np.random.default_rng(1).standard_normal((10, 4)).astype(np.float32)
    settings = ScoreSettings(5, block_bytes=12 * 5 * 4)
    plan = Plan(10, np.array([0, 1, 2, 4, 5, 6, 7, 8, 9]), settings)

    class Recorded(list):
        add = list.append

    first, second = Recorded(), Recorded()
    pass_blocks(plan, FunctionalLists(lambda: windows), vectors, [first, second])
    assert first == second
    assert [block.rows.tolist() for block in first] == [[0, 1, 2, 4], [5, 6, 7, 8], [9]]
    for block in first:
        for lists in (block.functional, block.semantic):
            assert lists.indices().shape == (len(block.rows), 5)
            assert 3 not in lists.indices()


def test_the_first_status_that_holds_counts():
    windows = np.array([0, 5, 3, 3, 0, 5], dtype=np.uint64)
    explained = np.array([False, False, False, True, True, True])
    found = [STATUSES[s] for s in statuses(windows, 5, explained)]
    assert found == ["dead", "always_on", "unexplained", "scored", "dead", "always_on"]


def test_beyond_chance_has_no_value_where_every_order_is_perfect():
    assert np.isnan(beyond_chance(np.array([1.0, 0.5]), 1.0)).all()
    assert np.isnan(beyond_chance(np.array([1.0]), float("nan"))).all()


def test_a_zero_vector_explains_nothing(tmp_path):
    folder, _, vectors = write_source(tmp_path)
    vectors[5] = 0
    features = [i for i in range(12) if i != 3]
    write_pickle(folder, features, vectors[features])
    (scores,) = score_selection(tmp_path, ALL).scores
    assert STATUSES[scores.embeddings[0].status[5]] == "unexplained"


def test_embeddings_of_a_source_share_rows_and_have_their_own_columns(tmp_path):
    folder, fired, _ = write_source(tmp_path)
    other = np.random.default_rng(9).standard_normal((12, 3)).astype(np.float32)
    write_pickle(folder, range(12), other, embedder="local/mine")
    output = tmp_path / "scores.csv"
    (scores,) = score_selection(tmp_path, ALL, output=output).scores
    assert [one.embedder for one in scores.embeddings] == [EMBEDDER, "local/mine"]
    np.testing.assert_allclose(
        scores.embeddings[1].ndcg, expected_ndcg(fired, other, 1023), rtol=1e-9
    )
    rows = read_csv(output)
    assert list(rows[0]) == [
        "index",
        "description",
        "layer",
        f"ndcg_{EMBEDDER}",
        "ndcg_local/mine",
        f"sfal_{EMBEDDER}",
        "sfal_local/mine",
        "chance",
        "windows",
        "status",
        *(f"{kind}_{name}" for kind in APPENDED for name in (EMBEDDER, "local/mine")),
    ]
    # Each explains other features, so that one is compared among 9 features, the other among 10.
    assert {row["chance"] for row in rows} == {""}
    assert rows[3][f"ndcg_{EMBEDDER}"] == "" != rows[3]["ndcg_local/mine"]
    assert rows[3]["status"] == "scored"
    assert [row["status"] for row in rows[:2]] == ["dead", "always_on"]
    assert [row["windows"] for row in rows] == [str(n) for n in fired.sum(axis=1)]


def test_two_explainers_of_one_embedder_have_separate_columns(tmp_path):
    folder, _, vectors = write_source(tmp_path)
    stem = "np_acts-logits-general_gemini-2.5-flash-lite"
    write_pickle(folder, range(12), vectors + 1, stem=stem)
    output = tmp_path / "scores.csv"
    score_selection(tmp_path, ALL, output=output)
    first = "oai_token-act-pair_gpt-4o-mini"
    names = [name for name in read_csv(output)[0] if name.startswith("ndcg_")]
    assert names == [f"ndcg_{EMBEDDER}@{stem}", f"ndcg_{EMBEDDER}@{first}"]
    one = Selection(explainers=("gpt-4o-mini",))
    score_selection(tmp_path, one, output=output)
    assert f"ndcg_{EMBEDDER}" in read_csv(output)[0]


def test_the_long_table_has_every_feature_of_every_embedding(tmp_path):
    import pyarrow.parquet as pq

    folder, _, _ = write_source(tmp_path, layer=8)
    (scores,) = score_selection(tmp_path, ALL).scores
    table = pq.read_table(folder / "scores.parquet")
    names = (
        "layer feature embedding explainer ndcg sfal chance windows status p_chance q_chance "
        "label_rank p_label q_label chance_label better_labels se low high ceiling sfal_corrected "
        "overlap10 rbo98"
    )
    assert table.column_names == names.split()
    assert table.num_rows == 12
    assert table["layer"].to_pylist() == [8] * 12
    assert table["explainer"].to_pylist() == ["gpt-4o-mini"] * 12
    assert table["ndcg"].null_count == 3
    ndcg = table["ndcg"].to_pandas().to_numpy()
    np.testing.assert_array_equal(ndcg, scores.embeddings[0].ndcg)
    assert table["status"].to_pylist()[:2] == ["dead", "always_on"]
    metadata = json.loads(table.schema.metadata[b"sfal"])
    assert metadata["n_windows"] == 40
    assert [metadata[name] for name in ("candidates", "ties", "measure")] == [
        "comparable",
        "average",
        "phi",
    ]
    assert metadata["source"] == "gemmascope-res-16k/8-gemmascope-res-16k"


def test_the_same_scores_are_the_same_bytes(tmp_path):
    folder, _, _ = write_source(tmp_path)
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    score_selection(tmp_path, ALL, output=first)
    parquet = (folder / "scores.parquet").read_bytes()
    score_selection(tmp_path, ALL, output=second)
    assert first.read_bytes() == second.read_bytes()
    assert (folder / "scores.parquet").read_bytes() == parquet


def test_a_refused_source_does_not_stop_the_others(tmp_path):
    write_source(tmp_path, layer=0)
    folder, _, _ = write_source(tmp_path, layer=8)
    (npz,) = folder.glob("*.npz")
    npz.write_bytes(npz.read_bytes()[:-500])
    outcome = score_selection(tmp_path, Selection(model="gemma"))
    assert [scores.source.layer for scores in outcome.scores] == [0]
    (error,) = outcome.refused
    assert isinstance(error, CorruptError)
    assert npz.name in str(error)


def test_a_refused_set_of_embeddings_does_not_stop_the_others(tmp_path):
    folder, _, _ = write_source(tmp_path)
    bad = folder / "Evil" / "m" / "oai_token-act-pair_gpt-4o-mini_embeddings.pkl"
    bad.parent.mkdir(parents=True)
    bad.write_bytes(b"\x80\x04cos\nsystem\n(X\x02\x00\x00\x00lstR.")
    outcome = score_selection(tmp_path, ALL)
    assert [one.embedder for one in outcome.scores[0].embeddings] == [EMBEDDER]
    (error,) = outcome.refused
    assert str(bad) in str(error)
    assert "os.system" in str(error)


def test_if_nothing_can_be_scored_every_reason_is_given(tmp_path):
    for layer in (0, 8):
        folder, _, _ = write_source(tmp_path, layer=layer)
        (npz,) = folder.glob("*.npz")
        npz.write_bytes(b"broken")
    with pytest.raises(CombinedError) as caught:
        score_selection(tmp_path, ALL)
    assert [type(error) for error in caught.value.errors] == [CorruptError, CorruptError]
    assert str(caught.value).count("not a readable .npz file") == 2


def test_if_no_embeddings_can_be_read_every_reason_is_given(tmp_path):
    folder, _, _ = write_source(tmp_path)
    for embedder in (EMBEDDER, "Evil/m"):
        bad = folder / embedder / "oai_token-act-pair_gpt-4o-mini_embeddings.pkl"
        bad.parent.mkdir(parents=True, exist_ok=True)
        bad.write_bytes(b"")
    with pytest.raises(CombinedError) as caught:
        score_selection(tmp_path, ALL)
    assert [type(error) for error in caught.value.errors] == [CorruptError, CorruptError]
    assert str(caught.value).count("_embeddings.pkl is empty") == 2
