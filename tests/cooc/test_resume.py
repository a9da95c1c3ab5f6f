"""Processes that are killed, interrupted, or find the disk full: nothing is lost."""

import json
import os
import random
import shutil
import signal
import subprocess
import time

import pytest

import tiny
from cooc import plain
from servers.launcher import launcher

N_DOCS = 420
N_KILLS = int(os.environ.get("SFAL_KILLS", "50"))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    tiny.gemma2(root / "lm", layers=2)
    for layer in (0, 1):
        tiny.gemma_scope(root / f"sae{layer}", ".", 16, 64, seed=layer)
    plain.write_jsonl(root / "corpus.jsonl", plain.texts(N_DOCS))
    with launcher(tmp_path_factory.mktemp("launched")) as one:
        yield one, root


def words(root, data, *more, layer=0):
    return (
        "cooc", "sae", "--sae", root / f"sae{layer}", "--model", root / "lm", "--site", "res",
        "--layer", layer, "--corpus", root / "corpus.jsonl", "--n-docs", N_DOCS, "--k", 8,
        "--batch-tokens", 1024, "--part-windows", 500, "--device", "cpu", "--data-dir", data, *more,
    )  # fmt: skip


def snapshot(data):
    """Every byte below a data folder, but for the volatile fields of manifests."""
    found = {}
    for path in sorted(p for p in data.rglob("*") if p.is_file()):
        name = path.relative_to(data).as_posix()
        if path.name == "manifest.json":
            value = json.loads(path.read_text())
            del value["volatile"]
            found[name] = json.dumps(value, sort_keys=True)
        else:
            found[name] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def unbroken(world, tmp_path_factory):
    """What a run that is not disturbed leaves, and how long it takes."""
    one, root = world
    data = tmp_path_factory.mktemp("unbroken")
    started = time.monotonic()
    done = one.run(*words(root, data))
    assert done.returncode == 0, done.stderr
    return snapshot(data), time.monotonic() - started


@pytest.mark.slow
def test_kill_at_any_moment_and_the_same_command_gives_the_same_bytes(
    world, unbroken, tmp_path, tally
):
    one, root = world
    expected, seconds = unbroken
    moments = random.Random(0)
    killed, finished = 0, 0
    data = tmp_path / "data"
    while killed < N_KILLS:
        command = one.start(*words(root, data))
        time.sleep(moments.uniform(0.02, 0.9) * seconds)
        command.send(signal.SIGKILL)
        done = command.wait()
        if done.returncode == -signal.SIGKILL:
            killed += 1
        else:
            assert done.returncode == 0, done.stderr
        if done.returncode == 0 or moments.random() < 0.2:
            done = one.run(*words(root, data))
            assert done.returncode == 0, done.stderr
            assert snapshot(data) == expected
            finished += 1
            shutil.rmtree(data)
    done = one.run(*words(root, data))
    assert done.returncode == 0, done.stderr
    assert snapshot(data) == expected
    assert finished > 0
    tally("kills: sfal cooc", killed)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_ctrl_c_ends_within_three_seconds_and_says_how_to_go_on(world, unbroken, tmp_path):
    one, root = world
    command = one.start(*words(root, tmp_path))
    wait_for(lambda: list(tmp_path.rglob("part-*.parquet")))
    started = time.monotonic()
    command.send(signal.SIGINT)
    done = command.wait()
    assert time.monotonic() - started < 3
    assert done.returncode == 130
    assert len(done.stderr.splitlines()) == 1
    assert "documents before" in done.stderr
    assert "The same command goes on from there." in done.stderr
    names = {p.name for p in tmp_path.rglob("*") if p.is_file()}
    assert not any(name.startswith((".tmp", ".lock")) for name in names)
    assert one.run(*words(root, tmp_path)).returncode == 0
    assert snapshot(tmp_path) == unbroken[0]


