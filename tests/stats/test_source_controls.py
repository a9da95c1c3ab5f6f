"""Results of controls beside the scores."""

import json

import pytest

from sfal.errors import CorruptError, MissingError
from sfal.stats.source_controls import PlantedResult, read_planted, write_planted
from sfal.store.layout import CONTROLS, SCORES

ONE = PlantedResult("a/model", "type_explainer", 0.05, 0, 100, 4, 0.98, 0.75)
OTHER = PlantedResult("other", "type_explainer", 0.05, 0, 100, 0, None, None)


def test_results_are_kept_per_set_of_embeddings(tmp_path):
    (tmp_path / SCORES).write_bytes(b"scores")
    assert read_planted(tmp_path) == ()
    write_planted(tmp_path, [ONE])
    write_planted(tmp_path, [OTHER])
    assert read_planted(tmp_path) == (ONE, OTHER)


def test_results_of_other_scores_are_not_read(tmp_path):
    (tmp_path / SCORES).write_bytes(b"scores")
    write_planted(tmp_path, [ONE])
    (tmp_path / SCORES).write_bytes(b"other")
    assert read_planted(tmp_path) == ()
    write_planted(tmp_path, [OTHER])
    assert read_planted(tmp_path) == (OTHER,)
    (tmp_path / SCORES).unlink()
    assert read_planted(tmp_path) == ()
    with pytest.raises(MissingError):
        write_planted(tmp_path, [ONE])


@pytest.mark.parametrize(
    "change",
    [
        {"auc": "high"},
        {"auc": 7},
        {"n": 1.5},
        {"embedding": None},
        {"more": 1},
        {"share": float("nan")},
    ],
)
def test_damage_is_said(tmp_path, change):
    (tmp_path / SCORES).write_bytes(b"scores")
    write_planted(tmp_path, [ONE])
    content = json.loads((tmp_path / CONTROLS).read_text())
    content["planted"][0] |= change
    (tmp_path / CONTROLS).write_text(json.dumps(content))
    with pytest.raises(CorruptError, match="is damaged"):
        read_planted(tmp_path)
