"""A run that is stopped, damaged or made longer has the files of an unbroken one."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfal.errors import InvalidInputError
from sfal.io import atomic
from sfal.store import run_writer as writer_module
from sfal.store.manifest import Counts, Manifest
from sfal.store.occurrences import read_occurrences
from sfal.store.parts import Windows
from store.runs import digest, expected_rows, feed, rows_of, run, snapshot, whole


@pytest.fixture(autouse=True, scope="module")
def _no_waiting_for_the_disk():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "sync", lambda path: None)
        yield


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
