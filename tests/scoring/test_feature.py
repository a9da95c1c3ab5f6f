"""A feature is shown with the numbers that scoring gives it."""

import numpy as np
import pytest
from click.testing import CliRunner

from scoring.published_cases import occurrences, write_source
from sfal import _core
from sfal.cli.main import sfal
from sfal.errors import InvalidInputError
from sfal.report.feature import feature_text
from sfal.scoring.driver import score_selection
from sfal.scoring.feature import view_feature
from sfal.scoring.label_fit import NONE
from sfal.scoring.score import score_source
from sfal.scoring.selection import Selection, select_sources
from sfal.scoring.settings import ScoreSettings
from sfal.terminal.table import display_width

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
        known = scores.embeddings[0].features
        np.testing.assert_equal(view.p_chance, known.p_chance[feature])
        if view.label is None:
            assert known.label_rank[feature] == 0
            continue
        assert (view.label.rank, view.label.n_labels) == (known.label_rank[feature], 9)
        named = known.better[feature][known.better[feature] != NONE]
        assert [better.feature for better in view.label.better] == named.tolist()
        for better, score in zip(view.label.better, known.better_sfal[feature], strict=False):
            assert better.sfal == pytest.approx(score, abs=1e-5)
            assert better.explanation == f"sense of {better.feature}"


def test_both_lists_are_in_order_and_give_the_place_in_the_other(tmp_path):
    _, fired, vectors = write_source(tmp_path)
    settings = ScoreSettings(top_n=6, candidates="all")
    view = view_feature(select(tmp_path), 4, shown=5, settings=settings)
    functional, phi = _core.functional_neighbours(occurrences(fired), 6, rows=np.array([4]))
    semantic, _ = _core.semantic_neighbours(vectors, 6, rows=np.array([4]))
    live = [i for i in range(6) if functional[0, i] not in (0, 1)][:5]
    explained = semantic[0][semantic[0] != 3].tolist()
    assert [n.feature for n in view.functional] == functional[0, live].tolist()
    assert [n.similarity for n in view.functional] == phi[0, live].tolist()
    assert [n.feature for n in view.semantic] == explained[:5]
    places = {f: semantic[0].tolist().index(f) for f in explained}
    assert [n.other_rank for n in view.functional] == [
        places.get(n.feature) for n in view.functional
    ]
    assert None in [n.other_rank for n in view.functional]


def test_an_unknown_feature_is_refused_with_the_valid_range(tmp_path):
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
    # A head, and the eight other features that are scored.
    assert sum(" | " in line for line in result.output.splitlines()) == 9
    chosen = ["--measure", "jaccard", "--candidates", "all"]
    result = CliRunner().invoke(sfal, ["feature", NAME, "4", *chosen, "--data-dir", str(tmp_path)])
    assert "fires with it (jaccard)" in result.output
    # Ten features are explained; nine fire in some windows only.
    assert sum(" | " in line for line in result.output.splitlines()) == 11


def test_a_feature_without_a_score_says_why(tmp_path):
    write_source(tmp_path)
    lines = feature_text(view_feature(select(tmp_path), 0), 100)
    assert any("none: the feature is dead" in line for line in lines)


@pytest.mark.parametrize(
    ("feature", "functional", "semantic"),
    [
        (0, "Nothing: it fires in no window.", None),
        (1, "Nothing in particular: it fires in every window.", None),
        (3, None, "Unknown: it has no explanation."),
    ],
)
def test_a_sentence_replaces_a_neighbourhood_of_ties(tmp_path, feature, functional, semantic):
    write_source(tmp_path)
    view = view_feature(select(tmp_path), feature)
    lists = "\n".join(feature_text(view, 100)).split("fires with it (phi)")[1]
    with_it, like_it = lists.split("means the same (cosine)")
    for said, text in ((functional, with_it), (semantic, like_it)):
        if said is None:
            assert "0." in text
            assert "Nothing" not in text
        else:
            assert [line for line in text.splitlines() if line.strip("- ")] == [said]
    assert "*" not in lists
    assert "#" not in lists
    assert "(no explanation)" not in like_it


def test_only_features_that_are_scored_stand_in_the_lists(tmp_path):
    write_source(tmp_path)
    for feature in range(3, 12):
        view = view_feature(select(tmp_path), feature)
        scored = set(range(2, 12)) - {feature, 3}
        assert {n.feature for n in view.functional} == scored
        assert {n.feature for n in view.semantic} == (set() if feature == 3 else scored)


def test_features_without_a_neighbourhood_have_no_place_in_it(tmp_path):
    write_source(tmp_path)
    for feature in range(4, 12):
        view = view_feature(select(tmp_path), feature, settings=ScoreSettings(candidates="all"))
        assert {n.feature for n in view.functional} == set(range(2, 12)) - {feature}
        assert {n.feature for n in view.semantic} == set(range(12)) - {feature, 3}
        assert {n.feature for n in view.functional if n.other_rank is None} == {3}
        assert {n.feature for n in view.semantic if n.other_rank is None} == {0, 1}


def test_the_only_explained_feature_says_how_many_are_not_explained(tmp_path):
    write_source(tmp_path, missing=[i for i in range(12) if i != 5])
    settings = ScoreSettings(candidates="all")
    lines = feature_text(view_feature(select(tmp_path), 5, settings=settings), 100)
    assert lines[-1] == "Nothing: none of the 11 nearest features has an explanation."
    lines = feature_text(view_feature(select(tmp_path), 5), 100)
    assert lines[-1] == "Nothing: no other feature that can be compared has an explanation."


@pytest.mark.parametrize("width", [20, 80, 200])
def test_no_line_of_the_lists_is_wider_than_the_terminal(tmp_path, width):
    write_source(tmp_path)
    lines = [
        line for line in feature_text(view_feature(select(tmp_path), 4), width) if " | " in line
    ]
    assert max(map(display_width, lines)) <= max(width, 71)
