import json

import pytest

from sfal.errors import ArtifactError, SettingsMismatchError
from sfal.store.manifest import Counts, Manifest, Part, require_same


def part(first, stop, **counts):
    return Part(f"part-{first:06d}.parquet", "0" * 64, first, stop, Counts(**counts), "x")


def manifest(*parts, n_docs=30, **other):
    return Manifest(
        source={"name": "m/s"},
        n_features=8,
        settings={"window_size": 4, "corpus": {"name": "c", "split": None}},
        n_docs=n_docs,
        parts=parts,
        **other,
    )


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
        {"histogram": {"file": "../../x.npz", "sha256": ""}},
    ],
)
def test_a_manifest_that_is_none_is_refused_by_name(tmp_path, values):
    manifest(part(0, 10)).save(tmp_path)
    change(tmp_path, **values)
    with pytest.raises(ArtifactError, match=r"manifest\.json"):
        Manifest.load(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "\0"])
def test_what_is_no_json_object_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"manifest\.json"):
        Manifest.load(tmp_path)


def test_every_difference_between_settings_is_named(tmp_path):
    old = {"window_size": 4, "corpus": {"name": "a", "split": "train"}, "top_k": None}
    new = {"window_size": 8, "corpus": {"name": "b", "split": "train"}, "top_k": 50}
    with pytest.raises(SettingsMismatchError) as e:
        require_same(tmp_path, "settings", old, new, "name a new run with --run NAME")
    message = str(e.value)
    assert "window_size was 4, now 8" in message
    assert "corpus.name was a, now b" in message
    assert "top_k was not set, now 50" in message
    assert "split" not in message
    assert "--run NAME" in message


def test_equal_settings_pass_also_after_json(tmp_path):
    values = {"a": (1, 2), "b": {"c": None}}
    require_same(tmp_path, "settings", json.loads(json.dumps(values)), values, "")
