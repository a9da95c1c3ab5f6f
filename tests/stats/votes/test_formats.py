"""Votes from files: tables, verdicts, delphi's folders, Neuronpedia's records."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sfal.errors import CorruptError, InvalidInputError, MissingError, SfalError
from sfal.stats.votes.delphi import latent_score
from sfal.stats.votes.read import read_votes


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_file(tmp_path):
    path = write(
        tmp_path / "votes.csv",
        "\ufefffeature, score,rater,gpt,note\n3,0.5,x,1,\n\n4,,x,2,y\n3,1,y,,\n",
    )
    votes = read_votes([path])
    assert votes.features.tolist() == [3, 3]
    assert votes.scores.tolist() == [0.5, 1.0]
    assert votes.raters == ("x", "y")
    assert list(votes.columns) == ["gpt"]
    assert str(votes.notes[0]).endswith("1 of 3 rows hold no vote and are left out")


def test_a_parquet_file_with_the_published_name_of_features(tmp_path):
    pq.write_table(pa.table({"index": [2, 9], "score": [4, 5]}), tmp_path / "votes.parquet")
    votes = read_votes([tmp_path / "votes.parquet"])
    assert (votes.features.tolist(), votes.scores.tolist()) == ([2, 9], [4.0, 5.0])


VERDICTS = """source,feature,verdict,better_feature,better_label
m/1-a,5,right,,
m/1-a,6,wrong,7,"'=cmd, ""x"" y"
m/1-a,8,unsure,,
m/2-b,5,wrong,,
"""


def test_verdicts_exported_by_the_report(tmp_path):
    votes = read_votes([write(tmp_path / "v.csv", VERDICTS)], source="m/1-a")
    assert votes.features.tolist() == [5, 6]
    assert votes.scores.tolist() == [1.0, 0.0]
    assert [str(note).split(": ")[1] for note in votes.notes] == [
        "1 votes on other sources are left out",
        "1 of 3 rows hold no vote and are left out",
    ]


def test_files_of_several_raters(tmp_path):
    paths = [write(tmp_path / f"{name}.csv", VERDICTS) for name in "xy"]
    votes = read_votes(paths, source="m/1-a")
    assert votes.raters == ("x.csv", "x.csv", "y.csv", "y.csv")
    assert votes.n_raters == 2


def examples(told, activating=None):
    """Delphi's list of examples: what the scorer told of each, None where it failed."""
    return json.dumps(
        [
            {
                "str_tokens": ["a"],
                "activations": [0.0],
                "distance": 1,
                "activating": act,
                "prediction": None if p is None else int(p),
                "probability": None,
                "correct": None if p is None else p == act,
            }
            for act, p in zip(activating or [True] * len(told), told, strict=True)
        ]
    )


def delphi(folder):
    for kind in ("detection", "fuzz"):
        write(
            folder / "scores" / kind / "layers.5_latent3.txt",
            examples([True, True, True, False, None], [True, True, True, True, False])
            if kind == "fuzz"
            else examples([True, False, False], [True, True, False]),
        )
        write(folder / "scores" / kind / "layers.5_latent12.txt", examples([None, None]))
    write(folder / "scores" / "fuzz" / "layers.6_latent3.txt", examples([True]))
    write(folder / "scores" / "fuzz" / "README.md", "hello")
    return folder / "scores"


def test_delphis_folders(tmp_path):
    folder = delphi(tmp_path)
    votes = read_votes([folder], score_type="detection")
    assert votes.features.tolist() == [3]
    assert votes.scores.tolist() == [0.75]  # half of the activating ones, all of the others
    assert votes.raters == ("detection",)
    assert str(votes.notes[0]).endswith("1 of 2 latents have no usable score")
    votes = read_votes([folder / "fuzz"], hookpoint="layers.5")
    assert votes.scores.tolist() == [0.75]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "holds scores detection, fuzz; choose one with score_type"),
        ({"score_type": "recall"}, "holds scores detection, fuzz, not recall"),
        ({"score_type": "fuzz"}, "holds scores at layers.5, layers.6; choose one with hookpoint"),
        ({"score_type": "fuzz", "hookpoint": "x"}, "holds scores at layers.5, layers.6, not x"),
    ],
)
def test_a_choice_among_delphis_scores_is_asked_for(tmp_path, options, said):
    with pytest.raises(InvalidInputError, match=said):
        read_votes([delphi(tmp_path)], **options)


