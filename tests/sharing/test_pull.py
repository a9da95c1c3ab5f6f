"""What a pull fetches, what it refuses, and that it trusts nothing."""

import json
import os
import shutil
import subprocess
import sys

import pytest

import tiny_embedders
from scoring.builders import write_texts
from servers import faults
from sfal.sharing.contents import item_of
from sfal.store.manifest import Manifest
from sfal.store.verify import verify_tree
from sharing.test_push import refused
from sharing.trees import REPO, RUN, SOURCE, files, without_manifests, write_run


def assert_pulled(data, original):
    assert without_manifests(files(data)) == without_manifests(files(original))
    assert [checked.problems for checked in verify_tree(data)] == [(), ()]
    for folder in (SOURCE, f"{SOURCE}/runs/{RUN}"):
        here, there = (Manifest.load(tree / folder) for tree in (data, original))
        assert (here.parts, here.settings, here.source) == (
            there.parts,
            there.settings,
            there.source,
        )
    assert sorted(path.name for path in data.iterdir()) == ["gemma-2-2b"]


def assert_untouched(data):
    """Nothing came, and no unfinished file is left except in the folder for unchecked files."""
    found = [p for p in data.rglob("*") if p.is_file() and ".pull" not in p.parts]
    assert not found


@pytest.fixture
def repository(pushed):
    """The source's folder in the repository."""
    return pushed.hub.folder(REPO) / SOURCE


def test_a_pull_gives_the_same_files_and_another_one_fetches_nothing(pushed, tmp_path):
    done = pushed.pull(tmp_path / "here")
    assert done.returncode == 0, done.stderr
    assert_pulled(tmp_path / "here", pushed.original)
    assert "19 files fetched" in done.stdout
    assert "--counted --embedding-model MODEL --data-dir" in done.stdout
    before = len(pushed.hub.requests)
    again = pushed.pull(tmp_path / "here")
    assert again.returncode == 0, again.stderr
    assert "0 files fetched (0 bytes), 19 here already" in again.stdout
    asked = pushed.hub.requests[before:]
    assert not [path for path in asked if ".parquet" in path]


def test_a_pulled_manifest_says_where_it_comes_from(pushed, tmp_path):
    assert pushed.pull(tmp_path / "here").returncode == 0
    came = Manifest.load(tmp_path / "here" / SOURCE).volatile["pulled_from"]
    assert came == f"{REPO}@{pushed.hub.commit('datasets', REPO)}"


def test_what_was_pulled_can_be_pushed_elsewhere(pushed, tmp_path):
    assert pushed.pull(tmp_path / "here").returncode == 0
    assert pushed.push(tmp_path / "here", repo="other/place").returncode == 0
    again = pushed.push(tmp_path / "here")
    assert "0 files sent" in again.stdout, again.stderr


@pytest.mark.slow
def test_a_pulled_source_is_scored_with_a_new_embedder_in_one_command(pushed, tmp_path):
    assert pushed.pull(tmp_path / "here").returncode == 0
    model = tiny_embedders.embedder(tmp_path)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "sfal", "run", SOURCE, "--counted", "--device", "cpu"),
            *("--embedding-model", str(model), "--data-dir", "here"),
        ],
        cwd=tmp_path,
        env={**os.environ, **pushed.environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "scoring_results.csv").read_text().splitlines()
    assert "ndcg_model" in table[0] or "local" in table[0], table[0]
    assert len(table) == 61
    assert "local/model" in done.stdout


def test_counted_sources_need_counts(world, tmp_path):
    done = world("run", SOURCE, "--counted", "--data-dir", tmp_path / "none", cwd=tmp_path)
    refused(done, "has not been counted", "--counted", "sfal pull")


