"""Labels that stand on the wrong features, all of them, are told from bad ones."""

import numpy as np
import pytest
from click.testing import CliRunner

from scoring.labelled_case import NAME, write_labelled
from sfal.cli.main import sfal
from sfal.report.source_data import open_source
from sfal.scoring.audit import audit_source
from sfal.scoring.driver import score_selection
from sfal.scoring.misplaced import at_chance, chance_note
from sfal.scoring.selection import Selection, select_sources

SAID = "as a whole, the labels by gpt-4o-mini, embedded by Qwen/Qwen3-Embedding-0.6B, fit no better"


def told(notes):
    return [note for note in notes if "than chance" in note.message]


def run(data_dir, *words):
    return CliRunner().invoke(sfal, [*words, "--data-dir", str(data_dir)])


def test_labels_on_other_features_are_told_wherever_notes_are(tmp_path):
    write_labelled(tmp_path, order=np.random.default_rng(1).permutation(80))
    (scored,) = told(score_selection(tmp_path, Selection()).notes)
    assert scored.message.startswith(f"{NAME}: {SAID} than chance (the median label rank is ")
    assert "shifted by one" in scored.hint
    (source,) = select_sources(tmp_path, Selection()).sources
    (audited,) = told(audit_source(source).notes)
    assert audited.message.startswith(scored.message)
    assert audited.message.endswith("so do not rely on this list")
    assert told(open_source(source).notes) == [scored]
    assert SAID in run(tmp_path, "audit", NAME).output


def test_right_labels_are_not(tmp_path):
    write_labelled(tmp_path)
    assert not told(score_selection(tmp_path, Selection()).notes)
    (source,) = select_sources(tmp_path, Selection()).sources
    assert not told(audit_source(source).notes)
    assert not told(open_source(source).notes)


@pytest.mark.parametrize("n", [20, 100, 1000])
def test_ranks_of_chance_are_nearly_always_told(n):
    rng = np.random.default_rng(0)
    told = [at_chance(np.ceil(rng.random(n) * n) / n) for _ in range(500)]
    assert np.mean(told) > 0.99


def test_a_tilt_beyond_chance_is_enough():
    ranks = np.arange(1, 1001) / 1000
    assert at_chance(ranks)
    assert not at_chance(ranks**1.3)
    many = np.arange(1, 10**6 + 1) / 10**6
    assert at_chance(many**1.1)
    assert not at_chance(many**1.3)
    assert at_chance(np.append(ranks, [np.nan] * 9000))


def test_few_labels_are_not_judged():
    assert not at_chance(np.ones(19))
    assert chance_note("lm/0-a-res", "words", "me", np.ones(19)) is None
    assert at_chance(np.ones(20))
