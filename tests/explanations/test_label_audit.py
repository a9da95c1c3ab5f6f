"""What is wrong with labels as texts."""

import pytest

from explanations.fixtures import QUICK, source
from servers import exports
from sfal.embeddings.settings import EmbedSettings
from sfal.errors import InvalidInputError
from sfal.explanations.label_audit import LabelAudit, audit_labels, leak_reason
from sfal.explanations.source_explanations import choose_explanations

LEAKS = [
    "The user wants a concise explanation (3-20 words) of what the neuron detects.",
    "The user is asking for a label for this neuron.",
    "MAX_ACTIVATING_TOKENS are all variations of 'the'",
    "None of the TOP_POSITIVE_LOGITS fit",
    "Method 1: the tokens are all numbers",
    "following Method 2, say cat",
    "Okay, let's look at the max activating tokens first.",
    "Let me analyze the tokens in the list",
    "I need to find a pattern in the tokens",
    "First, I need to look at the list of tokens.",
    "Wait, let me check the tokens again to see the pattern",
    "We need to determine the common pattern among the tokens",
    "Sure, here is the explanation: words about cats",
    "Here's a concise explanation of the neuron: cats",
    "I'm sorry, but I can't find a pattern",
    "I cannot determine a clear pattern.",
    "Based on the provided examples, the neuron fires on punctuation",
    "Looking at the activating tokens, they are all verbs",
    "The provided texts are all about legal topics",
    "Explanation could not be parsed.",
    "[EXPLANATION]: cats and dogs",
    "**Explanation:** legal terms and phrases",
    "Explanation of neuron 4 behavior: the main thing this neuron does is find nouns",
    "Reasoning: The tokens all share the same prefix un-",
    "<think>Okay, so I need to figure out the neuron",
    "The tokens are all about cats.</think> cats",
    "word " * 61,
]
LABELS = [
    "let me",
    "I will",
    "I need to",
    "I can see",
    "sure, okay, yes",
    "here is",
    "the user wants",
    "the phrase 'let me know'",
    "first, second, third",
    "the word explanation: in headings",
    "The word 'Explanation:' before answers",
    "references to the user and user interface elements",
    "instructions to the user to provide a description",
    "phrases where the user asks a question",
    "method calls in Java",
    "method 3 and numbered steps",
    "step 1",
    "analysis of data",
    "tokens related to neurons in biology",
    "activating mutations in genes",
    "words describing examples given in a text",
    "looking at people",
    "given the circumstances",
    "first-person statements such as I need to find",
    'phrases that start with "Here is" followed by a description or specification',
    "requests for explanations or assistance",
    "<think>",
    "word " * 60,
]


@pytest.mark.parametrize("text", LEAKS)
def test_reasoning_and_prompts_are_recognised(text):
    assert leak_reason(text) is not None


@pytest.mark.parametrize("text", LABELS)
def test_labels_that_sound_alike_are_none(text):
    assert leak_reason(text) is None


def test_each_problem_has_a_row():
    texts = ["a", "a", None, " ", LEAKS[0], *(f"references to {i}" for i in range(12)), "b c d"]
    table = audit_labels(texts)
    rows = list(zip(*(table.column(n).to_pylist() for n in table.column_names), strict=True))
    assert table.column_names == ["feature", "problem", "detail"]
    assert rows[:5] == [
        (0, "duplicate", "2 features have this text"),
        (1, "duplicate", "2 features have this text"),
        (2, "empty", ""),
        (3, "empty", ""),
        (4, "leak", "reasoning of the explainer"),
    ]
    assert rows[5:] == [(i, "boilerplate", "75% begin with “references to”") for i in range(5, 17)]
    assert audit_labels(["x", ""], [7, 9]).column("feature").to_pylist() == [9]
    assert len(audit_labels([])) == len(audit_labels(["fine"])) == 0


def test_every_choice_of_explanations_is_audited(tmp_path, bucket):
    records = [exports.record(i, f"references to {i % 11}") for i in range(20)]
    records.append(exports.record(20, LEAKS[0]))
    bucket.objects.update(exports.export([records, []]))
    expected = LabelAudit(
        n_leaks=1, n_duplicates=18, n_empty=0, openings=(("references to", 20 / 21),)
    )
    assert choose_explanations(source(tmp_path), QUICK).audit == expected
    again = choose_explanations(source(tmp_path), QUICK)
    assert again.unchanged
    assert again.audit == expected


def test_other_treatments_of_leaks_are_refused():
    with pytest.raises(InvalidInputError, match="leaks is 'no'; give leaks=drop or leaks=keep"):
        EmbedSettings(leaks="no")
