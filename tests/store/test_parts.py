from contextlib import suppress
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfal.errors import ArtifactError, CorruptError, InvalidInputError, MissingError
from sfal.io import atomic
from sfal.io.atomic import sha256_file
from sfal.store import run_writer as writer_module
from sfal.store.manifest import Counts, Manifest
from sfal.store.occurrences import read_occurrences
from sfal.store.parts import Windows, iterate_parts, read_part
from sfal.store.records import SourceRecord
from sfal.store.run_writer import RunWriter
from sfal.store.verify import verify_run

F = 8
BUFFER = 4


@pytest.fixture(autouse=True, scope="module")
def _no_waiting_for_the_disk():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "sync", lambda path: None)
        yield


def manifest(n_docs, **other):
    facts = {"source": SourceRecord("m/s"), "n_features": F, "settings": {"window_size": 2}}
    return Manifest(**{**facts, "n_docs": n_docs, **other})


def windows_of(first, stop):
    """Windows that depend on the document's number alone: document d has d % 3 of them."""
    documents, ordinals, rows = [], [], []
    for document in range(first, stop):
        for ordinal in range(document % 3):
            documents.append(document)
            ordinals.append(ordinal)
            rows.append([f for f in range(F) if (document * 7 + ordinal * 3 + f) % 4 == 0])
    indptr = np.cumsum([0, *map(len, rows)])
    return Windows(
        np.array(documents, np.uint64),
        np.array(ordinals, np.uint32),
        indptr.astype(np.int64),
        np.array([f for row in rows for f in row], np.uint32),
    )


def digest(stop):
    return f"digest of {stop}"


def feed(writer, n_docs, until=None, start=0):
    """Give a writer the buffers that it wants; `until` cuts the work off after a document."""
    for first in range(start, n_docs, BUFFER):
        stop = min(first + BUFFER, n_docs)
        if until is not None and stop > until:
            return
        if writer.wants(first, stop):
            found = windows_of(first, stop)
            counts = Counts(
                documents=stop - first, windows=found.n_windows, occurrences=len(found.indices)
            )
            writer.append(first, stop, found, counts, digest(stop))


def run(folder, n_docs, part_windows=6, clock=None, **other):
    clock = {} if clock is None else {"clock": clock}
    made = (
        Manifest.load(folder) if (folder / "manifest.json").exists() else manifest(n_docs, **other)
    )
    return RunWriter(folder, made, BUFFER, part_windows, **clock)


def whole(folder, n_docs, part_windows=6, **other):
    """A run that was never stopped; returns its files and manifest."""
    writer = run(folder, n_docs, part_windows, **other)
    feed(writer, n_docs, start=writer.manifest.start)
    writer.finish()
    return snapshot(folder)


def snapshot(folder):
    parts = {p.name: p.read_bytes() for p in sorted((folder / "occurrences").iterdir())}
    return parts, (folder / "manifest.json").read_text()


def rows_of(folder):
    return [
        (int(d), int(o), tuple(w.indices[w.indptr[i] : w.indptr[i + 1]].tolist()))
        for w in iterate_parts(folder)
        for i, (d, o) in enumerate(zip(w.documents, w.ordinals, strict=True))
    ]


def expected_rows(first, stop):
    found = windows_of(first, stop)
    return [
        (int(d), int(o), tuple(found.indices[found.indptr[i] : found.indptr[i + 1]].tolist()))
        for i, (d, o) in enumerate(zip(found.documents, found.ordinals, strict=True))
    ]


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


@given(
    n_docs=st.integers(1, 40),
    stops=st.lists(st.integers(0, 40), max_size=4),
    part_windows=st.integers(1, 20),
    checkpoints=st.lists(st.booleans(), min_size=1, max_size=5),
)
def test_a_run_stopped_anywhere_gives_the_same_files(
    tmp_path_factory, n_docs, stops, part_windows, checkpoints
):
    straight = whole(tmp_path_factory.mktemp("a"), n_docs, part_windows)
    folder = tmp_path_factory.mktemp("b")
    for stop in stops:
        # A clock that now and then says that a minute has passed.
        ticks = iter(range(10**6))
        times = {"now": 0.0}

        def clock(ticks=ticks, times=times):
            times["now"] += 61.0 if checkpoints[next(ticks) % len(checkpoints)] else 0.0
            return times["now"]

        feed(run(folder, n_docs, part_windows, clock), n_docs, until=stop)
    assert whole(folder, n_docs, part_windows) == straight