@pytest.mark.parametrize(
    ("content", "score"),
    [
        ([{"ev_correlation_score": 0.5}, {"ev_correlation_score": None}], 0.5),
        ([{"final_score": 2.5, "correct": None}] * 3, 2.5),
        ([{"correct": True}, {"correct": False}], 0.5),  # intruder: no example is activating
        ([{"activating": True, "prediction": 0.9}, {"activating": False, "prediction": 1}], 0.5),
        ([{"activating": True, "prediction": "yes"}], None),
        ([], None),
    ],
)
def test_scores_of_all_of_delphis_scorers(tmp_path, content, score):
    assert latent_score(content, tmp_path) == score


def record(index, scores, explainer="gpt-4o-mini"):
    scores = [
        {"value": v, "explanationScoreTypeName": kind, "explanationScoreModelName": model}
        for kind, model, v in scores
    ]
    explanation = {"description": "x", "explanationModelName": explainer, "scores": scores}
    return {"modelId": "m", "layer": "1-a", "index": str(index), "explanations": [explanation]}


RECORDS = [
    record(0, [("eleuther_fuzz", "haiku", 0.5), ("eleuther_fuzz", "gpt", 0.7)]),
    record(7, [("eleuther_fuzz", "haiku", 0.9), ("eleuther_recall", "haiku", 0.1)]),
    record(8, [("eleuther_fuzz", "haiku", None)]),
    record(9, [("eleuther_fuzz", "haiku", 0.2)], explainer="other"),
    {"index": "10", "explanations": []},
]


@pytest.mark.parametrize("ending", [".json", ".jsonl", ".jsonl.gz", "folder"])
def test_neuronpedias_records(tmp_path, ending):
    lines = "\n".join(map(json.dumps, RECORDS))
    path = tmp_path / f"scores{ending}"
    if ending == ".json":
        path.write_text(json.dumps(RECORDS))
    elif ending == ".jsonl":
        path.write_text(lines)
    elif ending == "folder":
        path.mkdir()
        (path / "batch-0.jsonl").write_text(lines)
    else:
        path.write_bytes(gzip.compress(lines.encode()))
    votes = read_votes([path], score_type="eleuther_fuzz", explainer="gpt-4o-mini")
    assert votes.features.tolist() == [0, 0, 7]
    assert votes.raters == ("gpt", "haiku", "haiku")
    assert votes.scores.tolist() == [0.7, 0.5, 0.9]
    assert str(votes.notes[0]).endswith("1 scores left out: no number")


def test_a_single_record_and_a_choice_among_types(tmp_path):
    path = write(tmp_path / "one.json", json.dumps(RECORDS[0]))
    assert read_votes([path]).features.tolist() == [0, 0]
    path = write(tmp_path / "two.json", json.dumps(RECORDS))
    with pytest.raises(
        InvalidInputError, match=r"eleuther_fuzz \(4\), eleuther_recall \(1\); choose"
    ):
        read_votes([path])
    with pytest.raises(InvalidInputError, match="5 records hold no score of explanations by z"):
        read_votes([path], explainer="z")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"feature,score\n1\n", "line 2: 1 fields"),
        ("a.csv", b"feature,score\nx,1\n", "feature of row 1 is 'x', not a feature's index"),
        ("a.csv", b"feature,score\n1,good\n", "score of row 1 is 'good', not a number"),
        ("a.csv", b"feature,score\n1,inf\n", "infinite"),
        ("a.csv", b"feature,score,score\n1,1,1\n", "two columns of the same name"),
        ("a.csv", b"score\n1\n", "has no column feature"),
        ("a.csv", b"feature,score\n\xff,1\n", "cannot be read"),
        ("a.parquet", b"PAR1junk", "cannot be read"),
        ("a.json", b"{", "is not valid JSON"),
        ("a.json", b"[" * 100_000, "is not valid JSON"),
        ("a.json", b"[1]", "not a JSON object per feature"),
        ("a.jsonl", b'{"index": 1}\n{', "line 2 is not valid JSON"),
        ("a.jsonl.gz", b"junk", "cannot be read"),
        ("a.txt", b"x", "in a known format"),
        ("d/x_latent1.txt", b"{}", "not a JSON list of objects"),
        ("d/x_latent1.txt", b"nonsense", "is not valid JSON"),
    ],
)
def test_hostile_files_are_refused_in_one_line(tmp_path, name, content, said):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(SfalError, match=said) as e:
        read_votes([path.parent if name.startswith("d/") else path])
    assert "\n" not in str(e.value)
    assert isinstance(e.value, InvalidInputError | CorruptError)


def test_a_path_that_does_not_exist(tmp_path):
    with pytest.raises(MissingError, match="does not exist"):
        read_votes([tmp_path / "nothing.csv"])
