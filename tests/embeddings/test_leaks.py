"""Labels that are the explainer's reasoning: without a vector unless they are kept."""

import pytest

import tiny_embedders as models
from embeddings.fixtures import HUB, never
from explanations.fixtures import QUICK, source
from servers import exports
from sfal.embeddings.embedders import NEURONPEDIA, EmbedderRef
from sfal.embeddings.source_embeddings import embed_source
from sfal.errors import InvalidInputError
from sfal.explanations.source_explanations import choose_explanations, explanations_of
from sfal.report.labels import embedded_text
from sfal.store.embeddings import read_vectors

LEAK = "The user wants a concise explanation of the neuron"


def embed(tmp_path, load, leaks="drop", ref=HUB):
    table = explanations_of(source(tmp_path))
    return embed_source(source(tmp_path), table, ref, load, leaks=leaks)


@pytest.fixture
def leaking(tmp_path, bucket):
    records = [exports.record(i, LEAK if i in (2, 4) else None) for i in range(6)]
    bucket.objects.update(exports.export([records, []]))
    choose_explanations(source(tmp_path), QUICK)
    return tmp_path


def test_leaks_have_no_vector_unless_they_are_kept(leaking):
    counting = models.Counting()
    summary = embed(leaking, lambda: counting)
    assert (summary.n_vectors, summary.n_leaks) == (4, 2)
    assert LEAK not in counting.seen
    assert read_vectors(summary.path).features.tolist() == [0, 1, 3, 5]
    assert "2 left out as reasoning or prompts" in embedded_text(summary)
    again = embed(leaking, never)
    assert again.skipped
    assert again.n_leaks == 2
    kept = embed(leaking, lambda: models.Counting(), "keep")
    assert (kept.skipped, kept.n_vectors, kept.n_leaks) == (False, 6, 0)
    assert embed(leaking, never, "keep").skipped
    assert not embed(leaking, lambda: models.Counting()).skipped


def test_leaks_have_no_vector_of_neuronpedias_either(leaking):
    summary = embed(leaking, never, ref=EmbedderRef(NEURONPEDIA))
    assert read_vectors(summary.path).features.tolist() == [0, 1, 3, 5]


def test_vectors_of_a_source_without_leaks_say_nothing_of_them(tmp_path, bucket):
    choose_explanations(source(tmp_path), QUICK)
    path = embed(tmp_path, lambda: models.Counting()).path
    assert not {"leaks_left_out", "prompt", "prompt_name"} & set(read_vectors(path).metadata)


def test_explanations_that_are_all_leaks_are_refused(tmp_path, bucket):
    bucket.objects.update(exports.export([[exports.record(i, LEAK) for i in range(6)], []]))
    choose_explanations(source(tmp_path), QUICK)
    with pytest.raises(InvalidInputError, match="every explanation is the explainer's reasoning"):
        embed(tmp_path, never)
