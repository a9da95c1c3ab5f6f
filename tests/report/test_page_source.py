"""What a page shows of a source: lists made as its scores were, how sure they are, what is odd."""

import hashlib
import json
from dataclasses import asdict

import pyarrow.parquet as pq
import pytest

from report.pages import Decoded
from scoring.builders import write_our_source
from scoring.labelled_case import write_labelled
from sfal.report.write import write_report
from sfal.scoring.driver import score_selection
from sfal.scoring.feature import view_feature
from sfal.scoring.selection import Selection, select_sources
from sfal.scoring.settings import ScoreSettings
from sfal.stats.reliability import source_reliability
from sfal.stats.source_controls import PlantedResult
from sfal.store.layout import CONTROLS, EXAMPLES, SCORES
from sfal.store.manifest import Manifest


@pytest.fixture
def scored(tmp_path):
    folder, _, _ = write_our_source(tmp_path, n_features=60)
    score_selection(tmp_path, Selection())
    return folder


def facts_of(data_dir):
    path = data_dir / "report.html"
    written = write_report(data_dir, Selection(), path)
    decoded = Decoded(path.read_text())
    (facts,) = decoded.index["sources"]
    return decoded, facts, written


@pytest.mark.parametrize(
    "settings",
    [
        ScoreSettings(measure="jaccard", top_n=40),
        ScoreSettings(candidates="all", ties="index"),
        ScoreSettings(measure="npmi", candidates="all"),
    ],
)
def test_the_lists_are_made_as_the_scores_were(tmp_path, settings):
    write_our_source(tmp_path, n_features=60)
    score_selection(tmp_path, Selection(), settings)
    decoded, facts, _ = facts_of(tmp_path)
    names = ("measure", "top_n", "candidates", "ties")
    assert facts["scoring"] == {name: getattr(settings, name) for name in names}
    (wanted,) = select_sources(tmp_path, Selection()).sources
    (one,) = facts["embeddings"]
    for feature in range(60):
        view = view_feature(wanted, feature, 50, settings)
        for kind in ("functional", "semantic"):
            n = decoded.array(one[kind]["n"])[feature]
            row = [
                decoded.array(one[kind][name], 60, 50)[feature, :n].tolist()
                for name in ("feature", "value", "place")
            ]
            assert row == [
                [each.feature for each in getattr(view, kind)],
                [each.similarity for each in getattr(view, kind)],
                [
                    0 if each.other_rank is None else each.other_rank + 1
                    for each in getattr(view, kind)
                ],
            ]


def test_damaged_examples_are_left_out_with_a_note(tmp_path, scored):
    (scored / EXAMPLES).write_bytes(b"PAR1 damaged PAR1")
    _, facts, written = facts_of(tmp_path)
    assert written.n_sources == 1
    assert not written.refused
    (note,) = [note for note in written.notes if "shown without examples" in note.message]
    assert note.message in facts["notes"]


def test_the_median_has_its_standard_error_and_its_growth(tmp_path):
    write_labelled(tmp_path)
    (scores,) = score_selection(tmp_path, Selection()).scores
    (one,) = scores.embeddings
    _, facts, _ = facts_of(tmp_path)
    found = facts["embeddings"][0]["reliability"]
    expected = source_reliability(one.sfal, one.replicates)
    assert found["se"] == expected.se
    assert tuple(found["curve"]) == expected.curve
    assert found["split_half"] == expected.split_half


def test_more_windows_than_were_scored_are_noted(tmp_path, scored):
    table = pq.read_table(scored / SCORES)
    facts = json.loads(table.schema.metadata[b"sfal"])
    facts["n_windows"] += 1
    table = table.replace_schema_metadata({b"sfal": json.dumps(facts)})
    pq.write_table(table, scored / SCORES)
    _, _, written = facts_of(tmp_path)
    assert "scores and neighbours are of different counts" in written.notes[0].message


def test_controls_beside_the_scores_say_how_often_planted_errors_are_found(tmp_path, scored):
    (wanted,) = select_sources(tmp_path, Selection()).sources
    (file,) = wanted.embeddings
    planted = asdict(PlantedResult(file.embedder, file.stem, 0.05, 0, 100, 4, 0.93, 0.5))
    digest = hashlib.sha256((scored / SCORES).read_bytes()).hexdigest()
    for kept, auc in (
        ({"scores_sha256": digest, "planted": [planted]}, 0.93),
        ({"scores_sha256": "of other scores", "planted": [planted]}, None),
        ({"scores_sha256": digest, "planted": [{**planted, "auc": "high"}]}, None),
        ({"planted": 3}, None),
    ):
        (scored / CONTROLS).write_text(json.dumps(kept))
        _, facts, _ = facts_of(tmp_path)
        assert facts["embeddings"][0]["planted_auc"] == auc


def test_leaked_labels_that_were_scored_are_noted(tmp_path):
    write_labelled(tmp_path)
    score_selection(tmp_path, Selection(), ScoreSettings(leaks="keep"))
    _, facts, written = facts_of(tmp_path)
    (note,) = [note for note in written.notes if "reasoning" in note.message]
    assert "1 labels" in note.message
    assert "scored all the same" in note.message
    assert note.message in facts["notes"]
    assert facts["embeddings"][0]["notes"] == []


def test_what_was_said_while_counting_is_on_the_page_alone(tmp_path, scored):
    Manifest.load(scored).with_notes(["its setting X does not apply"]).save(scored)
    _, facts, written = facts_of(tmp_path)
    assert facts["notes"][0] == "its setting X does not apply"
    assert facts["notes"][1:] == [note.message for note in written.notes]
    assert not any("setting X" in note.message for note in written.notes)