def test_only_what_is_asked_for_comes(pushed, tmp_path):
    done = pushed.pull(tmp_path / "here", "--with", "scores")
    assert done.returncode == 0, done.stderr
    names = {name for name in files(tmp_path / "here") if "occurrences/" not in name}
    assert names == {
        "manifest.json", "scores.parquet", "replicates.parquet", f"runs/{RUN}/manifest.json",
        f"runs/{RUN}/scores.parquet", f"runs/{RUN}/replicates.parquet",
    } & set(files(pushed.original))  # fmt: skip


def test_a_different_run_here_is_not_overwritten(pushed, data):
    write_run(data / SOURCE, seed=3)
    before = files(data)
    refused(pushed.pull(data), f"{data / SOURCE} holds a different run", "--data-dir")
    assert files(data) == before


def test_other_explanations_here_are_not_overwritten(pushed, data):
    write_texts(data / SOURCE, range(9), word="meaning")
    shutil.rmtree(data / SOURCE / "occurrences")
    before = files(data)
    done = pushed.pull(data)
    refused(done, str(data / SOURCE / "explanations.parquet"), "--data-dir", "--with")
    assert files(data) == before
    done = pushed.pull(data, "--with", "embeddings")
    assert done.returncode == 0, done.stderr
    assert files(data)["explanations.parquet"] == before["explanations.parquet"]


def test_a_part_that_was_lost_or_damaged_here_is_fetched_again(pushed, data):
    parts = data / SOURCE / "occurrences"
    (parts / "part-000003.parquet").unlink()
    (parts / "part-000004.parquet").write_bytes(b"damaged")
    done = pushed.pull(data)
    assert "2 files fetched" in done.stdout, done.stderr
    assert files(data) == files(pushed.original)


def test_a_source_that_is_not_there_is_refused_with_those_that_are(pushed, tmp_path):
    done = pushed.pull(tmp_path / "here", source="gemma-2-2b/9-gemmascope-res-16k")
    refused(done, f"{REPO} has no source gemma-2-2b/9", f"it has {SOURCE}")
    assert not (tmp_path / "here").exists()


def test_a_foreign_repository_is_refused(world, tmp_path):
    folder = world.hub.make("somebody/photos")
    (folder / "cat.jpg").write_bytes(b"\xff\xd8")
    (folder / "train.parquet").write_bytes(b"PAR1")
    done = world.pull(tmp_path / "here", repo="somebody/photos")
    refused(done, "somebody/photos holds no source of SFAL")
    done = world.pull(tmp_path / "here", repo="somebody/nothing")
    refused(done, "no data set somebody/nothing", "HF_TOKEN")


@pytest.mark.parametrize("name", ["../evil", "/etc", "gemma-2-2b/../../evil", "a//b"])
def test_a_name_that_would_leave_the_tree_is_refused(pushed, tmp_path, name):
    refused(pushed.pull(tmp_path / "here", source=name), "cannot be a folder name")


@pytest.mark.parametrize(
    "path",
    [
        "../../../evil.parquet",
        "occurrences/../../../../part-000000.parquet",
        "/etc/explanations.parquet",
        ".git/x_embeddings.parquet",
        "a/.hidden/x_embeddings.parquet",
        "runs/../../x/manifest.json",
        "runs/manifest.json",
        "runs/x/explanations.parquet",
        "occurrences/x_embeddings.parquet",
        "code.py",
        "mean_embeddings.pkl",
        "cooccurrences.npz",
        "a\\b/x_embeddings.parquet",
        "a\0/x_embeddings.parquet",
    ],
)
def test_such_a_path_names_no_file_of_a_source(path):
    assert item_of(path) is None


