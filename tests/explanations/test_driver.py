"""Explanations of several sources: results, failures, interruptions."""

import time

import pytest

import sfal
from explanations.fixtures import QUICK
from servers import exports, faults, s3
from sfal.errors import DownloadError, InvalidInputError, MissingError, Note
from sfal.explanations import driver
from sfal.explanations.settings import DownloadSettings
from sfal.io.web.http import Patience
from sfal.sources import resolve_gemma
from sfal.store.explanations import (
    explanations_metadata,
    explanations_sha256,
    read_explanations,
)
from sfal.store.manifest import Counts, Manifest, Part
from sfal.store.records import SourceRecord

OTHER = "gemma-2-2b/5-gemmascope-res-16k"
UNKNOWN = "gemma-2-2b/nothing"


@pytest.fixture
def bucket(monkeypatch):
    objects = exports.export([[exports.record(i) for i in range(6)]])
    objects |= exports.export([[exports.record(i, source=OTHER) for i in range(4)]], OTHER)
    with s3.serve(objects) as bucket:
        monkeypatch.setenv("SFAL_NEURONPEDIA_URL", bucket.url)
        yield bucket


def test_each_source_has_a_result_and_a_failing_one_does_not_stop_the_others(bucket, tmp_path):
    seen = []
    results = sfal.download_explanations(
        [exports.SOURCE, UNKNOWN, OTHER, OTHER], QUICK, tmp_path, on_result=seen.append
    )
    assert [result.source for result in results] == [exports.SOURCE, UNKNOWN, OTHER]
    assert seen == results
    first, failed, last = results
    assert (first.chosen.n_chosen, last.chosen.n_chosen) == (6, 4)
    assert first.error is None
    assert isinstance(failed.error, DownloadError)
    assert failed.chosen is None
    assert len(read_explanations(tmp_path / OTHER)) == 4


def test_a_source_is_given_by_name_or_as_it_is_counted(bucket, tmp_path):
    (by_name,) = sfal.download_explanations(OTHER, QUICK, str(tmp_path))
    assert by_name.chosen.n_chosen == 4
    sources = resolve_gemma("google/gemma-2-2b", [5], ["res"], "16k", None, online=False)
    (again,) = sfal.download_explanations(sources, QUICK, tmp_path)
    assert (again.source, again.chosen.unchanged) == (OTHER, True)
    with pytest.raises(InvalidInputError, match="no source is given"):
        sfal.download_explanations([], QUICK, tmp_path)


