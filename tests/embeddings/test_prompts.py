"""Prompts before each text: requested, advised by the model's authors, or the model's own."""

import json

import numpy as np
import pytest

import tiny_embedders as models
from embeddings.fixtures import embed, never
from explanations.fixtures import QUICK, source
from sfal.embeddings.embedders import EmbedderRef, SentenceEmbedder, resolve_embedder
from sfal.embeddings.model_settings import settings_for
from sfal.embeddings.prompts import PromptChoice
from sfal.embeddings.settings import EmbedSettings
from sfal.embeddings.source_embeddings import embed_source
from sfal.errors import InvalidInputError
from sfal.explanations.source_explanations import choose_explanations, explanations_of
from sfal.store.embeddings import read_vectors


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return models.embedder(tmp_path_factory.mktemp("embedder"))


def load(folder, **prompt):
    return SentenceEmbedder(resolve_embedder(str(folder), prompt=PromptChoice(**prompt)), "cpu")


def with_prompts(folder, target, default=None):
    import shutil

    shutil.copytree(folder, target)
    path = target / "config_sentence_transformers.json"
    config = json.loads(path.read_text())
    prompts = {"query": "query: ", "sts": "similar: "}
    path.write_text(json.dumps({**config, "prompts": prompts, "default_prompt_name": default}))
    return target


@pytest.mark.parametrize(
    ("model", "prompt"),
    [
        ("intfloat/e5-base-v2", "query: "),
        ("intfloat/multilingual-e5-small", "query: "),
        (
            "intfloat/e5-mistral-7b-instruct",
            "Instruct: Retrieve semantically similar text.\nQuery: ",
        ),
        ("BAAI/bge-large-en-v1.5", ""),
        ("BAAI/bge-m3", ""),
        ("thenlper/gte-large", ""),
        ("Alibaba-NLP/gte-Qwen2-7B-instruct", ""),
        ("Qwen/Qwen3-Embedding-0.6B", ""),
        ("nomic-ai/nomic-embed-text-v1.5", "clustering: "),
        ("hkunlp/instructor-xl", "Represent the sentence for clustering: "),
        ("google/embeddinggemma-300m", "task: sentence similarity | query: "),
        ("sentence-transformers/all-MiniLM-L6-v2", None),
    ],
)
def test_known_families_have_the_prompt_that_their_authors_advise(model, prompt):
    assert settings_for(model).prompt == prompt


def test_a_prompt_precedes_each_text_and_is_recorded(folder):
    plain, prompted = load(folder), load(folder, text="query: ")
    texts = ["a dog", "a cat"]
    expected = plain.encode([f"query: {text}" for text in texts])
    np.testing.assert_allclose(prompted.encode(texts), expected, atol=1e-6)
    assert prompted.facts["prompt"] == "query: "
    assert "prompt" not in plain.facts
    assert "prompt" not in load(folder, text="").facts


def test_the_default_of_a_family_applies_to_a_folder_of_that_name_and_can_be_set_aside(
    folder, tmp_path
):
    import shutil

    copy = shutil.copytree(folder, tmp_path / "e5-small-v2")
    assert load(copy).facts["prompt"] == "query: "
    assert "prompt" not in load(copy, text="").facts
    np.testing.assert_array_equal(load(copy, text="").encode(["a"]), load(folder).encode(["a"]))


def test_prompts_of_the_models_repository_go_by_name(folder, tmp_path):
    copy = with_prompts(folder, tmp_path / "named", default="sts")
    assert load(copy, name="query").facts["prompt"] == "query: "
    own = load(copy)
    assert own.facts["prompt"] == "similar: "
    np.testing.assert_allclose(
        own.encode(["a dog"]), load(folder).encode(["similar: a dog"]), atol=1e-6
    )
    assert "prompt" not in load(copy, text="").facts
    with pytest.raises(InvalidInputError, match=r"no prompt named x; it has .*query, sts"):
        load(copy, name="x")


def test_other_prompts_embed_again_and_equal_ones_do_not(tmp_path, bucket):
    choose_explanations(source(tmp_path), QUICK)

    def counting(**facts):
        embedder = models.Counting()
        embedder.facts |= facts
        return embedder

    def ref(model="someone/model", **prompt):
        return EmbedderRef(model, prompt=PromptChoice(**prompt))

    def skipped(ref):
        table = explanations_of(source(tmp_path))
        return embed_source(source(tmp_path), table, ref, never).skipped

    embed(tmp_path, counting(), ref())
    assert skipped(ref())
    assert skipped(ref(text=""))
    assert not embed(tmp_path, counting(prompt="a: "), ref(text="a: ")).skipped
    assert skipped(ref(text="a: "))
    done = embed(tmp_path, counting(prompt="b: ", prompt_name="b"), ref(name="b"))
    assert not done.skipped
    assert read_vectors(done.path).metadata["prompt"] == "b: "
    assert skipped(ref(name="b"))
    assert not embed(tmp_path, counting(), ref()).skipped
    # Vectors of an E5 model made without its prompt are made again with it.
    embed(tmp_path, counting(), ref("intfloat/e5-base", text=""))
    assert not embed(tmp_path, counting(prompt="query: "), ref("intfloat/e5-base")).skipped
    assert skipped(ref("intfloat/e5-base"))


def test_prompts_that_cannot_be_meant_are_refused():
    with pytest.raises(InvalidInputError, match="either prompt or prompt_name"):
        EmbedSettings(prompt="a", prompt_name="b")
    with pytest.raises(InvalidInputError, match="2,001 characters"):
        EmbedSettings(prompt="x" * 2001)
    with pytest.raises(InvalidInputError, match="exist already"):
        EmbedSettings("neuronpedia", prompt="a").embedders()
