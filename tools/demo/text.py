"""The training text, the held-out text, and the file with the held-out text."""

import gzip
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.demo.inputs import Article

from sfal.io.atomic import atomic_path

MIN_CHARACTERS = 300
"""Shorter summaries barely fill a window; they are trained on, never held out."""


@dataclass(frozen=True)
class Corpus:
    """The text, split by a seed."""

    articles: list[str]
    """Wikipedia summaries to train on."""
    glosses: list[str]
    """WordNet documents to train on."""
    labels: list[Article]
    """Held out: where `sfal cooc --examples` looks for examples."""
    counts: list[Article]
    """Held out: where occurrences are counted."""


def split(
    articles: Sequence[Article], glosses: Sequence[str], n_labels: int, n_counts: int, seed: int
) -> Corpus:
    """Hold out `n_labels` + `n_counts` articles, drawn at random from the longer ones."""
    order = [i for i, article in enumerate(articles) if len(article.text) >= MIN_CHARACTERS]
    random.Random(seed).shuffle(order)
    labels, counts = order[:n_labels], order[n_labels : n_labels + n_counts]
    held_out = {*labels, *counts}
    return Corpus(
        articles=[a.text for i, a in enumerate(articles) if i not in held_out and a.text],
        glosses=list(glosses),
        labels=[articles[i] for i in labels],
        counts=[articles[i] for i in counts],
    )


def write_articles(path: Path, articles: Sequence[Article]) -> None:
    """Write articles as gzipped JSON lines, with the same bytes every time.

    Each line carries the title, which names the Wikipedia page and with it the
    authors: the attribution that CC BY-SA asks for.
    """
    lines = [
        json.dumps({"title": a.title, "topic": a.topic, "text": a.text}, ensure_ascii=False) + "\n"
        for a in articles
    ]
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress("".join(lines).encode(), compresslevel=9, mtime=0))
