"""Labels that stand on the wrong features are found, with better ones; faulty texts are named."""

import csv
import shutil
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from scoring.labelled_case import EMPTY, EXCHANGED, LEAKED, NAME, TWINS, topical, write_labelled
from sfal.cli.main import sfal
from sfal.errors import MissingError
from sfal.report.audit import audit_text
from sfal.scoring.audit import audit_source
from sfal.scoring.driver import score_selection
from sfal.scoring.selection import Selection, select_sources

WRONG = sorted(feature for pair in EXCHANGED for feature in pair)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    write_labelled(folder)
    score_selection(folder, Selection())
    return folder


def audit(data_dir, **settings):
    (source,) = select_sources(data_dir, Selection()).sources
    return audit_source(source, **settings)


def run(data_dir, *words):
    return CliRunner().invoke(sfal, [*map(str, words), "--data-dir", str(data_dir)])


def test_exchanged_labels_are_the_worst_and_labels_of_their_topic_fit_better(data_dir):
    found = audit(data_dir)
    _, topic, _ = topical()
    suspects = {one.feature: one for one in found.suspects}
    assert sorted(one.feature for one in found.suspects[:4]) == WRONG
    p = [one.p_label for one in found.suspects]
    assert p == sorted(p, reverse=True)
    for feature in WRONG:
        one = suspects[feature]
        assert one.label_rank / found.n_labels == pytest.approx(one.p_label)
        assert one.better[0][2].startswith(f"topic {topic[feature]}")
        assert [text.split(",")[0] for text in one.neighbours].count(f"topic {topic[feature]}") >= 2


def test_labels_that_are_not_audited_are_named(data_dir, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(data_dir, folder)
    (file,) = folder.rglob("*_embeddings.parquet")
    shutil.copy(file, file.with_name("zz_another_embeddings.parquet"))
    result = run(folder, "audit", NAME)
    assert result.exit_code == 0
    assert "it also has " in result.output
    assert "zz_another" in result.output
    assert "--explainer" in result.output
    assert "also has" not in run(folder, "audit", NAME, "--explainer", "another").output


def test_faulty_texts_are_named_with_their_problem(data_dir):
    found = audit(data_dir)
    problems = {(text.feature, text.problem) for text in found.texts}
    assert {(LEAKED, "leak"), (EMPTY, "empty")} <= problems
    assert {(feature, "duplicate") for feature in TWINS} <= problems


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_command_shows_the_worst_and_writes_all(data_dir, tmp_path, ending):
    output = tmp_path / f"audit.{ending}"
    result = run(data_dir, "audit", NAME, "--top", 2, "--output", output)
    assert result.exit_code == 0, result.output
    n = len(audit(data_dir).suspects)
    assert (
        f"Labels to check: {n} (more than 1 in 20 labels fits at least as well); the 2 worst"
        in result.stdout
    )
    assert result.stdout.count("label rank") == 2
    assert "1 label is the explainer's prompt or reasoning" in result.stdout
    if ending == "csv":
        with output.open(newline="") as file:
            rows = list(csv.DictReader(file))
    else:
        rows = pq.read_table(output).to_pylist()
    names = "feature explanation problem label_rank p_label ceiling better_feature"
    assert list(rows[0]) == [*names.split(), "better_explanation"]
    assert [row["problem"] for row in rows[:n]] == ["wrong"] * n
    assert {row["problem"] for row in rows[n:]} >= {"leak", "empty", "duplicate"}
    assert int(rows[0]["feature"]) in WRONG


def test_without_scores_the_command_that_makes_them_is_named(tmp_path):
    write_labelled(tmp_path)
    result = run(tmp_path, "audit", NAME)
    assert result.exit_code == 1
    assert "no scores yet" in str(result.exception)
    with pytest.raises(MissingError, match=r"sfal\.score\("):
        audit(tmp_path)


def test_scores_of_an_earlier_version_are_not_enough(tmp_path):
    folder = write_labelled(tmp_path)
    score_selection(tmp_path, Selection())
    path = folder / "scores.parquet"
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["label_rank"]), path)
    with pytest.raises(MissingError, match="earlier version"):
        audit(tmp_path)


def test_a_wrong_ending_is_refused_before_any_work(data_dir, tmp_path):
    result = run(data_dir, "audit", NAME, "--output", tmp_path / "audit.xls")
    assert result.exit_code == 1


def test_counts_of_one_are_singular_and_the_limit_is_stated(data_dir):
    found = audit(data_dir)
    text = "\n".join(audit_text(replace(found, n_unreliable=1), 1, 100))
    assert "at least as well); the worst\n" in text
    assert "Not judged: 1 feature whose co-occurrence" in text
    assert "(ceiling below .1)" in text
    assert "labels share their text with another feature" in text
    assert "1 labels" not in text
    whole = audit_text(found, len(found.suspects), 100)
    assert "worst" not in "".join(whole)


def test_ten_labels_are_shown_by_default(data_dir):
    n = len(audit(data_dir).suspects)
    assert run(data_dir, "audit", NAME).stdout.count("label rank") == min(n, 10)