def test_a_file_explains_one_source(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("feature,explanation\n4,four\n")
    settings = DownloadSettings(explanations_file=path)
    with pytest.raises(InvalidInputError, match="explains one source, but 2 are given"):
        sfal.download_explanations(["a/b", "a/c"], settings, tmp_path)
    (result,) = sfal.download_explanations("my-sae", settings, tmp_path)
    assert result.chosen.kinds == (("custom", "mine", 1),)


def test_explanations_of_a_file_are_kept_on_request(bucket, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("feature,explanation\n4,four\n")
    sfal.download_explanations(OTHER, DownloadSettings(explanations_file=path), tmp_path)
    (kept,) = sfal.download_explanations(OTHER, DownloadSettings(keep_own=True), tmp_path)
    assert kept == driver.DownloadResult(OTHER, kept_own=True)
    assert bucket.requests == []
    (replaced,) = sfal.download_explanations(OTHER, QUICK, tmp_path)
    assert replaced.chosen.n_chosen == 4


def test_after_a_server_did_not_answer_the_next_source_gets_one_attempt(monkeypatch, tmp_path):
    monkeypatch.setenv("SFAL_NEURONPEDIA_URL", "http://127.0.0.1:9")
    settings = DownloadSettings(patience=Patience(first_wait=0.01, attempts=3))
    errors = [r.error for r in sfal.download_explanations(["a/b", "a/c"], settings, tmp_path)]
    assert "(attempt 3)" in str(errors[0])
    assert "(attempt 1)" in str(errors[1])


def test_an_interruption_names_the_source(bucket, tmp_path, monkeypatch):
    def interrupt(source, settings):
        if source.name == OTHER:
            raise KeyboardInterrupt
        return choose(source, settings)

    choose = driver.choose_explanations
    monkeypatch.setattr(driver, "choose_explanations", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        sfal.download_explanations([exports.SOURCE, OTHER], QUICK, tmp_path)
    assert caught.value.args == (Note(f"Stopped at {OTHER}", "$do_again continues there"),)
    assert str(caught.value) == f"Stopped at {OTHER}; the same call continues there"


def test_labels_report_a_source_without_examples(tmp_path):
    (result,) = sfal.explain_features("my-model/3-sae-res", tmp_path)
    assert isinstance(result.error, MissingError)
    assert result.labelled is None


def test_a_silent_server_costs_no_more_than_its_time_limit(bucket, tmp_path):
    bucket.fault(f"v1/{OTHER}/explanations/batch-0.jsonl.gz", faults.silence)
    started = time.monotonic()
    (result,) = sfal.download_explanations(OTHER, QUICK, tmp_path)
    assert isinstance(result.error, DownloadError)
    assert time.monotonic() - started < 10


def test_notes_on_a_file_are_kept_with_the_explanations(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("feature,label,description\n4,four,a four\n")
    settings = DownloadSettings(explanations_file=path)
    for _ in range(2):  # made, and found on the disk
        (result,) = sfal.download_explanations("m/0-s", settings, tmp_path)
        (note,) = result.notes
        assert "explanations are taken from the column description, not from label" in str(note)
        assert explanations_metadata(read_explanations(tmp_path / "m/0-s"))["notes"] == [str(note)]
    other = DownloadSettings(explanations_file=path, label_column="label")
    (result,) = sfal.download_explanations("m/0-s", other, tmp_path)
    assert result.notes == ()
    table = read_explanations(tmp_path / "m/0-s")
    assert table.column("explanation").to_pylist() == ["four"]
    assert explanations_metadata(table)["notes"] == []


def test_notes_on_an_export_are_kept_with_the_explanations(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "explanation_notes", lambda name: (Note("of another tensor"),))
    sfal.download_explanations(OTHER, QUICK, tmp_path)
    table = read_explanations(tmp_path / OTHER)
    assert explanations_metadata(table)["notes"] == ["of another tensor"]
    monkeypatch.setattr(driver, "explanation_notes", lambda name: ())
    (result,) = sfal.download_explanations(OTHER, QUICK, tmp_path)
    assert (result.chosen.unchanged, result.notes) == (True, ())
    again = read_explanations(tmp_path / OTHER)
    assert explanations_metadata(again)["notes"] == []
    assert explanations_sha256(again) == explanations_sha256(table)


@pytest.mark.parametrize("name", ["feature_column", "label_column"])
def test_a_column_without_a_file_is_refused(name):
    with pytest.raises(
        InvalidInputError, match="a column x is named, but no file with explanations"
    ):
        DownloadSettings(**{name: "x"})


def test_a_source_that_nobody_counted_is_noted_beside_those_on_disk(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("feature,explanation\n0,first\n")
    settings = DownloadSettings(explanations_file=path)
    data_dir = tmp_path / "data"
    (first,) = sfal.download_explanations("mine/2-mysae", settings, data_dir)
    assert first.notes == ()
    for name in ("other/0-res", "mine/2-my-sae"):
        part = Part("part-000000.parquet", "0" * 64, 0, 9, Counts(9, windows=9), "")
        record = SourceRecord(name)
        Manifest(record, n_features=4, settings={}, n_docs=9, parts=(part,)).save(data_dir / name)
    (again,) = sfal.download_explanations("mine/2-mysae", settings, data_dir)
    assert again.notes == (
        Note("nothing has been counted as mine/2-mysae yet; on disk: mine/2-my-sae, other/0-res"),
    )
    (counted,) = sfal.download_explanations("mine/2-my-sae", settings, data_dir)
    assert counted.notes == ()
