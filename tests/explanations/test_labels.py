"""Labels made of top tokens, worked by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfal.errors import InvalidInputError
from sfal.explanations.labels import top_words


def label(*tokens, words=4):
    """Return the label for tokens with equal activations."""
    return top_words([(token, 1.0) for token in tokens], words)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["Paris", "London", "Rome"], "Paris, London, Rome"),
        (["rome", "Paris", "Rome", "Rome"], "Rome, Paris"),  # joined; the spelling most seen
        (["a", "b", "c", "d", "e", "e"], "e, a, b, c"),  # the most frequent, then the first
        (["Straße", "STRASSE"], "Straße"),  # folded, not only in lower case
        (["Paris", ",", "London", "\n"], "Paris, London"),  # as many words as signs: words
        ([",", ".", ",", "he"], "punctuation , ."),
        (["\n", "\n\n", " ", "x"], "line break, space"),
        (["\n", ";", ";"], "punctuation ;, line break"),
        (["space", "space"], "space"),  # the word itself
        (["1914", "1915", "1916"], "1914, 1915, 1916"),
        (["1914", "1915", "1916", "1917", "1918"], "numbers such as 1914, 1915, 1916, 1917"),
        (["1914", "war", "wars", "1915"], "1914, war, wars, 1915"),
        (["a\n b"], "a b"),
        (["x" * 60], "x" * 39 + "…"),
        ([], ""),
    ],
)
def test_labels_by_hand(tokens, expected):
    assert label(*tokens) == expected


def test_a_strong_word_outweighs_a_frequent_weak_one():
    assert top_words([("Paris", 9.0), ("the", 3.0), ("the", 3.0)], 1) == "Paris"
    assert top_words([("Paris", 9.0), ("the", 5.0), ("the", 5.0)], 1) == "the"


def test_a_label_has_at_least_one_word():
    with pytest.raises(InvalidInputError, match="at least 1"):
        label("a", words=0)


@given(
    st.lists(st.text(max_size=6), min_size=1, max_size=20),
    st.integers(1, 5),
)
def test_a_feature_with_an_example_has_a_label_of_one_line(tokens, words):
    found = label(*tokens, words=words)
    assert found.strip()
    assert len(found.splitlines()) == 1