def test_a_second_process_is_refused_with_the_first_ones_id(world, tmp_path):
    one, root = world
    command = one.start(*words(root, tmp_path))
    wait_for(lambda: list(tmp_path.rglob("part-*.parquet")))
    command.send(signal.SIGSTOP)
    done = one.run(*words(root, tmp_path))
    command.send(signal.SIGKILL)
    command.send(signal.SIGCONT)
    command.wait()
    assert done.returncode == 1
    assert f"process {command.pid}, started 20" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("how", ["lost", "cut", "flipped"])
def test_damage_is_found_named_and_redone_alone(world, unbroken, tmp_path, how):
    one, root = world
    assert one.run(*words(root, tmp_path)).returncode == 0
    path = sorted(tmp_path.rglob("part-*.parquet"))[1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if how == "lost":
        path.unlink()
    else:
        path.write_bytes(bytes(content) if how == "flipped" else bytes(content[:100]))
    done = one.run("verify", tmp_path)
    assert done.returncode == 1
    assert "part-000001.parquet" in done.stdout
    assert "documents " in done.stdout
    assert "--resume" in done.stderr
    others = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("part-*.parquet") if p != path}
    done = one.run(*words(root, tmp_path, "--resume"))
    assert done.returncode == 0, done.stderr
    assert snapshot(tmp_path) == unbroken[0]
    assert {p: p.stat().st_mtime_ns for p in others} == others
    done = one.run("verify", "--data-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "complete" in done.stdout


def test_damage_met_on_the_way_is_named_and_not_built_upon(world, tmp_path):
    one, root = world
    command = one.start(*words(root, tmp_path))
    wait_for(lambda: list(tmp_path.rglob("part-000001.parquet")))
    command.send()
    command.wait()
    next(tmp_path.rglob("part-000000.parquet")).write_bytes(b"")
    done = one.run(*words(root, tmp_path))
    assert done.returncode == 1
    assert "part-000000.parquet is damaged" in done.stderr
    assert "--resume" in done.stderr


def test_a_full_disk_is_named_and_the_run_goes_on_when_there_is_room(world, unbroken, tmp_path):
    one, root = world
    data = tmp_path / "data"
    data.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=80k", "none", str(data)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small disk here")
    try:
        done = one.run(*words(root, data))
        assert done.returncode == 1
        assert "the disk is full" in done.stderr
        assert str(data) in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not list(data.rglob(".tmp*"))
        assert one.run("verify", data).returncode == 0
        subprocess.run(["mount", "-o", "remount,size=10m", str(data)], check=True)
        assert one.run(*words(root, data)).returncode == 0
        assert snapshot(data) == unbroken[0]
    finally:
        subprocess.run(["umount", str(data)], check=True)


def test_a_read_only_folder_is_named(world, tmp_path):
    one, root = world
    data = tmp_path / "data"
    data.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "none", str(data)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no right to mount a read-only disk here")
    try:
        done = one.run(*words(root, data))
    finally:
        subprocess.run(["umount", str(data)], check=True)
    assert done.returncode == 1
    assert "read-only" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_threads_change_nothing(world, tmp_path):
    one, root = world
    for threads in (1, 2):
        done = one.run(*words(root, tmp_path / str(threads), "--threads", threads, "--n-docs", 20))
        assert done.returncode == 0, done.stderr
    assert snapshot(tmp_path / "1") == snapshot(tmp_path / "2")


def test_shards_cut_at_buffers_hold_the_bits_of_one_run(world, tmp_path):
    one, root = world
    from sfal.store.parts import Windows, iterate_parts

    assert one.run(*words(root, tmp_path / "whole")).returncode == 0
    for i in (1, 2, 3):
        done = one.run(*words(root, tmp_path / "shards", "--shard", f"{i}/3"))
        assert done.returncode == 0, done.stderr
    whole = Windows.join(
        list(iterate_parts(next((tmp_path / "whole").rglob("manifest.json")).parent))
    )
    folders = sorted(p.parent for p in (tmp_path / "shards").rglob("manifest.json"))
    assert [f.name for f in folders] == ["shard-1-of-3", "shard-2-of-3", "shard-3-of-3"]
    parts = Windows.join([w for folder in folders for w in iterate_parts(folder)])
    for name in ("documents", "ordinals", "indptr", "indices"):
        assert (getattr(whole, name) == getattr(parts, name)).all()
