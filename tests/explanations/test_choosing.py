"""The choice of one explanation per feature: preferences, filters, duplicates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfal.errors import ArtifactError, InvalidInputError
from sfal.explanations import chooser as chooser_module
from sfal.explanations.chooser import Chooser, Preferences
from sfal.explanations.records import Record

A, B = "gpt-4o-mini", "gemini-2.0-flash"
S, T = "oai_token-act-pair", "np_max-act"


def record(feature, text="x", type_=S, explainer=A, id_=None):
    return Record(id_, feature, text, type_, explainer, None)


def choose(records, preferences=None):
    chooser = Chooser(preferences or Preferences())
    for r in records:
        assert chooser.add(r)
    return chooser


def rows(chooser):
    table = chooser.table("the export")
    names = ("feature", "explanation", "type", "explainer")
    return list(zip(*(table.column(n).to_pylist() for n in names), strict=True))


def test_the_default_prefers_the_published_kind_and_takes_the_rest_where_it_is_missing():
    chooser = choose(
        [
            record(5, "other model", explainer=B),
            record(5, "other type", type_=T),
            record(5, "published"),
            record(3, "only one", type_=T, explainer=B),
            record(4, "b", type_=T, explainer=B),
            record(4, "a", type_=T, explainer="a-model"),
        ]
    )
    assert rows(chooser) == [
        (3, "only one", T, B),
        (4, "a", T, "a-model"),
        (5, "published", S, A),
    ]


def test_the_explainer_decides_before_the_type():
    chooser = choose([record(1, "type", explainer=B), record(1, "explainer", type_=T)])
    assert rows(chooser) == [(1, "explainer", T, A)]


def test_preferences_are_a_filter_and_an_order():
    both = rows(choose([record(1, "a"), record(1, "b", S, B), record(2, "c")], Preferences((B, A))))
    assert both == [(1, "b", S, B), (2, "c", S, A)]
    only = rows(choose([record(1, "a"), record(1, "b", S, B), record(2, "c")], Preferences((B,))))
    assert only == [(1, "b", S, B)]
    types = rows(choose([record(1, "a"), record(2, "b", T)], Preferences(types=(T,))))
    assert types == [(2, "b", T, A)]


def test_a_filter_that_matches_nothing_lists_what_exists():
    chooser = choose([record(1), record(2), record(1, type_=T, explainer=B)], Preferences(("gpt",)))
    with pytest.raises(InvalidInputError) as caught:
        chooser.table("the export of m/s")
    message = str(caught.value)
    assert "the export of m/s has no explanation by gpt; it has" in message
    assert f"{S} by {A} (2)" in message
    assert f"{T} by {B} (1)" in message


def test_an_export_without_records_is_an_error():
    with pytest.raises(ArtifactError, match="no usable explanation"):
        Chooser(Preferences()).table("the export")


def test_of_equal_records_the_first_is_kept():
    chooser = choose([record(1, "first", id_="a"), record(1, "second", id_="b")])
    assert rows(chooser) == [(1, "first", S, A)]
    assert chooser.n_duplicates == 1


def test_of_records_with_the_same_id_the_first_is_kept():
    chooser = choose([record(1, "first", T, B, id_="a"), record(1, "better kind", id_="a")])
    assert rows(chooser) == [(1, "first", T, B)]
    assert chooser.n_duplicates == 1


def test_records_of_too_many_kinds_are_left_out():
    chooser = Chooser(Preferences())
    taken = [chooser.add(record(1, type_=f"type-{n:04}")) for n in range(1200)]
    assert taken == [True] * 1000 + [False] * 200


names = st.sampled_from([A, B, "c"])
types = st.sampled_from([S, T, "u"])
records = st.builds(
    Record,
    st.one_of(st.none(), st.sampled_from([f"id-{n}" for n in range(12)])),
    st.integers(0, 6),
    st.sampled_from(["x", "y", "z"]),
    types,
    names,
    st.none(),
)
wanted = st.one_of(st.none(), st.lists(names, min_size=1, max_size=3, unique=True).map(tuple))
wanted_types = st.one_of(st.none(), st.lists(types, min_size=1, max_size=3, unique=True).map(tuple))


@given(st.lists(records, max_size=40), wanted, wanted_types, st.sampled_from([1, 3, 1000]))
def test_the_choice_equals_that_of_plain_loops(given_records, explainers, kinds, few):
    """Follow the definition: drop repeats, rank the rest, take the first."""
    preferences = Preferences(explainers, kinds)
    kept, ids, keys = [], set(), set()
    for r in given_records:
        if r.id is not None and r.id in ids:
            continue
        ids.add(r.id)
        if (r.feature, r.type, r.explainer) in keys:
            continue
        keys.add((r.feature, r.type, r.explainer))
        kept.append(r)

    def place(name, order, default):
        return order.index(name) if order is not None else int(name != default)

    def fits(r):
        return (explainers is None or r.explainer in explainers) and (
            kinds is None or r.type in kinds
        )

    expected = {}
    for r in kept:
        if fits(r):
            expected.setdefault(r.feature, []).append(r)
    best = [
        min(
            rs,
            key=lambda r: (
                place(r.explainer, explainers, A),
                place(r.type, kinds, S),
                r.explainer,
                r.type,
            ),
        )
        for _, rs in sorted(expected.items())
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chooser_module._Seen, "_MAX_RECENT", few)
        chooser = choose(given_records, preferences)
    assert chooser.n_duplicates == len(given_records) - len(kept)
    if best:
        assert rows(chooser) == [(r.feature, r.text, r.type, r.explainer) for r in best]
    else:
        with pytest.raises((ArtifactError, InvalidInputError)):
            chooser.table("the export")