def test_what_is_no_file_of_a_source_is_not_fetched(pushed, tmp_path):
    pushed.hub.pretended += [
        f"{SOURCE}/../../../evil.parquet",
        f"/{SOURCE}/explanations.parquet",
        f"{SOURCE}/code.py",
        f"{SOURCE}/x_embeddings.pkl",
    ]
    done = pushed.pull(tmp_path / "here")
    assert done.returncode == 0, done.stderr
    assert_pulled(tmp_path / "here", pushed.original)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("occurrences/part-000002.parquet", "its bytes are not those of its manifest"),
        ("explanations.parquet", "cannot be read"),
        ("scores.parquet", "cannot be read"),
    ],
)
def test_damaged_files_in_the_repository_are_refused(repository, pushed, tmp_path, name, said):
    path = repository / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    content[-20] ^= 0xFF
    path.write_bytes(content)
    refused(pushed.pull(tmp_path / "here"), name.rpartition("/")[2], said)
    assert not (tmp_path / "here" / SOURCE / "manifest.json").exists()
    assert not (tmp_path / "here" / SOURCE / name).exists()


def test_a_part_that_is_lost_in_the_repository_is_named(repository, pushed, tmp_path):
    (repository / "occurrences" / "part-000007.parquet").unlink()
    refused(pushed.pull(tmp_path / "here"), f"lacks {SOURCE}/occurrences/part-000007.parquet")
    assert_untouched(tmp_path)


def edited(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda value: value.update(parts=7), "is not a manifest"),
        (lambda value: value["parts"][0].update(file="../../x.parquet"), "plain file name"),
        (lambda value: value["parts"][0].update(sha256="0" * 64), "not those of its manifest"),
        (lambda value: value["parts"][0]["counts"].update(windows=9), "9"),
        (lambda value: value.update(n_docs=999), "is not complete"),
        (lambda value: value.update(n_features=3), "names feature"),
        (lambda value: value["settings"].update(note="\x1b[2J"), "control characters"),
        (lambda value: value["settings"].update(note="\u202etxt.exe"), "control characters"),
        (lambda value: value.update(format=99), "format 99"),
    ],
)
def test_a_manifest_is_not_trusted(repository, pushed, tmp_path, change, said):
    edited(repository / "manifest.json", change)
    refused(pushed.pull(tmp_path / "here"), said)
    assert not (tmp_path / "here" / SOURCE / "manifest.json").exists()


def test_what_a_manifest_says_of_another_machine_is_not_taken_over(repository, pushed, tmp_path):
    def change(value):
        value["volatile"] |= {"histogram_folder": "/etc", "notes": ["see \x1b[31m /etc/passwd"]}
        value["histogram"] = {"file": "x.npz", "n_windows": 1, "bytes": 1, "sha256": "0"}

    edited(repository / "manifest.json", change)
    done = pushed.pull(tmp_path / "here")
    assert done.returncode == 0, done.stderr
    manifest = Manifest.load(tmp_path / "here" / SOURCE)
    assert manifest.histogram is None
    assert "histogram_folder" not in manifest.volatile
    assert manifest.notes == ("see  [31m passwd",)


def test_a_file_that_is_too_large_is_not_fetched(repository, pushed, tmp_path):
    with (repository / "explanations.parquet").open("ab") as file:
        file.truncate(64 << 20)
    before = len(pushed.hub.requests)
    refused(pushed.pull(tmp_path / "here"), "more than a file of this run can have")
    asked = [path for path in pushed.hub.requests[before:] if "explanations" in path]
    assert not asked


def test_a_file_that_arrives_damaged_is_fetched_again(pushed, tmp_path):
    name = f"{SOURCE}/occurrences/part-000001.parquet"
    pushed.hub.fault(f"GET {REPO}/{name}", faults.replaced(lambda body: body[::-1]), times=1)
    done = pushed.pull(tmp_path / "here")
    refused(done, name, "arrived damaged", "same command")
    done = pushed.pull(tmp_path / "here")
    assert done.returncode == 0, done.stderr
    assert_pulled(tmp_path / "here", pushed.original)


def test_a_disk_without_room_is_told_before_anything_is_fetched(pushed, monkeypatch, tmp_path):
    from sfal.errors import ArtifactError
    from sfal.sharing import pull

    monkeypatch.setattr(pull.shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(9, 9, 0))
    with pytest.raises(ArtifactError, match="has 0 bytes left"):
        pull._check_space(tmp_path / "not" / "yet", 5_000_000)
