"""Lost and damaged files, and two processes on one folder."""

import os
import signal

import numpy as np
import pytest

from sfal.io.lock import folder_lock
from sfal.store.parts import Windows, iterate_parts
from survival.world import LOCAL, MERGED, N_DOCS, SOURCE, snapshot


def damage(path, how):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1  # in the data, not in Parquet's metadata
    if how == "lost":
        path.unlink()
    else:
        path.write_bytes(bytes(content) if how == "flipped" else bytes(content[:100]))


@pytest.mark.parametrize("how", ["lost", "cut short", "flipped"])
def test_only_what_is_damaged_is_counted_again(world, unbroken, cooc, tmp_path, tally, how):
    expected = unbroken(cooc)
    one, data = world.launched, tmp_path / "data"
    world.finishes(cooc, data, expected)
    path = sorted(data.rglob("part-*.parquet"))[1]
    damage(path, how)
    done = one.run("verify", data)
    assert done.returncode == 1
    assert "part-000001.parquet" in done.stdout
    assert "documents " in done.stdout
    assert "--resume" in done.stderr
    others = {p: p.stat().st_mtime_ns for p in data.rglob("part-*.parquet") if p != path}
    done = one.run(*cooc.words(data), "--resume")
    assert done.returncode == 0, done.stderr
    world.finishes(cooc, data, expected)
    assert {p: p.stat().st_mtime_ns for p in others} == others
    done = one.run("verify", "--data-dir", data)
    assert done.returncode == 0, done.stderr
    assert "complete" in done.stdout
    tally(f"faults: part of occurrences {how}")


def test_a_damaged_histogram_is_found_and_made_again(world, unbroken, cooc, tmp_path, tally):
    expected = unbroken(cooc)
    data = tmp_path / "data"
    world.finishes(cooc, data, expected)
    damage(next(data.rglob("*.npz")), "flipped")
    done = world.launched.run("verify", data)
    assert done.returncode == 1
    assert "cooccurrences.npz is damaged" in done.stdout
    assert world.launched.run(*cooc.words(data), "--resume").returncode == 0
    world.finishes(cooc, data, expected)
    tally("faults: histogram flipped")


def test_damaged_vectors_and_texts_are_found(world, unbroken, tmp_path, tally):
    case = world.cases["sfal score"]
    expected = unbroken(case)
    data = tmp_path / "data"
    case.prepare(data)
    for pattern in ("*_embeddings.parquet", "explanations.parquet"):
        path = next(data.rglob(pattern))
        whole = path.read_bytes()
        damage(path, "flipped")
        done = world.launched.run("verify", data)
        assert done.returncode == 1
        assert str(path) in done.stdout
        path.write_bytes(whole)
        tally(f"faults: {pattern} flipped")
    assert world.launched.run("verify", data).returncode == 0
    world.finishes(case, data, expected)


@pytest.mark.parametrize(
    ("name", "pattern", "remedy"),
    [("sfal explain", "examples.parquet", "--examples"), ("sfal score", "scores.parquet", "score")],
)
def test_damaged_examples_and_scores_are_found(world, tmp_path, tally, name, pattern, remedy):
    case, data = world.cases[name], tmp_path / "data"
    case.prepare(data)
    assert world.launched.run(*case.words(data)).returncode == 0
    assert world.launched.run("verify", data).returncode == 0
    path = next(data.rglob(pattern))
    whole = path.read_bytes()
    for how in ("flipped", "cut short"):
        damage(path, how)
        done = world.launched.run("verify", data)
        assert done.returncode == 1
        [line] = [line for line in done.stdout.splitlines() if str(path) in line]
        assert remedy in line.replace(str(path), "")
        path.write_bytes(whole)
        tally(f"faults: {pattern} {how}")


def test_damage_met_during_a_run_is_named_and_ends_it(world, cooc, halfway, tally):
    command, data = halfway
    command.send(signal.SIGKILL)
    command.wait()
    next(data.rglob("part-000000.parquet")).write_bytes(b"")
    done = world.launched.run(*cooc.words(data), "--n-docs", 3 * N_DOCS)
    assert done.returncode == 1
    assert "part-000000.parquet is damaged" in done.stderr
    assert "--resume" in done.stderr
    tally("faults: part of occurrences emptied under a run")


def test_a_second_process_is_refused_with_the_first_ones_id(world, cooc, halfway, tally):
    command, data = halfway
    command.send(signal.SIGSTOP)
    done = world.launched.run(*cooc.words(data))
    assert done.returncode == 1
    assert f"process {command.pid}, started 20" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    tally("faults: second process on a folder")


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("sfal merge", MERGED),
        ("sfal embeddings", f"{SOURCE}/export"),
        ("sfal embeddings", f"{SOURCE}/local/model"),
        ("sfal explain", f"{LOCAL}/export"),
    ],
)
def test_a_folder_that_another_process_writes_is_refused(world, tmp_path, tally, name, folder):
    case, data = world.cases[name], tmp_path / "data"
    case.prepare(data)
    with folder_lock(data / folder):
        done = world.launched.run(*case.words(data))
    assert done.returncode == 1
    assert f"process {os.getpid()}, started 20" in done.stderr
    tally("faults: second process on a folder")


def test_threads_change_nothing(world, cooc, tmp_path):
    for threads in (1, 2):
        words = cooc.words(tmp_path / str(threads))
        done = world.launched.run(*words, "--threads", threads, "--n-docs", 20)
        assert done.returncode == 0, done.stderr
    assert snapshot(tmp_path / "1") == snapshot(tmp_path / "2")


def test_shards_cut_at_buffers_hold_the_bits_of_one_run(world, unbroken, cooc, tmp_path):
    world.finishes(cooc, tmp_path / "whole", unbroken(cooc))
    for i in (1, 2):
        done = world.launched.run(*cooc.words(tmp_path / "shards"), "--shard", f"{i}/2")
        assert done.returncode == 0, done.stderr
    whole = Windows.join(
        list(iterate_parts(next((tmp_path / "whole").rglob("manifest.json")).parent))
    )
    folders = sorted(p.parent for p in (tmp_path / "shards").rglob("manifest.json"))
    assert [f.name for f in folders] == ["shard-1-of-2", "shard-2-of-2"]
    parts = Windows.join([w for folder in folders for w in iterate_parts(folder)])
    for name in ("documents", "ordinals", "indptr", "indices"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
