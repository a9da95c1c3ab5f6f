"""One feature is shown with the numbers that scoring gives it."""

import numpy as np
import pytest
from click.testing import CliRunner

from scoring.published_cases import occurrences, write_source
from sfal import _core
from sfal.cli import sfal
from sfal.cli.feature import render
from sfal.errors import InvalidInputError
from sfal.scoring.feature import view_feature
from sfal.scoring.run import score_selection
from sfal.scoring.score import ScoreSettings, score_source
from sfal.scoring.select import Selection, select_sources

NAME = "gemmascope-res-16k/0-gemmascope-res-16k"


def select(tmp_path):
    (source,) = select_sources(tmp_path, Selection()).sources
    return source


def test_a_feature_has_the_score_that_its_source_gives_it(tmp_path):
    write_source(tmp_path)
    (scores,) = score_selection(tmp_path, Selection()).scores
    for feature in range(12):
        view = view_feature(select(tmp_path), feature)
        assert (
            view.status
            == ["scored", "dead", "always_on", "unexplained"][scores.embeddings[0].status[feature]]
        )
        np.testing.assert_equal(view.ndcg, scores.embeddings[0].ndcg[feature])
        np.testing.assert_equal(view.sfal, scores.embeddings[0].sfal[feature])
        assert (view.windows, view.n_windows) == (int(scores.windows[feature]), 40)


def test_both_lists_are_in_order_and_say_the_place_in_the_other(tmp_path):
    _, fired, vectors = write_source(tmp_path)
    view = view_feature(select(tmp_path), 4, shown=5, settings=ScoreSettings(top_n=6))
    functional, phi = _core.functional_neighbours(occurrences(fired), 6, rows=np.array([4]))
    semantic, _ = _core.semantic_neighbours(vectors, 6, rows=np.array([4]))
    assert [n.feature for n in view.functional] == functional[0, :5].tolist()
    assert [n.similarity for n in view.functional] == phi[0, :5].tolist()
    assert [n.feature for n in view.semantic] == semantic[0, :5].tolist()
    places = [semantic[0].tolist().index(f) if f in semantic[0] else None for f in functional[0]]
    assert [n.other_rank for n in view.functional] == places[:5]
    assert None in places


def test_a_feature_that_does_not_exist_is_refused_with_those_that_do(tmp_path):
    write_source(tmp_path)
    with pytest.raises(InvalidInputError, match="no feature 12; it has 0 to 11"):
        view_feature(select(tmp_path), 12)


def test_the_command_shows_score_and_neighbours_side_by_side(tmp_path):
    write_source(tmp_path)
    result = CliRunner().invoke(sfal, ["feature", NAME, "4", "--data-dir", str(tmp_path)])
    assert result.exit_code == 0, result.output
    ndcg = score_source(select(tmp_path)).embeddings[0].ndcg[4]
    assert f"ndcg {ndcg:.3f}" in result.output
    assert "sense of 4" in result.output
    assert "fires with it (phi)" in result.output
    assert sum(" | " in line for line in result.output.splitlines()) == 12


def test_a_feature_without_a_score_says_why(tmp_path):
    write_source(tmp_path)
    lines = render(view_feature(select(tmp_path), 0), 100)
    assert any("none: the feature is dead" in line for line in lines)


@pytest.mark.parametrize("width", [20, 80, 200])
def test_no_line_of_the_lists_is_wider_than_the_terminal(tmp_path, width):
    write_source(tmp_path)
    lines = [line for line in render(view_feature(select(tmp_path), 4), width) if " | " in line]
    assert max(map(len, lines)) <= max(width, 71)
