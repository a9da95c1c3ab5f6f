"""Groups of documents, scores of parts of them, and the file beside the scores."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference_reliability
from core.cases import from_dense, random_windows
from scoring.builders import write_run
from sfal import _core
from sfal.errors import CorruptError, InvalidInputError, MissingError
from sfal.scoring.metrics import beyond_chance
from sfal.scoring.reliability.replicate_tables import HalfScores, read_replicates, write_replicates
from sfal.scoring.reliability.replicates import document_groups, replicates
from sfal.store.occurrences import read_occurrences, read_occurrences_and_documents


@given(
    st.sets(st.integers(0, 2**64 - 1), min_size=64, max_size=80),
    st.randoms(use_true_random=False),
)
def test_documents_are_dealt_out_in_the_order_of_their_hash(documents, random):
    windows = sorted(random.choices(sorted(documents), k=100) + sorted(documents))
    found = document_groups(np.array(windows, dtype=np.uint64))
    assert found.tolist() == reference_reliability.groups(windows)
    sizes = [len({w for w, g in zip(windows, found, strict=True) if g == i}) for i in range(16)]
    assert max(sizes) - min(sizes) <= 1


def test_groups_do_not_depend_on_the_order_of_the_windows():
    rng = np.random.default_rng(0)
    documents = np.sort(rng.integers(0, 500, 2_000)).astype(np.uint64)
    order = rng.permutation(len(documents))
    np.testing.assert_array_equal(
        document_groups(documents[order]), document_groups(documents)[order]
    )


def test_fewer_than_64_documents_with_windows_are_refused():
    documents = np.repeat(np.arange(63), 10).astype(np.uint64)
    with pytest.raises(InvalidInputError, match=r"63 documents have windows.*at least 64"):
        document_groups(documents)


def case(n=60, n_windows=800, n_documents=100):
    """Windows, their documents, features that can be compared, and embeddings."""
    dense = random_windows(5, n_windows, n, 0.2)
    dense[:, 3] = 0
    documents = np.sort(np.random.default_rng(1).integers(0, n_documents, n_windows))
    vectors = np.random.default_rng(2).normal(size=(n, 8)).astype(np.float32)
    return dense, documents.astype(np.uint64), np.delete(np.arange(n), [3, 11]), vectors


def test_replicates_are_scores_beyond_chance_and_blocks_of_rows_do_not_matter():
    dense, documents, scored, vectors = case()
    counted = from_dense(dense)

    def blocks(*bounds):
        for rows in np.split(scored, bounds):
            yield (
                rows,
                [
                    _core.semantic_ranking(v, 20, rows, scored)
                    for v in (vectors, vectors[:, :3].copy())
                ],
            )

    whole = replicates(counted, documents, blocks(), scored, top_n=20)
    assert len(whole) == 2
    for one, same in zip(
        whole, replicates(counted, documents, blocks(7, 41), scored, top_n=20), strict=True
    ):
        for name in ("halves", "quarters", "agreement"):
            scores = getattr(one, name)
            assert scores.shape == (8, 2, 60)
            assert np.isnan(scores[:, :, [3, 11]]).all()
            assert not np.isnan(scores[:, :, scored]).all()
            np.testing.assert_array_equal(scores, getattr(same, name))
    np.testing.assert_array_equal(whole[0].agreement, whole[1].agreement)
    groups = document_groups(documents)
    part = counted.select(np.flatnonzero(np.isin(groups, reference_reliability.splits()[2][0][1])))
    order = _core.functional_ranking(part, 20, rows=scored, candidates=scored)
    ndcg = _core.ndcg(order, _core.semantic_ranking(vectors, 20, scored, scored), 20)
    expected = beyond_chance(ndcg, _core.chance(len(scored) - 1, 20))
    np.testing.assert_array_equal(whole[0].halves[2, 1, scored], expected)


def test_another_measure_and_base_reach_the_core():
    dense, documents, scored, vectors = case()
    lists = [(scored, [_core.semantic_ranking(vectors, 20, scored, scored)])]
    given = from_dense(dense), documents, lists, scored
    plain = replicates(*given, top_n=20)[0]
    for options in ({"measure": "lift"}, {"base": 1.5}):
        other = replicates(*given, top_n=20, **options)[0]
        assert not np.array_equal(plain.halves, other.halves, equal_nan=True)


def test_documents_are_read_with_the_occurrences_part_by_part(tmp_path):
    fired = np.random.default_rng(0).random((9, 70)) < 0.3
    write_run(tmp_path / "3-a", fired, n_parts=3)
    occurrences, documents = read_occurrences_and_documents(tmp_path / "3-a")
    np.testing.assert_array_equal(documents, np.arange(70))
    assert documents.dtype == np.uint64
    expected = read_occurrences(tmp_path / "3-a").histogram()
    np.testing.assert_array_equal(occurrences.histogram(), expected)


def halves(seed=0, n=5):
    scores = np.random.default_rng(seed).normal(size=(8, 2, n))
    scores[1, 0, 2] = np.nan
    scores[:, :, 3] = np.nan
    return scores


def test_the_file_holds_halves_of_all_embeddings_and_reads_back(tmp_path):
    written = [
        HalfScores("a/b", "gpt-4o-mini", "oai_token-act-pair_gpt-4o-mini", halves()),
        HalfScores("a/b", "größer", "mixed", halves(1)),
    ]
    path = write_replicates(tmp_path, written, {"top_n": 7})
    first = path.read_bytes()
    found, facts = read_replicates(tmp_path)
    assert facts == {"top_n": 7}
    for one, other in zip(found, written, strict=True):
        assert (one.embedder, one.explainer, one.stem) == (
            other.embedder,
            other.explainer,
            other.stem,
        )
        np.testing.assert_array_equal(one.halves, other.halves)
    table = pq.read_table(path)
    assert table.column_names == [
        "feature",
        "embedding",
        "explainer",
        "stem",
        "first_half",
        "second_half",
    ]
    assert table["first_half"][2].as_py()[1] is None
    write_replicates(tmp_path, written, {"top_n": 7})
    assert path.read_bytes() == first


def test_no_embeddings_and_no_features_are_written_too(tmp_path):
    write_replicates(tmp_path, [], {})
    assert read_replicates(tmp_path) == ([], {})


def test_other_shapes_are_refused(tmp_path):
    wrong = HalfScores("a/b", "x", "y", np.zeros((8, 3, 5)))
    with pytest.raises(InvalidInputError, match=r"shape \(8, 3, 5\), not \(8, 2, 5\)"):
        write_replicates(tmp_path, [wrong], {})
    assert not list(tmp_path.iterdir())


def test_a_missing_or_damaged_file_is_named(tmp_path):
    with pytest.raises(MissingError, match=r"replicates.parquet does not exist; sfal.score\(\)"):
        read_replicates(tmp_path)
    path = write_replicates(tmp_path, [HalfScores("a/b", "x", "y", halves())], {})
    whole = path.read_bytes()
    for content in (b"", whole[:-9], whole[:40] + b"\x00" * 40 + whole[80:]):
        path.write_bytes(content)
        with pytest.raises(CorruptError, match=r"replicates\.parquet"):
            read_replicates(tmp_path)


def test_rows_that_are_not_all_features_of_each_embedding_are_refused(tmp_path):
    write_replicates(tmp_path, [HalfScores(e, "x", "y", halves()) for e in ("a/b", "c/d")], {})
    path = tmp_path / "replicates.parquet"
    table = pq.read_table(path)
    for rows in ([0, 1, 2, 3, 4, 5, 6], [1, 0, 2, 3, 4], [0, 6, 2, 3, 4], [0, 0, 1]):
        pq.write_table(table.take(rows), path)
        with pytest.raises(CorruptError, match="rows"):
            read_replicates(tmp_path)
    pq.write_table(table.drop_columns(["stem"]), path)
    with pytest.raises(CorruptError, match="other columns"):
        read_replicates(tmp_path)


def test_metadata_that_cannot_be_parsed_is_refused(tmp_path):
    path = write_replicates(tmp_path, [HalfScores("a/b", "x", "y", halves())], {})
    table = pq.read_table(path).replace_schema_metadata({b"sfal": b"{"})
    pq.write_table(table, path)
    with pytest.raises(CorruptError):
        read_replicates(tmp_path)
