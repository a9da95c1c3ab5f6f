"""Tables line up in columns of the terminal, and fit into it where they may be cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfal.terminal.table import Column, cut, display_width, one_line, render_table, side_by_side

COLUMNS = [Column("name"), Column("count", align="right"), Column("text", shrinks=True)]
ROWS = [("a", "1", "short"), ("layer", "1,234", "a longer explanation of it")]


def test_cells_are_aligned_under_their_headings():
    assert render_table(COLUMNS, ROWS) == [
        "name   count  text",
        "a          1  short",
        "layer  1,234  a longer explanation of it",
    ]


def test_without_headings_there_is_no_row_of_them():
    columns = [Column(), Column(align="right")]
    assert render_table(columns, [("a", "1"), ("bb", "20")], indent="  ") == [
        "  a    1",
        "  bb  20",
    ]


def test_only_columns_that_shrink_are_cut():
    assert render_table(COLUMNS, ROWS, width=26) == [
        "name   count  text",
        "a          1  short",
        "layer  1,234  a longer ex…",
    ]
    assert render_table(COLUMNS[:2], [row[:2] for row in ROWS], width=5)[2] == "layer  1,234"


def test_the_widest_column_is_cut_first():
    columns = [Column(shrinks=True), Column(shrinks=True)]
    assert render_table(columns, [("x" * 12, "y" * 30)], width=26) == [
        "x" * 12 + "  " + "y" * 11 + "…"
    ]


def test_a_table_without_rows_shows_its_headings():
    assert render_table(COLUMNS, []) == ["name  count  text"]
    assert render_table([Column()], []) == []


def test_wide_characters_take_two_columns_and_marks_none():
    rows = [("語学", "1"), ("nai\u0308ve", "2"), ("plain", "3")]
    lines = render_table([Column(), Column()], rows)
    assert [display_width(line) for line in lines] == [8, 8, 8]


@given(st.text(), st.integers(1, 20))
def test_what_is_cut_fits_and_is_a_beginning(text, width):
    found = cut(text, width)
    assert display_width(found) <= max(width, 1)
    assert found == text or text.startswith(found.removesuffix("…"))


@pytest.mark.parametrize("text", ["a\nb", "a\r\tb", "a\x1bb", "a\u2028b", "  a   b "])
def test_a_cell_stays_on_its_line_and_sends_no_control_characters(text):
    assert one_line(text) == "a b"


def test_two_lists_of_different_length_are_joined_in_pairs():
    assert side_by_side(["one", "two"], ["x"], 5) == ["one   | x", "two   |"]