@given(first=st.integers(1, 40), more=st.integers(0, 40), part_windows=st.integers(1, 20))
def test_a_run_made_longer_gives_the_same_files_as_a_long_one(
    tmp_path_factory, first, more, part_windows
):
    straight = whole(tmp_path_factory.mktemp("a"), first + more, part_windows)
    folder = tmp_path_factory.mktemp("b")
    whole(folder, first, part_windows)
    writer = run(folder, first, part_windows)
    writer.extend(first + more, None)
    feed(writer, first + more)
    writer.finish()
    writer.save(writer.manifest)
    assert snapshot(folder) == straight


@given(data=st.data(), n_docs=st.integers(1, 40), part_windows=st.integers(1, 12))
def test_damaged_parts_are_redone_and_only_those(tmp_path_factory, data, n_docs, part_windows):
    folder = tmp_path_factory.mktemp("a")
    straight = whole(folder, n_docs, part_windows)
    there = sorted((folder / "occurrences").iterdir())
    damaged = data.draw(st.lists(st.sampled_from(there), unique=True))
    for i, path in enumerate(damaged):
        if i % 3 == 0:
            path.unlink()
        elif i % 3 == 1:
            path.write_bytes(path.read_bytes()[:-7])
        else:
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(bytes(content))
    untouched = {p: p.stat().st_mtime_ns for p in there if p not in damaged}
    writer = run(folder, n_docs, part_windows)
    assert {part.file for part in writer.drop_damaged()} == {p.name for p in damaged}
    feed(writer, n_docs)
    writer.finish()
    writer.save(writer.manifest)
    assert snapshot(folder) == straight
    full = {p.file for p in Manifest.load(folder).parts if p.counts.windows >= part_windows}
    assert all(p.stat().st_mtime_ns == t for p, t in untouched.items() if p.name in full)


@pytest.mark.parametrize("crash_at", range(12))
def test_a_crash_at_any_step_of_writing_loses_nothing(tmp_path, monkeypatch, tally, crash_at):
    straight = whole(tmp_path / "a", 30)

    class Crash(BaseException):
        pass

    steps = iter(range(10**6))
    for name in ("write_part", "save"):
        owner = writer_module if name == "write_part" else Manifest
        original = getattr(owner, name)

        def crashing(*args, original=original):
            if next(steps) == crash_at:
                raise Crash
            result = original(*args)
            if next(steps) == crash_at:
                raise Crash
            return result

        monkeypatch.setattr(owner, name, crashing)
    with suppress(Crash):
        feed(run(tmp_path / "b", 30), 30)
    monkeypatch.undo()
    assert whole(tmp_path / "b", 30) == straight
    tally("faults: crash between two steps of writing")


def test_a_part_that_no_manifest_names_does_not_exist(tmp_path):
    whole(tmp_path, 30)
    stray = tmp_path / "occurrences" / "part-000099.parquet"
    stray.write_bytes(b"unfinished")
    name = atomic.temporary_name("part-000098.parquet", pid=999999999)
    (tmp_path / "occurrences" / name).write_bytes(b"unfinished")
    assert rows_of(tmp_path) == expected_rows(0, 30)
    run(tmp_path, 30)
    assert {p.name for p in (tmp_path / "occurrences").iterdir()} == {
        part.file for part in Manifest.load(tmp_path).parts
    }


def test_many_occurrences_close_a_part_too(tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "PART_OCCURRENCES", 10)
    whole(tmp_path, 40, part_windows=10**6)
    assert len(Manifest.load(tmp_path).parts) > 4


def test_documents_without_windows_move_the_position(tmp_path):
    writer = run(tmp_path, 8)
    nothing = Windows.join([])
    for first in (0, 4):
        writer.append(first, first + 4, nothing, Counts(documents=4, empty=4), digest(first + 4))
    writer.finish()
    found = Manifest.load(tmp_path)
    assert found.complete
    assert found.counts == Counts(documents=8, empty=8)
    assert read_occurrences(tmp_path).n_windows == 0


def test_a_corpus_that_ended_makes_a_run_complete(tmp_path):
    writer = run(tmp_path, 100)
    feed(writer, 10)
    writer.finish(corpus_ended_at=10)
    found = Manifest.load(tmp_path)
    assert found.complete
    assert found.counts.documents == 10


def test_fewer_documents_than_there_are_is_refused(tmp_path):
    whole(tmp_path, 30)
    with pytest.raises(InvalidInputError, match="holds 30 documents already"):
        run(tmp_path, 30).extend(10, None)


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "lost":
        path.unlink()
    elif how == "short":
        path.write_bytes(bytes(content[: len(content) // 2]))
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))


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
