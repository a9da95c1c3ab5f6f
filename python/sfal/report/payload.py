"""The data of a page: an index, and blocks of typed arrays and texts."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfal.report.blocks import Blocks, packed, smallest
from sfal.report.law import BINS, HIGHEST, LOWEST, survival_of_chance
from sfal.report.lists import BothLists, Lists
from sfal.report.source_data import N_EXAMPLES, EmbeddingData, SourceData, numbers, texts
from sfal.scoring.audit import RELIABLE, WRONG_P
from sfal.scoring.settings import ScoreSettings
from sfal.scoring.status import STATUSES

FORMAT = 1
MATCH = 50
"""Places of the other list that count as a match."""
NOT_KEPT = 255
"""Length of a list that the page leaves out for its size."""

_SHOWN = (50, 20, 10, 5, 3)
"""Neighbours of each list, from which the size of the file chooses."""

_EXAMPLES = (N_EXAMPLES, 3, 1)
"""Examples of each feature, from which the room that is left chooses."""

_EXACT = ("sfal", "ndcg", "p_label")
"""Columns kept as float64."""
_ALWAYS = ("sfal", "ndcg")
"""Columns that are kept even if nothing is scored."""
_ROUNDED = ("p_chance", "low", "high", "ceiling", "sfal_corrected", "chance_label")
"""Columns kept as float32."""
_SETTINGS = ("measure", "top_n", "candidates", "ties")
"""Settings of scoring that a page names."""
_BETTER = 5
"""Better labels of a feature, at most."""


@dataclass(frozen=True)
class Payload:
    """What a page embeds."""

    index: str
    """Block of the index, a JSON object."""
    blocks: tuple[str, ...]
    """Blocks to which the index refers by number."""
    shown: int
    """Neighbours of each list."""
    n_kept: int | None
    """Features of each source whose lists are kept; None for all."""

    @property
    def size(self) -> int:
        """Characters of all blocks."""
        return len(self.index) + sum(map(len, self.blocks))

    @property
    def key(self) -> str:
        """Hash of the content, under which a browser keeps verdicts."""
        digest = hashlib.sha256(self.index.encode())
        for block in self.blocks:
            digest.update(hashlib.sha256(block.encode()).digest())
        return digest.hexdigest()[:16]


def build_payload(sources: Sequence[SourceData], max_bytes: int) -> Payload:
    """Encode sources, with the longest lists that the size allows.

    Parameters
    ----------
    sources : sequence of SourceData
    max_bytes : int
        Most characters of all blocks. If even the shortest lists exceed it, only the lists of
        features that matter are kept: the worst, the best and the most frequent ones. Scores
        and labels are never left out, so that the result can still be larger.

    Returns
    -------
    payload : Payload
        The same for the same sources.
    """
    fixed = Blocks()
    described = [describe_source(source, fixed) for source in sources]
    for shown in _SHOWN:
        payload = _with_lists(sources, described, fixed, shown, None)
        if payload.size <= max_bytes:
            return _with_examples(sources, described, fixed, payload, max_bytes)
    n_kept = max(len(source.windows) for source in sources) // 2
    while n_kept > 1:
        payload = _with_lists(sources, described, fixed, _SHOWN[-1], n_kept)
        if payload.size <= max_bytes:
            break
        n_kept //= 2
    return payload


def _with_examples(
    sources: Sequence[SourceData],
    described: Sequence[Mapping[str, Any]],
    fixed: Blocks,
    payload: Payload,
    max_bytes: int,
) -> Payload:
    """Return a payload with as many examples as there is room for."""
    if all(source.examples is None for source in sources):
        return payload
    for n in _EXAMPLES:
        blocks = fixed.copy()
        more = [
            {**facts, "examples": blocks.json(_examples(source, n))}
            for source, facts in zip(sources, described, strict=True)
        ]
        larger = _with_lists(sources, more, blocks, payload.shown, None)
        if larger.size <= max_bytes:
            return larger
    return payload


def _examples(source: SourceData, n: int) -> list[list[tuple[str, str, str]]]:
    """Return what stands before, the token, and what follows it, for each feature."""
    known = source.examples or {}
    return [
        [(one.before, one.token, one.after) for one in known.get(i, ())[:n]]
        for i in range(len(source.windows))
    ]


def _with_lists(
    sources: Sequence[SourceData],
    described: Sequence[Mapping[str, Any]],
    fixed: Blocks,
    shown: int,
    n_kept: int | None,
) -> Payload:
    blocks = fixed.copy()
    entries: list[dict[str, Any]] = []
    for source, facts in zip(sources, described, strict=True):
        kept = _kept(source, n_kept)
        embeddings = []
        for one, known in zip(source.embeddings, facts["embeddings"], strict=True):
            embeddings.append({**known, **_both(one.lists, blocks, kept, shown)})
        entries.append({**facts, "embeddings": embeddings})
    return Payload(packed_index(entries, shown, n_kept), blocks.texts, shown, n_kept)


def packed_index(
    entries: Sequence[Mapping[str, Any]],
    shown: int,
    n_kept: int | None = None,
    *,
    served: bool = False,
) -> str:
    """Return the block of the index.

    Parameters
    ----------
    entries : sequence of mapping
        The sources, as :func:`describe_source` returns them, with or without lists.
    shown : int
        Neighbours of each list in the blocks.
    n_kept : int, optional
        Features of each source whose lists are kept; default: all.
    served : bool
        Whether lists are not in the blocks, but fetched for one feature at a time.
    """
    index = {
        "format": FORMAT,
        "match": MATCH,
        "shown": shown,
        "n_kept": n_kept,
        "served": served,
        "statuses": STATUSES,
        "wrong_p": WRONG_P,
        "reliable": RELIABLE,
        "sources": entries,
    }
    text = json.dumps(index, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
    return packed(text.encode())


def _kept(source: SourceData, n_kept: int | None) -> NDArray[np.bool_]:
    """Return whose lists are kept: all, or the worst, best and most frequent features."""
    n = len(source.windows)
    if n_kept is None or n_kept >= n:
        return np.ones(n, np.bool_)
    kept = np.zeros(n, np.bool_)
    share = max(1, n_kept // (3 * len(source.embeddings)))
    kept[np.argsort(-source.windows.astype(np.int64), kind="stable")[:share]] = True
    for one in source.embeddings:
        sfal = numbers(one.scores, "sfal")
        if sfal is not None:
            order = np.argsort(sfal, kind="stable")[: int((~np.isnan(sfal)).sum())]
            kept[order[:share]] = True
            kept[order[len(order) - min(share, len(order)) :]] = True
    return kept


def _both(
    both: BothLists, blocks: Blocks, kept: NDArray[np.bool_], shown: int
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, lists, places in (
        ("functional", both.functional, both.functional_place),
        ("semantic", both.semantic, both.semantic_place),
    ):
        place = smallest(np.where(kept[:, None], places[:, :shown], 0))
        found[name] = {**_lists(lists, blocks, kept, shown), "place": blocks.array(place)}
    return found


def _lists(
    lists: Lists, blocks: Blocks, kept: NDArray[np.bool_], shown: int
) -> dict[str, dict[str, Any]]:
    mine = kept[:, None]
    n = np.where(kept, np.minimum(lists.n, shown), NOT_KEPT).astype(np.uint8)
    return {
        "n": blocks.array(n),
        "feature": blocks.array(smallest(np.where(mine, lists.feature[:, :shown], 0))),
        "value": blocks.array(np.where(mine, lists.value[:, :shown], np.float32(0))),
    }


def describe_source(source: SourceData, blocks: Blocks) -> dict[str, Any]:
    """Add everything about a source but its lists and examples to blocks, and say where it is."""
    return {
        "name": source.source.name,
        "model": source.source.model,
        "layer": source.source.layer,
        "n_features": len(source.windows),
        "n_windows": source.n_windows,
        "neuronpedia": source.neuronpedia,
        "scoring": {name: getattr(source.settings, name) for name in _SETTINGS},
        "notes": [*source.run_notes, *(note.message for note in source.notes)],
        "sensitivity": source.sensitivity,
        "unreliable_because": source.unreliable_because,
        "windows": blocks.array(smallest(source.windows)),
        "opposites": source.opposites and _opposites(source.opposites, blocks),
        "examples": None,
        "embeddings": [
            _embedding(one, len(source.windows), source.settings, blocks)
            for one in source.embeddings
        ],
    }


def _opposites(lists: Lists, blocks: Blocks) -> dict[str, Any]:
    """Return features and their phi in thousandths, without the sign."""
    thousandths = np.rint(-lists.value.astype(np.float64) * 1000).astype(np.uint32)
    return {
        "n": blocks.array(lists.n),
        "feature": blocks.array(smallest(lists.feature)),
        "thousandths": blocks.array(smallest(thousandths)),
    }


def _embedding(
    one: EmbeddingData, n_features: int, settings: ScoreSettings, blocks: Blocks
) -> dict[str, Any]:
    columns: dict[str, dict[str, Any]] = {}
    for name in (*_EXACT, *_ROUNDED):
        values = numbers(one.scores, name)
        if values is None and name in _ALWAYS:
            values = np.full(n_features, np.nan)
        if values is not None:
            columns[name] = blocks.array(values if name in _EXACT else values.astype(np.float32))
    rank = numbers(one.scores, "label_rank")
    if rank is not None:
        columns["label_rank"] = blocks.array(smallest(np.nan_to_num(rank).astype(np.uint32)))
    status = [STATUSES.index(each) for each in texts(one.scores, "status")]
    stored = numbers(one.scores, "chance")
    chance = None if stored is None else _number(stored[0])
    return {
        "embedder": one.file.embedder,
        "stem": one.file.stem,
        "explainer": one.explainer,
        "chance": chance,
        "law": _law(n_features, status.count(0), settings),
        "notes": [note.message for note in one.notes],
        "reliability": dict(one.scores.reliability),
        "planted_auc": one.planted_auc,
        "labels": blocks.json([one.labels.get(i, "") for i in range(n_features)]),
        "status": blocks.array(np.array(status, np.uint8)),
        "columns": columns,
        "better": _better(one, n_features, blocks),
    }


def _law(n_features: int, n_scored: int, settings: ScoreSettings) -> list[float] | None:
    scores = np.linspace(LOWEST, HIGHEST, BINS + 1)
    survival = survival_of_chance(scores, n_features, n_scored, settings)
    return None if survival is None else [round(float(p), 6) for p in survival]


def _number(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)


def _better(one: EmbeddingData, n_features: int, blocks: Blocks) -> dict[str, Any] | None:
    """Return labels that fit better, if scoring looked for them."""
    if "better_labels" not in one.scores.table.column_names:
        return None
    n = np.zeros(n_features, np.uint8)
    feature = np.zeros((n_features, _BETTER), np.uint32)
    value = np.zeros((n_features, _BETTER), np.float32)
    for i, found in enumerate(texts(one.scores, "better_labels")):
        for j, better in enumerate((found or [])[:_BETTER]):
            n[i] = j + 1
            feature[i, j] = better["feature"]
            value[i, j] = np.nan if better["sfal"] is None else better["sfal"]
    return {
        "n": blocks.array(n),
        "feature": blocks.array(smallest(feature)),
        "sfal": blocks.array(value),
    }
