import json
from dataclasses import replace
from pathlib import Path

import pytest

from sfal.errors import ArtifactError, CorruptError, MissingError, SettingsMismatchError
from sfal.store.differences import require_same
from sfal.store.manifest import Counts, Manifest, Part
from sfal.store.records import HistogramRecord, SaeRecord, SourceRecord


def part(first, stop, **counts):
    return Part(f"part-{first:06d}.parquet", "0" * 64, first, stop, Counts(**counts), "x")


def manifest(*parts, n_docs=30, **other):
    return Manifest(
        source=SourceRecord("m/s"),
        n_features=8,
        settings={"window_size": 4, "corpus": {"name": "c", "split": None}},
        n_docs=n_docs,
        parts=parts,
        **other,
    )


SOURCE = SourceRecord(
    name="gpt2/3-sae",
    model="openai-community/gpt2",
    site="res",
    layer=3,
    neuronpedia_id="gpt2/3-sae",
    prepend_bos=True,
    sae=SaeRecord("saelens", "org/repo", "layer_3", "release", "id"),
)
# As every version has written it: keys in this order, absent values as null.
WRITTEN = """{
 "format": 1,
 "source": {
  "name": "gpt2/3-sae",
  "model": "openai-community/gpt2",
  "site": "res",
  "layer": 3,
  "hook_module": null,
  "neuronpedia_id": "gpt2/3-sae",
  "prepend_bos": true,
  "sae": {
   "kind": "saelens",
   "repo_id": "org/repo",
   "path": "layer_3",
   "release": "release",
   "sae_id": "id"
  }
 },
 "n_features": 8,
 "settings": {
  "window_size": 4
 },
 "n_docs": 2,
 "start": 0,
 "stop": null,
 "parts": [],
 "corpus_ended_at": null,
 "fingerprints": {},
 "sae": {},
 "histogram": {
  "file": "x_cooccurrences.npz",
  "n_windows": 7,
  "bytes": 99,
  "sha256": "ab"
 },
 "counts": {
  "documents": 0,
  "empty": 0,
  "too_short": 0,
  "tokens": 0,
  "tokens_in_windows": 0,
  "windows": 0,
  "occurrences": 0
 },
 "token_coverage": 0.0,
 "position": 0,
 "complete": false,
 "volatile": {}
}
"""


def test_the_bytes_of_a_manifest_have_not_changed_since_format_1(tmp_path):
    histogram = HistogramRecord("x_cooccurrences.npz", 7, 99, "ab")
    made = Manifest(SOURCE, 8, {"window_size": 4}, 2, histogram=histogram)
    made.save(tmp_path)
    path = tmp_path / "manifest.json"
    assert path.read_text() == WRITTEN
    assert Manifest.load(tmp_path) == made
    Manifest.load(tmp_path).save(tmp_path)
    assert path.read_text() == WRITTEN


def test_a_missing_manifest_is_told_from_a_damaged_one(tmp_path):
    with pytest.raises(MissingError, match=r"manifest\.json does not exist"):
        Manifest.load(tmp_path)
    manifest().save(tmp_path)
    change(tmp_path, n_features=0)
    with pytest.raises(CorruptError, match="n_features has the wrong type"):
        Manifest.load(tmp_path)


def test_the_histogram_is_in_the_folder_of_the_run_unless_it_was_written_elsewhere(tmp_path):
    record = HistogramRecord("x.npz", 7, 99, "ab")
    assert manifest().histogram_file(tmp_path) is None
    assert manifest(histogram=record).histogram_file(tmp_path) == tmp_path / "x.npz"
    elsewhere = manifest(histogram=record, volatile={"histogram_folder": "/data"})
    assert elsewhere.histogram_file(tmp_path) == Path("/data/x.npz")


@pytest.mark.parametrize(
    ("name", "checkpoint"),
    [
        ("part-000003.parquet", False),
        ("part-000003-to-512.parquet", True),
        ("other.parquet", False),
    ],
)
def test_a_part_is_a_checkpoint_by_its_name(name, checkpoint):
    assert replace(part(0, 10), file=name).is_checkpoint is checkpoint


def test_a_manifest_comes_back_as_it_was_written(tmp_path):
    made = manifest(
        part(0, 10, documents=10, windows=3, tokens=20, tokens_in_windows=12),
        part(10, 20, documents=10, windows=4, tokens=20, tokens_in_windows=16),
        fingerprints={"model": {"config.json": "ab"}},
        volatile={"started": "now"},
    )
    made.save(tmp_path)
    assert Manifest.load(tmp_path) == made


