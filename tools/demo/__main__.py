"""Make the miniature from scratch: `python -m tools.demo --work DIR`."""

import argparse
import dataclasses
import logging
import os
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.demo.embedder import EmbedderSettings, save_embedder, train_embedder
from tools.demo.figures import Bigrams, sae_figures
from tools.demo.inputs import WIKIPEDIA, WORDNET, obtain, read_articles, read_glosses
from tools.demo.text import Corpus, split, write_articles

from sfal.demo import DATA, N_COUNTED, N_LABELLED
from sfal.errors import SfalError
from sfal.io.atomic import write_json

logger = logging.getLogger("tools.demo")


@dataclass(frozen=True)
class Recipe:
    """Settings of the recipe, other than those of its parts."""

    n_labels: int = N_LABELLED
    n_counts: int = N_COUNTED
    gloss_words: int = 90
    """Words at which a WordNet document ends."""
    article_weight: int = 3
    """Weight of an article when the tokenizer learns its merges."""
    layers: tuple[int, ...] = (0, 2)
    """Layers with an SAE on their residual stream."""
    seed: int = 1
    embedder: EmbedderSettings = field(default_factory=EmbedderSettings)


def main() -> int:
    """Parse the command line and run the recipe."""
    parser = argparse.ArgumentParser(prog="python -m tools.demo", description=__doc__)
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for the two input packages"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=DATA,
        help="folder for the miniature; default: the package's own",
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="CPU threads; 1 is fastest on a busy machine"
    )
    parser.add_argument(
        "--keep-lm", action="store_true", help="keep the language model that is in OUTPUT"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        build(Recipe(), options.work, options.output, options.threads, options.keep_lm)
    except SfalError as e:
        logger.error("Error: %s", e)
        return 1
    return 0


def build(recipe: Recipe, work: Path, output: Path, threads: int, keep_lm: bool = False) -> None:
    """Make every file of the miniature in `output`."""
    import torch

    torch.set_num_threads(threads)
    started = time.monotonic()
    corpus = split(
        read_articles(obtain(WIKIPEDIA, work)),
        read_glosses(obtain(WORDNET, work), recipe.gloss_words),
        recipe.n_labels,
        recipe.n_counts,
        recipe.seed,
    )
    # In the order of `sfal cooc --n-docs --examples`: the examples come last.
    write_articles(output / "held_out.jsonl.gz", corpus.counts + corpus.labels)
    tokenizer, vectors = train_embedder(corpus.articles + corpus.glosses, recipe.embedder)
    save_embedder(tokenizer, vectors, output / "embedder")
    figures: dict[str, Any] = {"text": _sizes(corpus), "recipe": dataclasses.asdict(recipe)}
    figures |= _language_model(recipe, corpus, output / "model", keep_lm)
    figures |= _saes(recipe, corpus, output)
    figures["minutes"] = round((time.monotonic() - started) / 60, 1)
    figures["cpu_minutes"] = round(time.process_time() / 60, 1)
    figures["threads"] = threads
    figures["language_model_kept"] = keep_lm
    write_json(output / "figures.json", figures)


def _sizes(corpus: Corpus) -> dict[str, int]:
    return {
        "training_articles": len(corpus.articles),
        "training_gloss_documents": len(corpus.glosses),
        "label_articles": len(corpus.labels),
        "count_articles": len(corpus.counts),
    }


def _language_model(recipe: Recipe, corpus: Corpus, folder: Path, keep: bool) -> dict[str, Any]:
    from tools.demo import lm
    from tools.demo.tokenizer import encode, train_tokenizer

    settings = lm.LmSettings()
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
        texts = corpus.articles * recipe.article_weight + corpus.glosses
        tokenizer = train_tokenizer(texts, settings.vocab_size)
        ids = tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id
        model = lm.build_model(settings, *ids)
        training = lm.rows(
            encode(tokenizer, corpus.articles), encode(tokenizer, corpus.glosses), settings
        )
        lm.train_lm(
            model,
            training,
            encode(tokenizer, [a.text for a in corpus.counts[:150]]),
            settings,
            lambda _step, _steps: lm.save_lm(model, tokenizer, folder),
        )
        lm.save_lm(model, tokenizer, folder)
    model, tokenizer = lm.read_lm(folder)
    articles, glosses = encode(tokenizer, corpus.articles), encode(tokenizer, corpus.glosses)
    held_out = encode(tokenizer, [a.text for a in corpus.labels + corpus.counts])
    # Articles only: with glosses, both baselines are worse on articles.
    baseline = Bigrams(articles, settings.vocab_size)
    return {
        "language_model": {
            "settings": dataclasses.asdict(settings),
            "parameters": sum(p.numel() for p in model.parameters()),
            "training_tokens_seen": lm.n_training_tokens(articles, glosses, settings),
            "held_out_tokens": sum(len(d) - 1 for d in held_out),
            "loss": round(lm.held_out_loss(model, held_out), 4),
            "bigram_loss": round(baseline.bigram_loss(held_out), 4),
            "unigram_loss": round(baseline.unigram_loss(held_out), 4),
        }
    }


def _saes(recipe: Recipe, corpus: Corpus, output: Path) -> dict[str, Any]:
    import torch
    from tools.demo import lm
    from tools.demo.activations import residuals
    from tools.demo.sae import (
        SaeSettings,
        keep_probabilities,
        read_sae,
        save_sae,
        train_sae,
    )
    from tools.demo.tokenizer import encode, whole_words

    settings = SaeSettings()
    model, tokenizer = lm.read_lm(output / "model")
    articles = encode(tokenizer, corpus.articles)
    training = residuals(model, articles, recipe.layers)
    ids = torch.tensor([token for article in articles for token in article[1:]])
    whole = torch.tensor([w for a in articles for w in whole_words(tokenizer, a)[1:]])
    keep = keep_probabilities(ids, whole, settings)
    documents = encode(tokenizer, [a.text for a in corpus.labels + corpus.counts])
    held_out = residuals(model, documents, recipe.layers)
    shutil.rmtree(output / "sae", ignore_errors=True)
    measured: dict[str, Any] = {}
    for layer in recipe.layers:
        weights = train_sae(training[layer], keep, settings)
        # The folder's name gives the measured L0, as in Gemma Scope.
        found = sae_figures(model, weights, layer, held_out[layer], documents[:1])
        name = f"layer_{layer}/width_1k/average_l0_{round(found.l0)}"
        path = output / "sae" / name / "params.npz"
        save_sae(weights, path)
        found = sae_figures(model, read_sae(path), layer, held_out[layer], documents[:300])
        measured[name] = {key: round(value, 4) for key, value in dataclasses.asdict(found).items()}
        logger.info("%s: %s", name, measured[name])
    return {"saes": {"settings": dataclasses.asdict(settings), "held_out": measured}}


if __name__ == "__main__":
    sys.exit(main())
