"""What the texts of explanations mean for scores: leaks, and explainers that differ."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from scoring.builders import TYPE, write_our_source
from sfal.scoring.driver import score_selection
from sfal.scoring.selection import Selection
from sfal.scoring.settings import ScoreSettings
from sfal.scoring.status import STATUSES
from sfal.scoring.summary import differing_explainers
from sfal.store.embeddings import find_vectors, read_vectors, write_vectors
from sfal.store.explanations import (
    embeddings_stem,
    explanations_sha256,
    labels_by_feature,
    make_table,
    read_explanations,
    write_explanations,
)

LEAK = "The user wants a concise explanation of the neuron"


def relabel(folder, changes):
    table = read_explanations(folder)
    features = table.column("feature").to_numpy().astype(np.uint32)
    rows = [
        (changes.get(int(f), text), TYPE, "gpt-4o-mini")
        for f, text in zip(features, table.column("explanation").to_pylist(), strict=True)
    ]
    write_explanations(folder, make_table(features, rows), {})


def status(outcome):
    (scores,) = outcome.scores
    return [STATUSES[i] for i in scores.embeddings[0].status]


def test_a_leaked_label_leaves_its_feature_unexplained_unless_it_is_kept(tmp_path):
    folder, _, _ = write_our_source(tmp_path)
    before = status(score_selection(tmp_path, Selection()))
    leaked = before.index("scored")
    relabel(folder, {leaked: LEAK})
    dropped = score_selection(tmp_path, Selection())
    assert [i for i, (a, b) in enumerate(zip(before, status(dropped), strict=True)) if a != b] == [
        leaked
    ]
    assert status(dropped)[leaked] == "unexplained"
    notes = [str(note) for note in dropped.notes if "reasoning" in str(note)]
    assert len(notes) == 1
    assert "1 labels are the explainer's reasoning or prompt" in notes[0]
    kept = score_selection(tmp_path, Selection(), ScoreSettings(leaks="keep"))
    assert status(kept) == before
    assert not any("reasoning" in str(note) for note in kept.notes)


def test_each_explainer_keeps_its_own_labels_when_a_second_one_comes(tmp_path):
    folder, _, _ = write_our_source(tmp_path)
    ((_, path),) = find_vectors(folder).items()
    found = read_vectors(path)
    table = read_explanations(folder)
    first = labels_by_feature(table)
    about = {**found.metadata, "explanations_sha256": explanations_sha256(table)}
    write_vectors(path, found.features, found.vectors, about, first)
    others = [("the user wants a label", TYPE, "somebody") for _ in first]
    theirs = make_table(np.array(sorted(first), dtype=np.uint32), others)
    write_explanations(folder, theirs, {})
    other = path.with_name(f"{embeddings_stem(theirs)}_embeddings.parquet")
    about = {**about, "explainer": "somebody", "explanations_sha256": explanations_sha256(theirs)}
    write_vectors(other, found.features, found.vectors, about, labels_by_feature(theirs))
    outcome = score_selection(tmp_path, Selection(), ScoreSettings(leaks="keep"))
    (source,) = outcome.scores
    assert [e.explainer for e in source.embeddings] == ["gpt-4o-mini", "somebody"]
    # Both have the same vectors here; leaks are those of each one's own labels.
    dropped = score_selection(tmp_path, Selection(explainers=("gpt-4o-mini",)))
    assert status(dropped) == status(
        score_selection(
            tmp_path, Selection(explainers=("gpt-4o-mini",)), ScoreSettings(leaks="keep")
        )
    )
    assert not any("other explanations" in str(n) for n in (*outcome.notes, *dropped.notes))
    assert dropped.scores[0].explanations == first


def test_vectors_that_hold_no_labels_do_not_get_those_of_another_explainer(tmp_path):
    folder, _, _ = write_our_source(tmp_path)
    before = status(score_selection(tmp_path, Selection()))
    features = np.arange(12, dtype=np.uint32)
    write_explanations(folder, make_table(features, [(LEAK, TYPE, "somebody")] * 12), {})
    outcome = score_selection(tmp_path, Selection())
    assert outcome.scores[0].explanations == {}
    assert status(outcome) == before  # leaks of the other explainer leave out nothing
    (note,) = [str(note) for note in outcome.notes if "texts of the explanations" in str(note)]
    assert "of another explainer or type; get the former explanations again" in note


def one(source, model, *explainers):
    return SimpleNamespace(
        source=SimpleNamespace(name=source, model=model),
        embeddings=[SimpleNamespace(explainer=e) for e in explainers],
    )


@pytest.mark.parametrize(
    "scores",
    [
        [],
        [one("m/0-s", "m", "gpt-4o-mini")],
        [one(f"m/{i}-s", "m", "gpt-4o-mini", "gpt-4o-mini") for i in range(3)],
        [one(f"m/{i}-s", "m", "a", "b") for i in range(3)],
        [one("m/0-s", "m", "a"), one("n/0-s", "n", "b")],
    ],
)
def test_equal_explainers_are_not_worth_a_note(scores):
    assert differing_explainers(scores) is None


def test_layers_explained_by_different_models_get_a_note():
    scores = [one(f"m/{i}-s", "m", "gpt-4o-mini") for i in range(6)]
    note = differing_explainers([*scores, one("m/6-s", "m", "gemini-2.5-flash-lite")])
    assert "their scores do not compare" in note.message
    assert "gpt-4o-mini explained m/0-s, m/1-s, m/2-s, m/3-s and 2 more" in note.message
    assert "gemini-2.5-flash-lite explained m/6-s" in note.message


def test_the_note_is_among_those_of_a_scoring_run(tmp_path):
    write_our_source(tmp_path)
    folder, _, _ = write_our_source(tmp_path, name="gemma-2-2b/7-other")
    for path in find_vectors(folder).values():
        found = read_vectors(path)
        other = {**found.metadata, "explainer": "gemini-2.5-flash-lite"}
        write_vectors(path, found.features, found.vectors, json.loads(json.dumps(other)))
    outcome = score_selection(tmp_path, Selection())
    assert any("explained by different models" in str(note) for note in outcome.notes)
