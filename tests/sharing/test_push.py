"""What a push sends, and what it refuses."""

import json

import pytest

from scoring.builders import write_texts
from sfal.store.manifest import Manifest
from sfal.store.verify import verify_tree
from sharing.elsewhere import commit_tree
from sharing.trees import PRIVATE, REPO, RUN, SOURCE, files, without_manifests, write_run


def refused(done, *parts):
    assert done.returncode == 1, done.stdout
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Note:")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("Error: ")
    for part in parts:
        assert part in lines[0]


def test_a_push_makes_a_private_repository_in_the_layout_of_the_tree(world):
    done = world.push(world.original)
    assert done.returncode == 0, done.stderr
    assert "sent" in done.stdout
    assert world.hub.url + f"/datasets/{REPO}" in done.stdout
    assert REPO in world.hub.private
    folder = world.hub.folder(REPO)
    theirs = files(folder)
    assert without_manifests(theirs) == without_manifests(files(world.original))
    assert [checked.problems for checked in verify_tree(folder)] == [(), ()]
    assert sorted(p.name for p in folder.iterdir()) == [".gitattributes", "README.md", "gemma-2-2b"]


def test_parts_are_there_before_the_manifest_that_names_them(pushed):
    *before, last = pushed.hub.commits
    assert {f"+{SOURCE}/manifest.json", f"+{SOURCE}/runs/{RUN}/manifest.json", "+README.md"} == set(
        last
    )
    parts = [path for commit in before for path in commit if "/occurrences/" in path]
    assert len(parts) == 13


def test_nothing_of_this_machine_is_sent(pushed):
    folder = pushed.hub.folder(REPO)
    for content in files(folder, below=".").values():
        assert PRIVATE.encode() not in content
        assert str(pushed.original).encode() not in content
    volatile = Manifest.load(folder / SOURCE).volatile
    assert volatile == {
        "versions": {"sfal": "0.1", "torch": "2.6"},
        "cache": ["as usual"],
        "notes": ["corpus texts.jsonl ended early; see https://example.org/notes"],
    }


def test_the_card_says_what_was_run(pushed):
    card = (pushed.hub.folder(REPO) / "README.md").read_text()
    assert card.startswith("---\n")
    assert f"## {SOURCE}" in card
    assert f"### Run `{RUN}`" in card
    assert f"sfal pull SOURCE --repo {REPO}" in card
    for fact in ("google/gemma-2-2b", "300 of 256 tokens", "sfal 0.1, torch 2.6", "Qwen/Qwen3"):
        assert fact in card
    assert "sense of 5" not in card


def test_a_second_push_sends_nothing(pushed):
    stored, commits = list(pushed.hub.stored), list(pushed.hub.commits)
    done = pushed.push(pushed.original)
    assert done.returncode == 0, done.stderr
    assert "0 files sent" in done.stdout
    assert (pushed.hub.stored, pushed.hub.commits) == (stored, commits)
    assert len(set(stored)) == len(stored)


def test_what_others_wrote_into_the_card_stays(pushed, data):
    path = pushed.hub.folder(REPO) / "README.md"
    path.write_text(path.read_text() + "\nOur own words.\n")
    (data / SOURCE / "explanations.parquet").unlink()
    write_run(data / SOURCE, seed=5)
    done = pushed.push(data, "--replace")
    assert done.returncode == 0, done.stderr
    card = path.read_text()
    assert card.endswith("Our own words.\n")
    assert card.count(f"## {SOURCE}") == 1


def test_only_what_is_asked_for_goes_along(world):
    done = world.push(world.original, "--with", "explanations")
    assert done.returncode == 0, done.stderr
    names = {name for name in files(world.hub.folder(REPO)) if "occurrences/" not in name}
    assert names == {"manifest.json", f"runs/{RUN}/manifest.json", "explanations.parquet"}
    done = world.push(world.original)
    assert done.returncode == 0, done.stderr
    assert set(files(world.hub.folder(REPO))) == set(files(world.original))


def test_two_sources_share_a_repository(pushed, data, tmp_path):
    other = "gemma-2-2b/5-gemmascope-res-16k"
    (data / SOURCE).rename(data / other)
    done = pushed.push(data, source=other)
    assert done.returncode == 0, done.stderr
    card = (pushed.hub.folder(REPO) / "README.md").read_text()
    assert f"## {SOURCE}" in card
    assert f"## {other}" in card
    assert len(set(pushed.hub.stored)) == len(pushed.hub.stored), "sent a second time"


