"""Explanations of one source: what is written, skipped, repeated and refused."""

from dataclasses import replace

import pytest

from explanations.fixtures import QUICK, counted_source, export, folder, source, texts
from servers import exports, faults
from sfal.errors import ArtifactError, DownloadError, InvalidInputError
from sfal.explanations.chooser import Preferences
from sfal.explanations.source_explanations import choose_explanations, explanations_of
from sfal.io.atomic import temporary_name
from sfal.store.explanations import explanations_metadata, read_explanations


def test_a_download_that_fails_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SFAL_NEURONPEDIA_URL", "http://127.0.0.1:9")
    with pytest.raises(DownloadError):
        choose_explanations(source(tmp_path), QUICK)
    assert list(tmp_path.iterdir()) == []


def test_the_choice_is_written_with_its_origin(tmp_path, bucket):
    summary = choose_explanations(source(tmp_path), QUICK)
    assert (summary.n_chosen, summary.n_features, summary.n_missing) == (8, 8, 0)
    assert summary.kinds == (
        ("oai_token-act-pair", "gpt-4o-mini", 6),
        ("np_max-act-logits", "gemini-2.0-flash", 2),
    )
    assert texts(tmp_path) == {i: f"words about topic {i}" for i in range(8)}
    metadata = explanations_metadata(read_explanations(folder(tmp_path)))
    assert metadata["source"] == exports.SOURCE
    assert metadata["origin"]["neuronpedia"] == exports.SOURCE


def test_a_second_call_requests_only_the_listing_and_writes_nothing(tmp_path, bucket):
    choose_explanations(source(tmp_path), QUICK)
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in _files(tmp_path)}
    bucket.requests.clear()
    summary = choose_explanations(source(tmp_path), QUICK)
    assert summary.unchanged
    assert bucket.requests == ["list"]
    assert before == {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in _files(tmp_path)}


def _files(tmp_path):
    return sorted(p for p in tmp_path.rglob("*") if p.is_file())


def test_a_changed_export_changes_the_choice(tmp_path, bucket):
    choose_explanations(source(tmp_path), QUICK)
    bucket.objects.update(exports.export([[exports.record(0, "new words")]]))
    assert not choose_explanations(source(tmp_path), QUICK).unchanged
    assert texts(tmp_path)[0] == "new words"


def test_with_a_known_width_missing_features_are_counted_and_indices_beyond_it_left_out(
    tmp_path, bucket
):
    bucket.objects.update(
        exports.export([[exports.record(i) for i in range(500)] + [exports.record(5000)]])
    )
    summary = choose_explanations(counted_source(tmp_path, 1000), QUICK)
    assert (summary.n_chosen, summary.n_missing) == (500, 500)
    assert summary.left_out == {"index beyond the SAE's width": 1}


def test_explanations_of_another_width_are_refused(tmp_path, bucket):
    with pytest.raises(ArtifactError, match="another SAE"):
        choose_explanations(counted_source(tmp_path, 3), QUICK)


def test_explanations_of_another_source_are_refused(tmp_path, bucket):
    bucket.objects.update(export(modelId="gemma-2-9b"))
    prefix = f"v1/{exports.SOURCE}/explanations/batch-1"
    del bucket.objects[f"{prefix}.jsonl.gz"]
    with pytest.raises(ArtifactError, match=r"6 of another source.*of another source"):
        choose_explanations(source(tmp_path), QUICK)
    assert not (folder(tmp_path) / "explanations.parquet").exists()


def test_a_damaged_batch_on_disk_is_fetched_again(tmp_path, bucket):
    choose_explanations(source(tmp_path), QUICK)
    path = next((folder(tmp_path) / "export").glob("batch-0-*"))
    path.write_bytes(bytes(len(path.read_bytes())))
    (folder(tmp_path) / "explanations.parquet").unlink()
    bucket.requests.clear()
    choose_explanations(source(tmp_path), QUICK)
    assert len(bucket.fetched()) == 1
    assert len(texts(tmp_path)) == 8


def test_files_left_by_a_killed_process_are_removed(tmp_path, bucket):
    (folder(tmp_path) / "export").mkdir(parents=True)
    left = [
        folder(tmp_path) / below / temporary_name(name, pid=999999999)
        for below, name in (("export", "batch-0.jsonl.gz"), ("", "explanations.parquet"))
    ]
    for path in left:
        path.write_bytes(b"half")
    choose_explanations(source(tmp_path), QUICK)
    assert not any(path.exists() for path in left)


def test_a_source_that_is_not_on_neuronpedia_needs_a_file(tmp_path):
    with pytest.raises(InvalidInputError, match="explanations_file"):
        choose_explanations(source(tmp_path, "my-sae"), QUICK)
    path = tmp_path / "mine.csv"
    path.write_text("feature,explanation\n4,four\n")
    mine = source(tmp_path, "my-sae")
    summary = choose_explanations(mine, replace(QUICK, explanations_file=path))
    assert summary.kinds == (("custom", "mine", 1),)
    assert choose_explanations(mine, replace(QUICK, explanations_file=path)).unchanged
    path.write_text("feature,explanation\n4,five\n")
    assert not choose_explanations(mine, replace(QUICK, explanations_file=path)).unchanged


def test_a_file_of_more_features_than_the_sae_has_is_refused(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("feature,explanation\n4,four\n70,x\n")
    mine = counted_source(tmp_path, 8, "my-model/3-sae-res")
    with pytest.raises(ArtifactError, match="another SAE"):
        choose_explanations(mine, replace(QUICK, explanations_file=path))


def test_other_preferences_choose_again_from_the_export_on_disk(tmp_path, bucket):
    choose_explanations(source(tmp_path), QUICK)
    bucket.requests.clear()
    table = explanations_of(source(tmp_path), Preferences(explainers=("gemini-2.0-flash",)))
    assert set(table.column("explainer").to_pylist()) == {"gemini-2.0-flash"}
    assert len(table) == 8
    assert bucket.requests == []
    with pytest.raises(InvalidInputError, match=r"gemini-2\.0-flash"):
        explanations_of(source(tmp_path), Preferences(types=("eleuther_acts_top20",)))
    assert len(explanations_of(source(tmp_path))) == 8


def test_explanations_of_a_file_are_filtered_only_if_all_fit(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("feature,explanation\n4,four\n")
    mine = source(tmp_path, "my-sae")
    choose_explanations(mine, replace(QUICK, explanations_file=path))
    assert len(explanations_of(mine, Preferences(("mine",), ("custom",)))) == 1
    with pytest.raises(InvalidInputError, match="custom by mine"):
        explanations_of(mine, Preferences(("gpt-4o-mini",)))


def test_a_failed_download_leaves_the_earlier_explanations(tmp_path, bucket):
    choose_explanations(source(tmp_path), QUICK)
    before = texts(tmp_path)
    bucket.objects.update(exports.export([[exports.record(0, "new words")]]))
    bucket.fault(f"v1/{exports.SOURCE}/explanations/batch-0.jsonl.gz", faults.status(500))
    with pytest.raises(DownloadError):
        choose_explanations(source(tmp_path), QUICK)
    assert texts(tmp_path) == before
