"""Further explainers' folders of an export, such as ``explanations-gpt-4o-mini/``."""

import pytest

from explanations.fixtures import QUICK, source
from servers import exports, s3
from sfal.explanations.chooser import Preferences
from sfal.explanations.neuronpedia import cached_export
from sfal.explanations.settings import DownloadSettings
from sfal.explanations.source_explanations import choose_explanations, explanations_of

FOLDER = f"v1/{exports.SOURCE}/explanations"


def batch(explainer, n=4, **fields):
    return exports.batch(
        [
            exports.record(i, f"{explainer} {i}", explanationModelName=explainer, **fields)
            for i in range(n)
        ]
    )


BOTH = {
    f"{FOLDER}/batch-0.jsonl.gz": batch("gemini-2.5-flash-lite"),
    f"{FOLDER}-gpt-4o-mini/batch-0.jsonl.gz": batch("gpt-4o-mini"),
    f"{FOLDER}-gpt-4o-mini/batch-10.jsonl.gz": batch("gpt-4o-mini", 9),
    f"{FOLDER}-gpt-4o-mini/notes.txt": b"x",
    f"{FOLDER}-odd name/batch-0.jsonl.gz": b"x",
    f"v1/{exports.SOURCE}/features/batch-0.jsonl.gz": b"x",
}


def kinds(tmp_path, objects, monkeypatch, **preferences):
    with s3.serve(objects) as bucket:
        monkeypatch.setenv("SFAL_NEURONPEDIA_URL", bucket.url)
        settings = DownloadSettings(**preferences, patience=QUICK.patience)
        summary = choose_explanations(source(tmp_path), settings)
    return {explainer: n for _, explainer, n in summary.kinds}


def test_all_folders_are_read_and_preferences_choose_among_them(tmp_path, monkeypatch):
    assert kinds(tmp_path, BOTH, monkeypatch) == {"gpt-4o-mini": 9}
    assert len(cached_export(source(tmp_path).path).batches) == 3
    wanted = ("gemini-2.5-flash-lite", "gpt-4o-mini")
    found = kinds(tmp_path / "b", BOTH, monkeypatch, explainers=wanted)
    assert found == {"gemini-2.5-flash-lite": 4, "gpt-4o-mini": 5}
    # The choice can be made again without a network.
    table = explanations_of(source(tmp_path), Preferences(("gemini-2.5-flash-lite",)))
    assert table.column("explainer").to_pylist() == ["gemini-2.5-flash-lite"] * 4


def test_a_source_with_a_further_folder_only_is_explained(tmp_path, monkeypatch):
    only = {key: body for key, body in BOTH.items() if "gpt-4o" in key}
    assert kinds(tmp_path, only, monkeypatch) == {"gpt-4o-mini": 9}


@pytest.mark.parametrize("folder", ["-gpt-4.1-nano", "_old", "-a-b_c.d"])
def test_records_without_an_explainer_have_that_of_the_folder(tmp_path, monkeypatch, folder):
    records = [exports.record(i, explanationModelName=None) for i in range(3)]
    objects = {f"{FOLDER}{folder}/batch-0.jsonl.gz": exports.batch(records)}
    assert kinds(tmp_path, objects, monkeypatch) == {folder.lstrip("-"): 3}


def test_equal_batches_of_two_folders_are_both_kept(tmp_path, monkeypatch):
    body = exports.batch([exports.record(0, explanationModelName=None)])
    objects = {f"{FOLDER}{s}/batch-0.jsonl.gz": body for s in ("", "-a", "-b")}
    kinds(tmp_path, objects, monkeypatch)
    assert len({path.name for path in cached_export(source(tmp_path).path).batches}) == 3