def test_a_different_run_is_refused_and_replaced_only_if_told(pushed, data):
    write_run(data / SOURCE, seed=7, n_parts=4)
    before = files(pushed.hub.folder(REPO))
    refused(pushed.push(data), f"{REPO}/{SOURCE} holds a different run", "--replace")
    assert files(pushed.hub.folder(REPO)) == before
    done = pushed.push(data, "--replace")
    assert done.returncode == 0, done.stderr
    folder = pushed.hub.folder(REPO)
    assert len(list((folder / SOURCE / "occurrences").iterdir())) == 4
    assert [checked.problems for checked in verify_tree(folder)] == [(), ()]


def test_other_settings_are_named(pushed, data):
    path = data / SOURCE / "manifest.json"
    value = json.loads(path.read_text())
    value["settings"]["window_size"] = 64
    path.write_text(json.dumps(value))
    refused(pushed.push(data), "window_size was 256, now 64", "--replace")


def test_other_explanations_are_refused(pushed, data, world):
    write_texts(data / SOURCE, range(20), word="meaning")
    refused(pushed.push(data), f"other contents of {SOURCE}/explanations.parquet", "--with")
    assert pushed.push(data, "--with", "embeddings").returncode == 0


def test_a_run_that_is_not_finished_is_refused(world, data):
    write_run(data / SOURCE / "runs" / RUN, seed=2, n_docs=400)
    refused(world.push(data), f"runs/{RUN} is not complete", "documents 300 to 399", "finish it")
    assert not world.hub.repositories


def test_shards_alone_are_refused(world, data):
    for path in (data / SOURCE / "manifest.json", data / SOURCE / "runs" / RUN / "manifest.json"):
        value = json.loads(path.read_text())
        value["settings"]["shard"] = {"index": 1, "of": 2, "n_docs": 600}
        path.write_text(json.dumps(value))
    refused(world.push(data), "2 shards and no whole run", "sfal merge")


@pytest.mark.parametrize(
    "name", ["occurrences/part-000003.parquet", "explanations.parquet", "scores.parquet"]
)
def test_a_damaged_file_is_refused(world, data, name):
    path = data / SOURCE / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    content[-20] ^= 0xFF
    path.write_bytes(content)
    refused(world.push(data), str(path))
    assert not world.hub.repositories


def test_a_source_that_was_not_counted_is_refused(world, tmp_path):
    refused(world.push(tmp_path / "data"), "has not been counted", "sfal cooc")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("repo", ["occurrences", "a/b/c", "lab/..", "../x", "a--b/c"])
def test_what_cannot_name_a_repository_is_refused(world, repo):
    refused(world.push(world.original, repo=repo), "not the name of a repository", "--repo")


def test_an_unknown_kind_is_refused(world):
    refused(world.push(world.original, "--with", "models"), "'models' cannot be shared", "--with")


def test_a_public_repository_needs_the_word(world):
    world.hub.make(REPO, private=False)
    refused(world.push(world.original), "public", "--public")
    assert not world.hub.stored
    assert world.push(world.original, "--public").returncode == 0
    assert world.push(world.original, "--public", repo="lab/new").returncode == 0
    assert "lab/new" not in world.hub.private


def test_a_token_that_may_not_write_is_told(world):
    world.hub.token = "another"
    refused(world.push(world.original), "access was refused (HTTP 401)", "HF_TOKEN", "may write")
    world.hub.make(REPO)
    refused(world.push(world.original), "access was refused (HTTP 401)", "HF_TOKEN", "may write")
    assert not world.hub.stored


def test_without_a_repository_the_command_asks_for_one(world):
    done = world("push", SOURCE, "--data-dir", world.original)
    refused(done, "which repository?", "--repo")


def test_somebody_elses_commit_in_the_middle_is_kept(world):
    folder = world.hub.make(REPO)
    times = iter(range(100))

    def meanwhile():
        if next(times) in (0, 2):
            (folder / f"other-{len(world.hub.commits)}.txt").write_text("theirs")

    world.hub.before_commit = meanwhile
    done = world.push(world.original)
    assert done.returncode == 0, done.stderr
    assert len(list(folder.glob("other-*.txt"))) == 2
    assert [checked.problems for checked in verify_tree(folder)] == [(), ()]
    assert len(set(world.hub.stored)) == len(world.hub.stored)


def test_a_different_run_that_comes_in_the_middle_is_not_overwritten(world, data):
    write_run(data / SOURCE, seed=9)

    world.hub.make(REPO)
    world.hub.before_commit = lambda: commit_tree(world.hub, data)
    refused(world.push(world.original), "holds a different run", "--replace")
    assert files(world.hub.folder(REPO)) == files(data)
