"""Scores of the golden case, against those of the published script and of the oracle."""

from dataclasses import replace

import numpy as np
import pytest

from scoring.published_cases import (
    EMBEDDER,
    golden_expected,
    golden_fired,
    histogram,
    occurrences,
    write_golden,
    write_npz,
)
from sfal.scoring.driver import score_selection
from sfal.scoring.feature_scores import compute_scores
from sfal.scoring.inputs import read_embeddings
from sfal.scoring.neighbour_lists import FunctionalLists
from sfal.scoring.selection import Selection
from sfal.scoring.settings import ScoreSettings
from sfal.scoring.status import STATUSES
from sfal.store.embeddings import write_vectors
from sfal.store.layout import embeddings_path
from sfal.store.published.embeddings import read_pickled_embeddings

SETTINGS = ScoreSettings().published()


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("golden")
    write_golden(data_dir, save=np.savez_compressed)
    (scores,) = score_selection(data_dir, Selection(model="gemma"), SETTINGS).scores
    return data_dir, scores


def scored_rows():
    rows = golden_expected()
    return [
        i for i, r in enumerate(rows) if r["explained"] == "True" and r["n_windows_fired"] != "0"
    ]


def test_scores_under_the_published_rule_equal_the_oracle(golden):
    _, scores = golden
    scored, rows = scored_rows(), golden_expected()
    assert len(scored) == 1167
    oracle = [float(rows[i]["oracle"]) for i in scored]
    np.testing.assert_allclose(scores.embeddings[0].ndcg[scored], oracle, rtol=0, atol=1e-9)


def test_published_scores_lie_within_the_bounds_of_ties_and_float32(golden):
    _, scores = golden
    rows = golden_expected()
    scored = np.flatnonzero(scores.embeddings[0].status == 0)
    assert len(scored) == 1167
    reference, low, high = (
        np.array([float(rows[i][name]) for i in scored])
        for name in ("reference", "tie_min", "tie_max")
    )
    ndcg = scores.embeddings[0].ndcg[scored]
    spread = np.maximum(high - low, 1e-3)
    assert (np.abs(ndcg - reference) <= spread).all()


def test_dead_and_unexplained_features_have_a_status_and_no_score(golden):
    _, scores = golden
    (one,) = scores.embeddings
    for i, row in enumerate(golden_expected()):
        dead, explained = row["n_windows_fired"] == "0", row["explained"] == "True"
        expected = "dead" if dead else "scored" if explained else "unexplained"
        assert STATUSES[one.status[i]] == expected
        assert np.isnan(one.ndcg[i]) == np.isnan(one.sfal[i]) == (expected != "scored")
        assert scores.windows[i] == int(row["n_windows_fired"])


def test_descriptions_are_plain_text(golden):
    _, scores = golden
    assert scores.explanations[0] == "dates related to topic 27 variant 0"


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32, np.uint64, ">i4"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_way_to_store_the_counts_gives_the_same_scores(golden, tmp_path, dtype, save):
    data_dir, scores = golden
    source = tmp_path / "gemmascope-res-16k" / "0-gemmascope-res-16k"
    fired = golden_fired()
    write_npz(source, histogram(fired), fired.shape[1], dtype=dtype, save=save)
    (source / "Qwen").symlink_to(data_dir / source.relative_to(tmp_path) / "Qwen")
    embeddings = source / EMBEDDER / "oai_token-act-pair_gpt-4o-mini_embeddings.pkl"
    assert embeddings.exists()
    selection = Selection(sources=(source_name(source, tmp_path),))
    (again,) = score_selection(tmp_path, selection, SETTINGS).scores
    np.testing.assert_array_equal(again.embeddings[0].ndcg, scores.embeddings[0].ndcg)


def source_name(folder, data_dir):
    return folder.relative_to(data_dir).as_posix()


def test_occurrences_and_blocks_of_rows_give_the_same_bits(golden):
    _, scores = golden
    (file,) = scores.source.embeddings
    embeddings = read_embeddings(scores.source, file, 1200)
    windows = occurrences(golden_fired())
    (one,) = scores.embeddings
    blocks = replace(SETTINGS, block_bytes=12 * 1023 * 101)
    functional = FunctionalLists(lambda: windows)
    found, _ = compute_scores(functional, embeddings.matrix, one.status, blocks)
    for name in ("ndcg", "label_rank", "better", "overlap10", "rbo98"):
        expected = getattr(one.features, name)
        np.testing.assert_array_equal(getattr(found, name), expected, err_msg=name)


def test_pickled_embeddings_written_in_our_layout_give_the_same_bits(golden, tmp_path):
    _, scores = golden
    (file,) = scores.source.embeddings
    source = tmp_path / "gemmascope-res-16k" / "0-gemmascope-res-16k"
    fired = golden_fired()
    write_npz(source, histogram(fired), fired.shape[1])
    published = read_pickled_embeddings(file.path, file.stem)
    vectors = published.vectors
    # The source is that of our tree; the file's records name Neuronpedia's.
    write_vectors(embeddings_path(source, EMBEDDER, file.stem), *vectors)
    (again,) = score_selection(tmp_path, Selection(), SETTINGS).scores
    assert again.embeddings[0].path.suffix == ".parquet"
    assert again.embeddings[0].explainer == scores.embeddings[0].explainer
    np.testing.assert_array_equal(again.embeddings[0].ndcg, scores.embeddings[0].ndcg)
