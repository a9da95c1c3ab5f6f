"""Firings that others made become the windows that plain loops make of them."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from collect.imported import cases
from sfal.collect.imported import delimited, driver, slices, windows
from sfal.collect.imported.driver import import_firings
from sfal.collect.imported.settings import ImportSettings
from sfal.collect.windows import window_bounds
from sfal.store.manifest import Manifest
from sfal.store.parts import iterate_parts
from sfal.store.verify import verify_run

N_FEATURES = 40
NAME = "lm/3-theirs"


def stored(folder):
    """(document, window) -> sorted features, in the order on disk."""
    return {
        (int(d), int(w)): part.indices[a:b].tolist()
        for part in iterate_parts(folder)
        for d, w, a, b in zip(
            part.documents, part.ordinals, part.indptr[:-1], part.indptr[1:], strict=True
        )
    }


def imported(tmp_path, files, **settings):
    settings = {"window_size": 8, "n_features": N_FEATURES, **settings}
    return import_firings(files, NAME, ImportSettings(**settings), tmp_path / "data")


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    """Make pieces so small that every file has many."""
    monkeypatch.setattr(slices, "BLOCK", 64)
    monkeypatch.setattr(slices, "RUN", 96)
    monkeypatch.setattr(driver, "BLOCK", 64)
    monkeypatch.setattr(driver, "_LEAST", 5)
    monkeypatch.setattr(windows, "_MOST_AT_ONCE", 7)
    monkeypatch.setattr(windows, "PART_WINDOWS", 13)
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", 800)


@pytest.mark.parametrize("order", ["sorted", "by feature", "shuffled"])
@pytest.mark.parametrize("tail", ["drop", "keep"])
def test_a_table_gives_the_windows_of_plain_loops(tmp_path, order, tail):
    rows = cases.firings(1, n_docs=30, n_features=N_FEATURES)
    path = cases.parquet(tmp_path / "f.parquet", cases.ordered(rows, order))
    result = imported(tmp_path, path, tail=tail)
    assert stored(result.folder) == cases.expected(rows, 8, tail)
    assert result.manifest.complete
    assert verify_run(result.folder).problems == ()
    assert not (result.folder / ".importing").exists()


def test_the_same_firings_give_the_same_bytes_whatever_the_file(tmp_path):
    rows = cases.firings(2, n_docs=25, n_features=N_FEATURES)
    made = {}
    cases.parquet(tmp_path / "a.parquet", rows)
    cases.parquet(tmp_path / "b.parquet", cases.ordered(rows, "shuffled"))
    columns = dict(zip(("document", "position", "feature", "activation"), rows.T, strict=True))
    np.savez_compressed(tmp_path / "c.npz", **columns)
    np.savez(tmp_path / "d.npz", **{k: v.astype(np.float32) for k, v in columns.items()})
    table = cases.table(rows)
    with gzip.open(tmp_path / "e.csv.gz", "wb") as file:
        pa.csv.write_csv(table, file)
    text = "\r\n".join("\t".join(map(str, row.values())) for row in table.to_pylist())
    (tmp_path / "f.tsv").write_text(
        "\ufeff" + "\t".join(table.column_names) + "\r\n" + text, encoding="utf-8", newline=""
    )
    for name in ("a.parquet", "b.parquet", "c.npz", "d.npz", "e.csv.gz", "f.tsv"):
        settings = ImportSettings(window_size=8, n_features=N_FEATURES)
        result = import_firings(tmp_path / name, NAME, settings, tmp_path / name[0])
        made[name] = [part.sha256 for part in result.manifest.parts], result.manifest.counts
    assert len({str(one) for one in made.values()}) == 1
    assert len(made["a.parquet"][0]) > 1


def test_files_by_feature_and_files_by_document_are_merged(tmp_path):
    rows = cases.firings(3, n_docs=30, n_features=N_FEATURES)
    for i in range(3):
        cases.parquet(tmp_path / "features" / f"{i}.parquet", rows[rows[:, 2] % 3 == i])
        cases.parquet(tmp_path / "documents" / f"{i}.parquet", rows[rows[:, 0] // 10 == i])
    for kind in ("features", "documents"):
        result = import_firings(
            tmp_path / kind,
            NAME,
            ImportSettings(window_size=8, n_features=N_FEATURES),
            tmp_path / f"{kind}-data",
        )
        assert stored(result.folder) == cases.expected(rows, 8, "drop")


def test_documents_without_a_firing_count_if_their_number_and_length_are_known(tmp_path):
    rows = np.array([[2, 3, 7, 1], [2, 17, 5, 1], [9, 0, 1, 1]])
    path = cases.parquet(tmp_path / "f.parquet", rows)
    result = imported(tmp_path, path, n_docs=12, document_length=20)
    found = stored(result.folder)
    assert list(found) == [(d, w) for d in range(12) for w in (0, 1)]
    assert {key: value for key, value in found.items() if value} == {(2, 0): [7], (9, 0): [1]}
    assert result.notes == ()
    assert result.manifest.counts.tokens == 240


def test_documents_of_unknown_length_end_with_the_last_position_and_a_note_says_so(tmp_path):
    rows = np.array([[2, 3, 7, 1], [2, 17, 5, 0], [9, 0, 1, 1], [9, 8, 1, 1]])
    path = cases.parquet(tmp_path / "f.parquet", rows)
    result = imported(tmp_path, path, n_docs=12)
    assert stored(result.folder) == {(2, 0): [7], (2, 1): [], (9, 0): [1]}
    counts = result.manifest.counts
    assert (counts.documents, counts.empty, counts.tokens) == (12, 10, 27)
    assert ["how long documents are" in str(note) for note in result.notes] == [True]
    assert result.manifest.volatile["notes"] == [str(note) for note in result.notes]


def test_without_a_width_it_is_that_of_the_largest_feature_and_a_note_says_so(tmp_path):
    path = cases.parquet(tmp_path / "f.parquet", np.array([[0, 0, 7, 1], [0, 7, 5, 1]]))
    result = imported(tmp_path, path, n_features=None, n_docs=1, document_length=8)
    assert result.manifest.n_features == 8
    assert ["how many features" in str(note) for note in result.notes] == [True]


def test_window_lists_are_taken_as_they_are(tmp_path):
    table = pa.table(
        {
            "doc": pa.array([0, 0, 3], pa.uint64()),
            "window": pa.array([0, 1, 0], pa.uint32()),
            "features": pa.array([[1, 4], [], [2, 2, 0]], pa.list_(pa.uint32())),
        }
    )
    pq.write_table(table, tmp_path / "w.parquet")
    result = imported(tmp_path, tmp_path / "w.parquet")
    assert stored(result.folder) == {(0, 0): [1, 4], (0, 1): [], (3, 0): [0, 2]}
    assert result.notes == ()


def test_a_list_of_features_per_token_takes_its_activations(tmp_path):
    table = pa.table(
        {
            "document": [0, 0, 0],
            "token": [0, 3, 8],
            "latent": [[1, 4], [2], []],
            "act": [[0.5, 0.0], [float("inf")], []],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    result = imported(tmp_path, tmp_path / "t.parquet", tail="keep")
    assert stored(result.folder) == {(0, 0): [1, 2]}


def test_columns_of_other_names_are_named(tmp_path):
    table = pa.table({"sample": [0, 0], "t": [0, 7], "f": [3, 4], "layer": [1, 1]})
    pq.write_table(table, tmp_path / "t.parquet")
    columns = {"document": "sample", "position": "t", "feature": "f"}
    result = imported(tmp_path, tmp_path / "t.parquet", columns=columns)
    assert stored(result.folder) == {(0, 0): [3, 4]}
    assert any("layer" in str(note) for note in result.notes)


@pytest.mark.parametrize("name", ["value", "acts", "feature_acts", "activation_value", "Strength"])
def test_activations_of_other_names_are_not_passed_over(tmp_path, name):
    table = pa.table({"document": [0, 0], "position": [0, 7], "feature": [3, 4], name: [1.0, 0.0]})
    pq.write_table(table, tmp_path / "t.parquet")
    assert stored(imported(tmp_path, tmp_path / "t.parquet").folder) == {(0, 0): [3]}


@pytest.mark.parametrize("special", [None, (), (0, 9)])
def test_special_tokens_do_not_count_if_the_tokens_are_there(tmp_path, special):
    rng = np.random.default_rng(5)
    tokens = rng.integers(0, 12, (20, 30))
    rows = cases.firings(5, n_docs=20, n_features=N_FEATURES, length=30)
    names = ("document", "position", "feature", "activation")
    np.savez(tmp_path / "t.npz", tokens=tokens, **dict(zip(names, rows.T, strict=True)))
    result = imported(tmp_path, tmp_path / "t.npz", special_ids=special)
    assert stored(result.folder) == cases.expected(rows, 8, "drop", tokens, special or ())
    noted = any("BOS" in str(note) for note in result.notes)
    assert noted == (special is None)
    n_tokens = int((~np.isin(tokens, special or ())).sum())
    assert result.manifest.counts.tokens == n_tokens


def test_lengths_of_documents_are_read_from_an_npz(tmp_path):
    rows = np.array([[0, 3, 7, 1], [2, 0, 1, 1]])
    names = ("document", "position", "feature", "activation")
    np.savez(
        tmp_path / "t.npz",
        document_lengths=[16, 9, 3],
        **dict(zip(names, rows.T, strict=True)),
    )
    result = imported(tmp_path, tmp_path / "t.npz")
    assert stored(result.folder) == {(0, 0): [7], (0, 1): [], (1, 0): []}
    assert result.notes == ()


@pytest.mark.parametrize("tail", ["drop", "keep"])
def test_numbers_of_windows_are_those_of_counting(tail):
    from sfal.collect.imported.documents import Documents

    lengths = np.arange(60)
    for size in (1, 2, 7, 8):
        found = Documents(size, tail == "keep", by_window=False).n_windows(lengths, lengths, "")
        assert found.tolist() == [len(window_bounds(n, size, tail)) for n in lengths]


def test_one_huge_document_in_pieces_is_compacted(tmp_path):
    rng = np.random.default_rng(8)
    rows = np.stack(
        [np.zeros(3000), rng.integers(0, 64, 3000), rng.integers(0, 5, 3000), np.ones(3000)], 1
    ).astype(int)
    path = cases.parquet(tmp_path / "f.parquet", rows)
    result = imported(tmp_path, path)
    assert stored(result.folder) == cases.expected(rows, 8, "drop")


def test_the_manifest_says_what_was_read(tmp_path):
    rows = cases.firings(1, n_docs=5, n_features=N_FEATURES)
    path = cases.parquet(tmp_path / "f.parquet", rows)
    result = imported(tmp_path, path, model="org/lm", layer=3)
    manifest = Manifest.load(result.folder)
    assert manifest == result.manifest
    assert list(manifest.fingerprints["files"]) == ["f.parquet"]
    assert manifest.fingerprints["files"]["f.parquet"]["bytes"] == path.stat().st_size
    assert (manifest.source.model, manifest.source.layer) == ("org/lm", 3)
    assert manifest.source.sae.repo_id is None
    assert manifest.window_size == 8
