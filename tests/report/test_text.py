"""The summary of scores in the terminal: what it says of scores that more text would raise."""

from dataclasses import replace

import numpy as np
import pytest

from scoring.builders import write_our_vectors
from scoring.labelled_case import NAME, write_labelled
from sfal.report.text import summary
from sfal.scoring.driver import score_selection
from sfal.scoring.selection import Selection

RISING = "more text would raise it further; compare corrected scores"


@pytest.fixture
def scored(tmp_path):
    """Return the scores of a source by two sets of embeddings."""
    folder = write_labelled(tmp_path)
    other = np.random.default_rng(1).standard_normal((80, 5)).astype(np.float32)
    write_our_vectors(folder, range(80), other, None, embedder="local/other")
    (one,) = score_selection(tmp_path, Selection()).scores
    return one


def growing(one, unknown=()):
    """Return a set of scores whose halves of the text score 0.1 less, some features not at all."""
    lower = one.sfal - 0.1
    lower[list(unknown)] = np.nan
    parts = {name: getattr(one.replicates, name) for name in ("halves", "quarters")}
    lowered = {name: np.broadcast_to(lower, part.shape) for name, part in parts.items()}
    return replace(one, replicates=replace(one.replicates, **lowered))


def rising(source, *sets):
    lines = summary([replace(source, embeddings=sets)]).splitlines()
    return [line for line in lines if RISING in line]


def test_medians_over_all_scored_features_are_those_of_the_table(scored):
    one = scored.embeddings[0]
    median = np.nanmedian(one.sfal)
    assert rising(scored, growing(one)) == [
        f"{NAME}: half of the text has a median of {median - 0.1:.3f}, all of it {median:.3f}: {RISING}"
    ]


def test_medians_over_fewer_features_say_over_which(scored):
    one = scored.embeddings[0]
    (line,) = rising(scored, growing(one, unknown=(1, 2)))
    assert "(over the 77 of 79 features that have a score in every part of the text): more" in line


def test_one_of_several_sets_of_labels_is_named(scored):
    own, other = scored.embeddings
    lines = rising(scored, growing(own), growing(other))
    assert [line.partition(": half")[0] for line in lines] == [
        f"{NAME}, labels by gpt-4o-mini, embedded by {one.embedder}" for one in (own, other)
    ]
