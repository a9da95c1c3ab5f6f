"""The miniature in the package: it loads like any source and matches its figures."""

import gzip
import json
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from sfal.collect.model.hook_points import HookPoint
from sfal.collect.model.load import load_language_model
from sfal.collect.sae.sae import load_sae
from sfal.demo import DATA
from sfal.embeddings.embedders import SentenceEmbedder, resolve_embedder
from sfal.sources import SaeRef

FIGURES = json.loads((DATA / "figures.json").read_text(encoding="utf-8"))
SAES = sorted(FIGURES["saes"]["held_out"])


N_COUNTS = FIGURES["text"]["count_articles"]


@cache
def articles() -> list[dict[str, str]]:
    with gzip.open(DATA / "held_out.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def layer_of(sae: str) -> int:
    return int(sae.split("/")[0].removeprefix("layer_"))


def test_all_files_take_at_most_8_mb_in_a_wheel() -> None:
    packed = sum(len(zlib.compress(p.read_bytes(), 6)) for p in DATA.rglob("*") if p.is_file())
    assert packed <= 8_000_000


def test_there_are_two_saes_in_gemma_scope_layout_named_by_their_l0() -> None:
    assert len({layer_of(sae) for sae in SAES}) == 2
    for sae in SAES:
        assert sae.endswith(f"width_1k/average_l0_{round(FIGURES['saes']['held_out'][sae]['l0'])}")
        with np.load(DATA / "sae" / sae / "params.npz") as arrays:
            assert set(arrays.files) == {"W_enc", "W_dec", "b_enc", "b_dec", "threshold"}
            assert arrays["W_enc"].shape == (128, 1024)
            norms = np.linalg.norm(arrays["W_dec"].astype(np.float32), axis=1)
        assert np.allclose(norms, 1, atol=2e-3)


@pytest.mark.parametrize("sae_name", SAES)
def test_the_usual_loaders_give_the_stated_l0(sae_name: str) -> None:
    point = HookPoint(layer=layer_of(sae_name), site="res", module=None)
    model = load_language_model(str(DATA / "model"), [point])
    sae = load_sae(SaeRef(kind="local", path=str(DATA / "sae" / sae_name)))
    documents = model.tokenize([a["text"] for a in articles()[:60]], 1024, None)
    assert all(document[0] == model.tokenizer.bos_id for document in documents)
    fired, tokens = 0, 0
    for document in documents:
        x = model.activations([document])[point][0, 1:]
        fired += int(sae.fires(x).sum())
        tokens += len(x)
    stated = FIGURES["saes"]["held_out"][sae_name]["l0"]
    assert fired / tokens == pytest.approx(stated, rel=0.06)


def test_the_model_predicts_held_out_text_as_stated_and_better_than_bigrams() -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(DATA / "model")
    model = AutoModelForCausalLM.from_pretrained(DATA / "model", dtype=torch.float32)
    total, tokens = 0.0, 0
    with torch.no_grad():
        for article in articles()[:60]:
            ids = tokenizer(article["text"], return_tensors="pt")["input_ids"]
            n = ids.shape[1] - 1
            total += model(input_ids=ids, labels=ids).loss.item() * n
            tokens += n
    stated = FIGURES["language_model"]
    assert total / tokens == pytest.approx(stated["loss"], abs=0.15)
    assert stated["loss"] < stated["bigram_loss"] - 0.5 < stated["unigram_loss"] - 0.5


def test_the_saes_preserve_the_loss_and_have_few_dead_features() -> None:
    for found in FIGURES["saes"]["held_out"].values():
        assert found["fvu"] < 0.3
        assert found["dead_share"] < 0.05
        assert found["loss_recovered"] > 0.85


def test_the_embedder_loads_like_any_folder_and_puts_cities_near_cities() -> None:
    embedder = SentenceEmbedder(resolve_embedder(str(DATA / "embedder")), device="cpu")
    texts = ["Paris, London, Rome", "Berlin, Vienna, Madrid", "cells, proteins, DNA"]
    vectors = embedder.encode(texts)
    assert vectors.dtype == np.float32
    cities, other = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert cities > 0.4 > 0.2 > other


def test_no_article_is_used_for_both_counts_and_labels() -> None:
    titles = [article["title"] for article in articles()]
    assert len(titles) == N_COUNTS + FIGURES["text"]["label_articles"]
    assert len(set(titles)) == len(titles)


def test_the_counted_text_gives_at_least_1500_windows() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(DATA / "model")
    ids = tokenizer([article["text"] for article in articles()[:N_COUNTS]])["input_ids"]
    assert sum((len(document) - 1) // 32 for document in ids) >= 1500


def test_notice_names_every_source_and_its_licence() -> None:
    notice = (Path(__file__).parents[2] / "NOTICE").read_text(encoding="utf-8")
    for words in ("CC BY-SA 4.0", "Wikipedia", "WordNet 3.0 Copyright 2006 by Princeton"):
        assert words in notice
