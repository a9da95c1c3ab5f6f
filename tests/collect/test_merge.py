"""Shards counted apart and merged are the run that was never split."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import tiny
from collect import oracle
from sfal.cli.main import sfal
from sfal.collect.driver import collect
from sfal.collect.merge import find_runs, merge_runs
from sfal.collect.settings import CollectSettings
from sfal.collect.shard import Shard
from sfal.errors import ArtifactError, InvalidInputError, SettingsMismatchError
from sfal.scoring.reliability.replicates import document_groups
from sfal.sources import SaeRef, Source
from sfal.store.manifest import Manifest
from sfal.store.occurrences import read_occurrences, read_occurrences_and_documents
from sfal.store.verify import verify_tree

NAME = "lm/0-sae-res"
N_DOCS = 400


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """The whole run, and its three shards in three trees."""
    root = tmp_path_factory.mktemp("merge")
    tiny.gemma2(root / "lm", layers=1, d_model=16)
    texts = oracle.texts(N_DOCS, longest=20)
    oracle.write_jsonl(root / "corpus.jsonl", texts)
    tiny.gemma_scope(root / "sae", ".", 16, 24)
    sae = SaeRef("local", path=str(root / "sae"))
    source = Source(NAME, str(root / "lm"), "res", 0, sae)
    settings = CollectSettings(
        str(root / "corpus.jsonl"), n_docs=N_DOCS, window_size=8, batch_tokens=512, device="cpu"
    )
    collect([source], settings, root / "whole")
    for i in (1, 2, 3):
        collect([source], replace(settings, shard=Shard(i, 3)), root / f"shard{i}")
    return root


def shards(root, *numbers):
    return find_runs([root / f"shard{i}" for i in numbers])[NAME]


def copy_of(run, target):
    return shutil.copytree(run, target)


def csr(folder):
    occurrences = read_occurrences(folder)
    return occurrences.rows(0, occurrences.n_windows)


def test_merged_shards_give_the_same_groups_of_documents(counted, tmp_path):
    merged = merge_runs(NAME, shards(counted, 3, 1, 2), tmp_path)
    groups = []
    for folder in (merged.folder, counted / "whole" / NAME):
        _, documents = read_occurrences_and_documents(folder)
        groups.append(document_groups(documents))
    np.testing.assert_array_equal(*groups)


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_merged_shards_equal_one_run_whatever_their_order(counted, tmp_path, order):
    merged = merge_runs(NAME, shards(counted, *order), tmp_path)
    whole = Manifest.load(counted / "whole" / NAME)
    for ours, theirs in zip(csr(merged.folder), csr(counted / "whole" / NAME), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    manifest = Manifest.load(merged.folder)
    assert manifest.complete
    assert manifest.counts == whole.counts
    assert (manifest.settings, manifest.n_docs) == (whole.settings, whole.n_docs)
    assert manifest.fingerprints == whole.fingerprints


def test_a_merged_run_can_be_extended_like_any_other(counted, tmp_path):
    merge_runs(NAME, shards(counted, 1, 2, 3), tmp_path)
    whole = Manifest.load(counted / "whole" / NAME)
    source = Source(NAME, str(counted / "lm"), "res", 0, SaeRef("local", path=str(counted / "sae")))
    settings = CollectSettings(
        str(counted / "corpus.jsonl"), n_docs=N_DOCS, window_size=8, batch_tokens=512, device="cpu"
    )
    (result,) = collect([source], settings, tmp_path)
    assert result.error is None
    assert result.counted == 0
    assert result.manifest.n_windows == whole.n_windows


def test_merging_again_changes_nothing(counted, tmp_path):
    first = merge_runs(NAME, shards(counted, 1, 2, 3), tmp_path)
    again = merge_runs(NAME, shards(counted, 1, 2, 3), tmp_path)
    assert (first.done_before, again.done_before) == (False, True)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [((1, 3), "documents 128 to 255"), ((2, 3), "documents 0 to 127"),
     ((1, 2), "documents 256 to 399")],
)  # fmt: skip
def test_documents_that_no_run_holds_are_named(counted, tmp_path, numbers, said):
    with pytest.raises(InvalidInputError, match=rf"{said} \(shard ./3\) are in none of the runs"):
        merge_runs(NAME, shards(counted, *numbers), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_lost_shard_is_named(counted, tmp_path):
    with pytest.raises(InvalidInputError, match=r"\(shard 2/3\) are in none of the runs"):
        merge_runs(NAME, shards(counted, 3, 1), tmp_path)
    with pytest.raises(InvalidInputError, match=r"\(shard 1/3, 3/3\) are in none of the runs"):
        merge_runs(NAME, shards(counted, 2), tmp_path)


def test_a_merged_run_refers_to_nothing_outside_its_folder(counted, tmp_path):
    for i in (1, 2, 3):
        shutil.copytree(counted / f"shard{i}", tmp_path / "shards" / str(i))
    merged = merge_runs(NAME, find_runs([tmp_path / "shards"])[NAME], tmp_path / "here")
    shutil.rmtree(tmp_path / "shards")
    moved = tmp_path / "moved"
    (tmp_path / "here").rename(moved)
    assert str(tmp_path) not in (moved / NAME / "manifest.json").read_text()
    assert not [path for path in moved.rglob("*") if path.is_symlink()]
    (checked,) = verify_tree(moved)
    assert (checked.problems, checked.complete) == ((), True)
    assert read_occurrences(moved / NAME).n_windows == merged.manifest.n_windows


def test_documents_that_two_runs_hold_are_refused(counted, tmp_path):
    twin = copy_of(shards(counted, 2)[0], tmp_path / "twin")
    with pytest.raises(InvalidInputError, match="both hold document 128"):
        merge_runs(NAME, [*shards(counted, 1, 2, 3), twin], tmp_path / "all")


def test_other_settings_are_refused_by_name(counted, tmp_path):
    other = copy_of(shards(counted, 2)[0], tmp_path / "other")
    manifest = Manifest.load(other)
    replace(manifest, settings={**manifest.settings, "window_size": 16}).save(other)
    with pytest.raises(SettingsMismatchError, match="window_size was 8, now 16"):
        merge_runs(NAME, [*shards(counted, 1, 3), other], tmp_path / "all")


def test_a_shard_that_was_stopped_is_refused_with_what_it_lacks(counted, tmp_path):
    other = copy_of(shards(counted, 3)[0], tmp_path / "other")
    Manifest.load(other).with_parts(()).save(other)
    with pytest.raises(ArtifactError, match="documents 256 to 399 are not counted yet"):
        merge_runs(NAME, [*shards(counted, 1, 2), other], tmp_path / "all")


def test_a_damaged_part_is_named_and_no_run_appears(counted, tmp_path):
    other = copy_of(shards(counted, 3)[0], tmp_path / "other")
    next((other / "occurrences").iterdir()).write_bytes(b"x")
    with pytest.raises(ArtifactError, match="damaged"):
        merge_runs(NAME, [*shards(counted, 1, 2), other], tmp_path / "all")
    assert not list((tmp_path / "all").rglob("manifest.json"))
    merged = merge_runs(NAME, shards(counted, 1, 2, 3), tmp_path / "all")
    assert merged.manifest.complete


def test_a_folder_with_another_run_is_left_alone(counted, tmp_path):
    folder = copy_of(shards(counted, 1)[0], tmp_path / NAME)
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(ArtifactError, match="already holds a different run"):
        merge_runs(NAME, shards(counted, 1, 2, 3), tmp_path)
    assert (folder / "manifest.json").read_bytes() == before


def test_the_command_joins_the_shards_of_one_tree(counted, tmp_path):
    for i in (1, 2, 3):
        shutil.copytree(counted / f"shard{i}", tmp_path / "data", dirs_exist_ok=True)
    for said in ("3 runs, 400 documents", "joined before"):
        result = CliRunner().invoke(sfal, ["merge", "--data-dir", str(tmp_path / "data")])
        assert result.exit_code == 0, result.output
        assert said in result.output
