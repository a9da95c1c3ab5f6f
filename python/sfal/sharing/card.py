"""The card of a repository: what was run, and how to use it."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sfal.sharing.contents import run_path
from sfal.sharing.local import LocalSource
from sfal.store.embeddings import find_vectors
from sfal.store.explanations import count_explanations
from sfal.store.manifest import Manifest

CARD = "README.md"
MOST_BYTES = 4 << 20

_HEAD = Path(__file__).with_name("card.md")
"""The beginning of a new card."""


def updated(card: str | None, repo: str, source: LocalSource) -> str:
    """Return a card that describes a source as it is now.

    Parameters
    ----------
    card : str or None
        The card so far; whatever others wrote into it stays.
    repo : str
        ``OWNER/NAME`` of the repository.
    source : LocalSource
        The source.
    """
    begin, end = f"<!-- sfal: {source.name} -->", f"<!-- end of {source.name} -->"
    section = "\n".join([begin, "", *_section(source), end])
    if card is None or not card.strip():
        card = _HEAD.read_text(encoding="utf-8").replace("OWNER/NAME", repo)
    first, last = card.find(begin), card.find(end)
    if 0 <= first < last:
        return card[:first] + section + card[last + len(end) :]
    return f"{card.rstrip()}\n\n{section}\n"


def _section(source: LocalSource) -> Iterator[str]:
    yield f"## {source.name}"
    yield ""
    for run, manifest in source.runs.items():
        if run is not None:
            yield f"### Run {_text(run)}"
            yield ""
        yield "| | |"
        yield "|---|---|"
        for name, value in _facts(manifest):
            yield f"| {name} | {_text(value)} |"
        if run is None:
            for name, value in _made_of_it(source):
                yield f"| {name} | {_text(value)} |"
        scores = f"{run_path(run)}scores.parquet"
        if any(item.path == scores for item in source.items):
            yield f"| scores | {_text(scores)} |"
        yield ""


def _facts(manifest: Manifest) -> Iterator[tuple[str, object]]:
    record, counts, settings = manifest.source, manifest.counts, manifest.settings
    sae = [record.sae.repo_id, record.sae.path, record.sae.release, record.sae.sae_id]
    yield "language model", record.model
    yield "SAE", ", ".join(filter(None, sae)) or record.sae.kind
    where = record.hook_module or record.site
    yield "reads at", where if record.layer is None else f"{where}, layer {record.layer}"
    yield "features", f"{manifest.n_features:,}"
    corpus = settings.get("corpus")
    if isinstance(corpus, Mapping):
        yield "corpus", ", ".join(str(v) for v in corpus.values() if v is not None)
    yield "documents", f"{counts.documents:,}"
    yield "tokens", f"{counts.tokens:,}, {manifest.coverage:.1%} of them in windows"
    yield "windows", f"{counts.windows:,} of {manifest.window_size} tokens"
    if counts.windows:
        yield "features per window", f"{counts.occurrences / counts.windows:.1f}"
    others = {
        name: value
        for name, value in settings.items()
        if name not in ("corpus", "shard", "window_size") and value is not None
    }
    if others:
        yield "settings", ", ".join(f"{name}={value}" for name, value in others.items())
    versions = manifest.volatile.get("versions")
    if isinstance(versions, Mapping):
        yield "versions", ", ".join(f"{name} {value}" for name, value in versions.items())


def _made_of_it(source: LocalSource) -> Iterator[tuple[str, object]]:
    kinds = {item.kind for item in source.items}
    if "explanations" in kinds:
        n, by = count_explanations(source.folder)
        told = ", ".join(f"{type_} by {explainer}" for type_, explainer in by)
        yield "explanations", f"{n:,}: {told}"
    if "embeddings" in kinds:
        for embedder, stem in find_vectors(source.folder):
            yield "embeddings", f"{embedder} ({stem})"


def _text(value: Any) -> str:
    """Return a value as a cell of a table: on one line, as it is and not as Markdown."""
    plain = re.sub(r"[\s`|<>]+", " ", str(value)).strip() or "not known"
    return f"`{plain[:500]}`"