def test_totals_are_sums_over_the_parts(tmp_path):
    made = manifest(
        part(0, 10, documents=10, windows=3, tokens=20, tokens_in_windows=12),
        part(10, 30, documents=20, empty=1, windows=4, tokens=20, tokens_in_windows=16),
    )
    made.save(tmp_path)
    value = json.loads((tmp_path / "manifest.json").read_text())
    assert value["counts"]["documents"] == 30
    assert value["counts"]["empty"] == 1
    assert value["counts"]["windows"] == made.n_windows == 7
    assert value["token_coverage"] == 28 / 40
    assert value["complete"] is True
    assert value["position"] == 30


def test_gaps_are_what_no_part_covers():
    assert manifest().gaps == [(0, 30)]
    assert manifest(part(0, 10), part(20, 30)).gaps == [(10, 20)]
    assert manifest(part(8, 10)).gaps == [(0, 8), (10, 30)]
    assert manifest(part(0, 10), corpus_ended_at=10).complete
    assert manifest(part(10, 20), start=10, stop=20).complete


def change(tmp_path, **values):
    path = tmp_path / "manifest.json"
    value = json.loads(path.read_text())
    value.update(values)
    path.write_text(json.dumps(value))


@pytest.mark.parametrize(
    "values",
    [
        {"format": 2},
        {"parts": [{"file": "x"}]},
        {"parts": None},
        {"parts": [{**vars(part(0, 10)), "counts": {}, "file": "../../etc/x.parquet"}]},
        {"parts": [{**vars(part(0, 10)), "counts": {}}, {**vars(part(5, 15)), "counts": {}}]},
        {"parts": [{**vars(part(5, 5)), "counts": {}}]},
        {"parts": [{**vars(part(0, 10)), "counts": {"windows": -1}}]},
        {"parts": [{**vars(part(0, 10)), "counts": {"windows": "1"}}]},
        {"parts": [{**vars(part(0, 10)), "counts": {}, "sha256": None}]},
        {"parts": [{**vars(part(0, 10)), "counts": {}, "file": "a\0.parquet"}]},
        {"n_features": 0},
        {"n_features": 1 << 40},
        {"n_docs": 1.5},
        {"start": True},
        {"stop": "9"},
        {"settings": None},
        {"volatile": {"histogram_folder": 3}},
        {"histogram": []},
        {"histogram": {"file": "x.npz"}},
        {"histogram": {"file": "../../x.npz", "sha256": "", "n_windows": 1, "bytes": 1}},
        {"histogram": {"file": "x.npz", "sha256": None, "n_windows": 1, "bytes": 1}},
        {"source": []},
        {"source": {"layer": "3"}},
        {"source": {"layer": True}},
        {"source": {"sae": None}},
        {"source": {"unknown": 1}},
    ],
)
def test_what_is_not_a_manifest_is_refused_by_name(tmp_path, values):
    manifest(part(0, 10)).save(tmp_path)
    change(tmp_path, **values)
    with pytest.raises(ArtifactError, match=r"manifest\.json"):
        Manifest.load(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "\0"])
def test_what_is_not_a_json_object_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"manifest\.json"):
        Manifest.load(tmp_path)


def test_every_difference_between_settings_is_named(tmp_path):
    old = {"window_size": 4, "corpus": {"name": "a", "split": "train"}, "top_k": None}
    new = {"window_size": 8, "corpus": {"name": "b", "split": "train"}, "top_k": 50}
    with pytest.raises(SettingsMismatchError) as e:
        require_same(tmp_path, "settings", old, new, "name a new run with $run")
    message = str(e.value)
    assert "window_size was 4, now 8" in message
    assert "corpus.name was a, now b" in message
    assert "top_k was not set, now 50" in message
    assert "split" not in message
    assert message.endswith("; name a new run with run")


def test_equal_settings_pass_also_after_json(tmp_path):
    values = {"a": (1, 2), "b": {"c": None}}
    require_same(tmp_path, "settings", json.loads(json.dumps(values)), values, "")


def test_notes_are_kept_each_once_and_a_run_without_notes_has_none(tmp_path):
    plain = manifest(part(0, 10))
    assert plain.with_notes([]) == plain
    noted = plain.with_notes(["a", "b", "a"]).with_notes(["b", "c"])
    noted.save(tmp_path)
    assert Manifest.load(tmp_path).notes == ("a", "b", "c")
    plain.save(tmp_path)
    assert Manifest.load(tmp_path).notes == ()
    assert "notes" not in (tmp_path / "manifest.json").read_text()


@pytest.mark.parametrize("notes", ["a", {"a": 1}, [1], [None]])
def test_notes_that_are_not_texts_are_damage(tmp_path, notes):
    manifest(part(0, 10), volatile={"notes": notes}).save(tmp_path)
    with pytest.raises(CorruptError, match="notes has the wrong type"):
        Manifest.load(tmp_path)
