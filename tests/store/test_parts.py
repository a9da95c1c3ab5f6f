"""Parts on disk: what they hold, and what is refused."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sfal.errors import ArtifactError, CorruptError, MissingError
from sfal.io import atomic
from sfal.io.atomic import sha256_file
from sfal.store.manifest import Manifest
from sfal.store.occurrences import read_occurrences
from sfal.store.parts import read_part
from sfal.store.verify import verify_run
from store.runs import BUFFER, F, damage, expected_rows, feed, rows_of, run, whole


@pytest.fixture(autouse=True, scope="module")
def _no_waiting_for_the_disk():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "sync", lambda path: None)
        yield


def test_parts_hold_every_window_once_and_close_at_the_end_of_a_buffer(tmp_path):
    whole(tmp_path, 30)
    parts = Manifest.load(tmp_path).parts
    assert rows_of(tmp_path) == expected_rows(0, 30)
    assert [part.first for part in parts] == [0, *(part.stop for part in parts[:-1])]
    assert all(part.stop % BUFFER == 0 for part in parts[:-1])
    assert all(part.counts.windows >= 6 for part in parts[:-2])


def test_columns_are_those_of_the_layout(tmp_path):
    whole(tmp_path, 30)
    schema = pq.read_schema(tmp_path / "occurrences" / "part-000000.parquet")
    assert schema.names == ["doc", "window", "features"]
    assert schema.types == [pa.uint64(), pa.uint32(), pa.list_(pa.uint32())]


@pytest.mark.parametrize("above", ["", "gemma-2-2b"])
def test_a_tree_in_place_of_a_source_is_refused_with_a_source(tmp_path, above):
    source = tmp_path / "gemma-2-2b" / "0-gemmascope-res-16k"
    whole(source, 2)
    with pytest.raises(ArtifactError, match=f"not the folder of one source; .* such as {source}$"):
        read_occurrences(tmp_path / above)
    with pytest.raises(ArtifactError, match=r"manifest\.json does not exist"):
        read_occurrences(tmp_path / "nothing")


def test_occurrences_are_those_of_the_rows(tmp_path):
    whole(tmp_path, 30)
    occurrences = read_occurrences(tmp_path)
    expected = np.zeros(F, np.uint64)
    for _, _, features in expected_rows(0, 30):
        expected[list(features)] += 1
    assert occurrences.counts().tolist() == expected.tolist()
    assert occurrences.n_windows == len(expected_rows(0, 30)) == Manifest.load(tmp_path).n_windows


@pytest.mark.parametrize("how", ["lost", "short", "flipped"])
def test_damage_is_named_and_the_other_parts_stay_usable(tmp_path, how):
    whole(tmp_path, 30)
    found = Manifest.load(tmp_path)
    damage(tmp_path / "occurrences" / found.parts[1].file, how)
    kind = MissingError if how == "lost" else CorruptError
    with pytest.raises(kind, match=r"part-000001\.parquet.*redo_damaged=True counts"):
        read_occurrences(tmp_path)
    assert read_part(tmp_path, found.parts[0]).n_windows == found.parts[0].counts.windows
    checked = verify_run(tmp_path)
    assert len(checked.problems) == 1
    assert "documents " in str(checked.problems[0])


def rewritten(folder, table):
    """Put another table in place of the first part, with the hash to go with it."""
    found = Manifest.load(folder)
    path = folder / "occurrences" / found.parts[0].file
    pq.write_table(table, path)
    part = replace(found.parts[0], sha256=sha256_file(path))
    replace(found, parts=(part, *found.parts[1:])).save(folder)
    return part


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns("doc"), "its columns are"),
        (lambda t: t.set_column(0, "doc", t["doc"].cast(pa.int64())), "its columns are"),
        (lambda t: t.slice(1), "windows"),
        (lambda t: t.take(list(range(len(t)))[::-1]), "in order"),
        (lambda t: t.set_column(0, "doc", pa.array([999] * len(t), pa.uint64())), "documents"),
        (
            lambda t: t.set_column(0, "doc", pa.array([None] * len(t), pa.uint64())),
            "missing values",
        ),
    ],
)
def test_a_part_of_another_layout_is_refused_even_with_a_matching_hash(tmp_path, change, message):
    whole(tmp_path, 30)
    table = pq.read_table(tmp_path / "occurrences" / "part-000000.parquet")
    part = rewritten(tmp_path, change(table))
    with pytest.raises(ArtifactError, match=message):
        read_part(tmp_path, part)


@pytest.mark.parametrize("features", [[[3, 1]], [[1, 1]], [[F]]])
def test_features_unsorted_doubled_or_out_of_range_are_refused_with_the_file(tmp_path, features):
    whole(tmp_path, 30)
    table = pq.read_table(tmp_path / "occurrences" / "part-000000.parquet")
    column = pa.array(features * len(table), pa.list_(pa.uint32()))
    rewritten(tmp_path, table.set_column(2, "features", column))
    with pytest.raises(ArtifactError, match=r"part-000000\.parquet"):
        read_occurrences(tmp_path)


def test_a_reader_follows_a_run_that_replaces_its_last_part(tmp_path, monkeypatch):
    writer = run(tmp_path, 100, part_windows=10**6, clock=iter(range(0, 10**6, 61)).__next__)
    feed(writer, 100, until=20)
    old = Manifest.load(tmp_path)
    feed(writer, 100, until=40, start=20)
    loads = iter([old])
    original = Manifest.load
    monkeypatch.setattr(Manifest, "load", lambda folder: next(loads, None) or original(folder))
    assert read_occurrences(tmp_path).n_windows == len(expected_rows(0, 40))
