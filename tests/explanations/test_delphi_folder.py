"""Folders of explanations: delphi's, a JSON string per latent, and folders of label files."""

import json
from collections import Counter

import pytest

from servers import exports
from sfal.errors import InvalidInputError
from sfal.explanations.user_files.reader import LabelPlace, file_origin, read_explanations_file


def delphi(folder, hookpoints=("layers.1",), n=3, content=None):
    (folder / "explanations").mkdir(parents=True)
    for hookpoint in hookpoints:
        for i in range(n):
            text = json.dumps(f"{hookpoint} {i}" if content is None else content)
            (folder / "explanations" / f"{hookpoint}_latent{i}.txt").write_text(text)
    return folder


def read(path, **place):
    left_out = Counter()
    records = list(read_explanations_file(path, left_out, LabelPlace(**place)))
    return {r.feature: r.text for r in records}, {r.explainer for r in records}, left_out


def test_delphis_folder_is_read_from_within_and_from_above(tmp_path):
    folder = delphi(tmp_path / "run", n=12)
    expected = {i: f"layers.1 {i}" for i in range(12)}
    for path in (folder, folder / "explanations"):
        assert read(path, layer=1) == (expected, {"delphi"}, Counter())
    (folder / "run_config.json").write_text(json.dumps({"explainer_model": "org/llama-70b"}))
    assert read(folder, layer=1)[1] == {"org/llama-70b"}
    assert read(folder / "explanations")[1] == {"org/llama-70b"}


def test_the_older_spelling_of_delphis_files_is_read(tmp_path):
    (tmp_path / ".model.layers.5_feature12.txt").write_text('"twelve"')
    assert read(tmp_path, layer=5)[0] == {12: "twelve"}


def test_layer_and_site_choose_among_hookpoints(tmp_path):
    folder = delphi(tmp_path, ("layers.1", "layers.1.mlp", "layers.2", "layers.12"), n=1)
    assert read(folder, layer=2)[0] == {0: "layers.2 0"}
    assert read(folder, layer=1, site="res")[0] == {0: "layers.1 0"}
    assert read(folder, layer=1, site="mlp")[0] == {0: "layers.1.mlp 0"}
    for place in ({"layer": 3}, {"layer": 1}, {}):
        with pytest.raises(InvalidInputError, match=r"explains layers\.1, layers\.1\.mlp"):
            read(folder, **place)


def test_scores_are_recognised_and_refused(tmp_path):
    folder = tmp_path / "scores" / "detection"
    folder.mkdir(parents=True)
    (folder / "layers.1_latent0.txt").write_text(json.dumps([{"ground_truth": True}]))
    with pytest.raises(InvalidInputError, match=r"delphi's scores, .* the folder explanations"):
        read(folder, layer=1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'"cut short', "invalid JSON"),
        (b"\xff\xfe", "invalid UTF-8"),
        (b"[" * 99_999, "invalid JSON"),
        (b"3", "explanation is not text"),
        (b'""', "empty explanation"),
        (b'"' + bytes(2 << 20), "file too long"),
    ],
)
def test_unusable_files_are_counted(tmp_path, content, reason):
    folder = delphi(tmp_path)
    (folder / "explanations" / "layers.1_latent2.txt").write_bytes(content)
    found, _, left_out = read(folder, layer=1)
    assert sorted(found) == [0, 1]
    assert left_out == {reason: 1}


def test_a_folder_of_label_files_is_read_in_numeric_order(tmp_path):
    for n in range(12):
        content = exports.batch([exports.record(0, f"text {n}"), exports.record(n + 1)])
        (tmp_path / f"batch-{n}.jsonl.gz").write_bytes(content)
    (tmp_path / "_SUCCESS").write_text("")
    (tmp_path / "README.md").write_text("")
    records = list(read_explanations_file(tmp_path, Counter()))
    assert [r.text for r in records if r.feature == 0] == [f"text {n}" for n in range(12)]
    assert {r.feature for r in records} == set(range(13))


def test_a_folder_without_labels_is_refused(tmp_path):
    (tmp_path / "x.txt").write_text("1 a")
    with pytest.raises(InvalidInputError, match="holds no file with explanations"):
        read(tmp_path)


def test_the_origin_of_a_folder_changes_with_its_content(tmp_path):
    folder = delphi(tmp_path / "run")
    first = file_origin(folder)
    assert file_origin(folder / "explanations")["sha256"] == first["sha256"]
    (folder / "explanations" / "layers.1_latent0.txt").write_text('"else"')
    assert file_origin(folder)["sha256"] != first["sha256"]
    assert first["file"] == "run"


@pytest.mark.parametrize("name", ["layers.1_latent{}", "feature_{}", "latent{}", "{}"])
def test_texts_that_are_not_json_are_read_as_they_are(tmp_path, name):
    for i in range(12):
        (tmp_path / f"{name.format(i)}.txt").write_text(f"words of {i}, naïve\n", "utf-8-sig")
    assert read(tmp_path, layer=1)[0] == {i: f"words of {i}, naïve" for i in range(12)}


def test_other_texts_in_a_folder_are_no_explanations(tmp_path):
    (tmp_path / "README.txt").write_text("about")
    (tmp_path / "layer_12.txt").write_text("about")
    with pytest.raises(InvalidInputError, match="holds no file with explanations"):
        read(tmp_path)
