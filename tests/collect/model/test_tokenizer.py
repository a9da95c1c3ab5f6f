"""BOS comes first exactly when the rule says so, and documents are truncated."""

import pytest

import tiny
from sfal.collect.model.tokenizer import Tokenizer
from sfal.errors import InvalidInputError


def load(folder, **options):
    from transformers import AutoTokenizer

    return Tokenizer(AutoTokenizer.from_pretrained(tiny.llama(folder, layers=1, **options)), "tiny")


@pytest.fixture(scope="module")
def adds(tmp_path_factory):
    return load(tmp_path_factory.mktemp("adds"))


@pytest.fixture(scope="module")
def adds_none(tmp_path_factory):
    """As SmolLM2's: it has a BOS, adds none, and PAD is EOS."""
    return load(tmp_path_factory.mktemp("adds_none"), adds_bos=False, pad_is_eos=True)


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    return load(tmp_path_factory.mktemp("without"), has_bos=False)


@pytest.mark.parametrize("prepend_bos", [None, True])
def test_one_bos_comes_first_whether_the_tokenizer_adds_it_or_not(adds, adds_none, prepend_bos):
    one = adds.tokenize(["A river", ""], 50, prepend_bos)
    assert one == adds_none.tokenize(["A river", ""], 50, prepend_bos)
    assert one[0][0] == 2
    assert one[0].count(2) == 1
    assert one[1] == [2]


def test_no_bos_comes_first_if_the_sae_was_trained_without_one(adds, adds_none):
    one = adds.tokenize(["A river", ""], 50, prepend_bos=False)
    assert one == adds_none.tokenize(["A river", ""], 50, prepend_bos=False)
    assert 2 not in one[0]
    assert one[1] == []


@pytest.mark.parametrize("prepend_bos", [None, False])
def test_a_tokenizer_without_bos_gives_the_text_alone(adds_none, without, prepend_bos):
    ids = without.tokenize(["A river", ""], 50, prepend_bos)
    assert len(ids[0]) == len(adds_none.tokenize(["A river"], 50, prepend_bos=False)[0])
    assert ids[1] == []
    assert without.bos_id is None
    assert without.first_token(prepend_bos) is None


def test_eos_takes_the_place_of_a_missing_bos_that_the_sae_asks_for(without):
    """As TransformerLens does; it is special, so it is in no window."""
    alone = without.tokenize(["A river", ""], 50)
    assert without.tokenize(["A river", ""], 50, prepend_bos=True) == [[1, *alone[0]], [1]]
    assert without.tokenize(["A river"], 2, prepend_bos=True) == [[1, alone[0][0]]]
    assert without.spans(["A river"], 50, prepend_bos=True)[0][0] == (0, 0)
    assert 1 in without.special_ids
    assert without.first_token(True) == "eos"


def test_special_ids_are_those_the_tokenizer_has(adds, adds_none, without):
    assert adds.special_ids == {0, 1, 2}
    assert adds_none.special_ids == {1, 2}
    assert without.special_ids == {0, 1}


def test_a_text_that_spells_bos_keeps_it_after_the_first_one(adds, adds_none):
    text = f"{tiny.BOS}A{tiny.EOS}b"
    for tokenizer in (adds, adds_none):
        ids = tokenizer.tokenize([text], 50)[0]
        assert ids[:2] == [2, 2]
        assert 1 in ids


@pytest.mark.parametrize("length", [1, 2, 7])
def test_documents_are_cut_to_the_length_with_bos_counted(adds, length):
    whole = adds.tokenize(tiny.TEXTS, 1000)
    assert adds.tokenize(tiny.TEXTS, length) == [ids[:length] for ids in whole]


def test_a_huge_text_gives_the_tokens_of_its_beginning(adds):
    text = "The river rises. " * 40_000
    whole = adds.inner(text, verbose=False)["input_ids"]
    assert adds.tokenize([text, "short"], 20)[0] == whole[:20]


def test_a_text_of_tokens_longer_than_supposed_is_tokenised_whole(adds, monkeypatch):
    monkeypatch.setattr("sfal.collect.model.tokenizer._LONGEST_TOKEN", 1)
    whole = adds.tokenize(tiny.TEXTS, 1000)
    assert adds.tokenize(tiny.TEXTS, 20) == [ids[:20] for ids in whole]


def test_no_text_gives_no_ids(adds):
    assert adds.tokenize([], 10) == []


def test_a_length_of_nothing_is_refused(adds):
    with pytest.raises(InvalidInputError, match="max_length"):
        adds.tokenize(["A"], 0)


def test_a_length_beyond_the_models_positions_is_refused(tmp_path):
    from sfal.collect.model.hook_points import HookPoint
    from sfal.collect.model.load import load_language_model

    model = load_language_model(str(tiny.gpt2(tmp_path)), [HookPoint(0, "res")])
    with pytest.raises(InvalidInputError, match=r"2049.*at most 2048"):
        model.tokenize(["A"], 2049)
