"""Votes from Neuronpedia: features with explanations, and explanations with scores."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from sfal.errors import CorruptError, InvalidInputError, Note
from sfal.io.gzip_lines import DamagedGzipError, ExpansionLimits, lines
from sfal.stats.votes.json_files import finite, read_json_file
from sfal.stats.votes.votes import Votes

_ENDINGS = (".jsonl.gz", ".jsonl", ".json")
_LIMITS = ExpansionLimits(max_ratio=500, max_line_bytes=64 << 20)
"""A record holds all of a feature's explanations, with the details of their scores."""


def is_export(path: Path) -> bool:
    """Return whether a path may hold such records: a JSON file, or a folder of some."""
    return bool(_files(path))


def read_neuronpedia(
    path: Path, *, score_type: str | None = None, explainer: str | None = None
) -> Votes:
    """Read scores as Neuronpedia serves them.

    A record is a feature: ``index``, and ``explanations`` with ``explanationModelName`` and ``scores``,
    each of which has ``value``, ``explanationScoreTypeName`` and ``explanationScoreModelName``. The
    model that scored is the rater.

    Parameters
    ----------
    path : Path
        ``.json`` with a record or a list of records, ``.jsonl`` or ``.jsonl.gz`` with one per line, or
        a folder of such files.
    score_type : str, optional
        Such as ``eleuther_fuzz``; needed if there are several.
    explainer : str, optional
        Only scores of explanations by this model; default: all.

    Returns
    -------
    Votes
        If a model scored several explanations of a feature, their mean.

    Raises
    ------
    InvalidInputError
        If there are several types of scores and none is chosen, or none of that name.
    CorruptError
        If a file cannot be parsed.
    """
    found: dict[str, dict[tuple[int, str], list[float]]] = defaultdict(lambda: defaultdict(list))
    left_out: Counter[str] = Counter()
    n_records = 0
    for file in _files(path):
        for record in _records(file):
            n_records += 1
            for kind, feature, rater, value in _scores(record, explainer, left_out):
                found[kind][feature, rater].append(value)
    if not found:
        by = f" of explanations by {explainer}" if explainer else ""
        raise InvalidInputError(f"{path}: {n_records:,} records hold no score{by}")
    if (score_type is None and len(found) > 1) or (
        score_type is not None and score_type not in found
    ):
        listed = ", ".join(f"{kind} ({len(found[kind]):,})" for kind in sorted(found))
        raise InvalidInputError(f"{path} holds scores {listed}", hint="choose one with $score_type")
    chosen = found[score_type or next(iter(found))]
    notes = tuple(Note(f"{path}: {n:,} scores left out: {why}") for why, n in left_out.items())
    keys = sorted(chosen)
    return Votes(
        np.array([feature for feature, _rater in keys], dtype=np.int64),
        np.array([np.mean(chosen[key]) for key in keys], dtype=np.float64),
        tuple(rater for _feature, rater in keys),
        np.ones(len(keys)),
        notes=notes,
    )


def _scores(
    record: dict[str, Any], explainer: str | None, left_out: Counter[str]
) -> Iterator[tuple[str, int, str, float]]:
    index = str(record.get("index", ""))
    explanations = record.get("explanations")
    if not isinstance(explanations, list):
        return
    for explanation in explanations:
        scores = explanation.get("scores") if isinstance(explanation, dict) else None
        if not isinstance(scores, list):
            continue
        if explainer is not None and explanation.get("explanationModelName") != explainer:
            continue
        for score in scores:
            value = finite(score.get("value")) if isinstance(score, dict) else None
            if value is None:
                left_out["no number"] += 1
            elif not index.isdecimal() or len(index) > 10:
                left_out["no index of a feature"] += 1
            else:
                kind = str(score.get("explanationScoreTypeName") or "score")
                rater = str(score.get("explanationScoreModelName") or "")
                yield kind, int(index), rater or "unknown", value


def _records(path: Path) -> Iterator[dict[str, Any]]:
    name = path.name.lower()
    if name.endswith(".json"):
        content = read_json_file(path)
        for record in content if isinstance(content, list) else [content]:
            yield _record(record, path)
        return
    try:
        with (
            nullcontext(lines(path, _LIMITS)) if name.endswith(".gz") else path.open("rb") as found
        ):
            for number, line in enumerate(found, 1):
                if line is None:
                    raise CorruptError(f"{path}, line {number} is longer than 64 MiB")
                if line.strip():
                    yield _record(_parsed(line, path, number), path)
    except (DamagedGzipError, OSError) as e:
        raise CorruptError(f"{path} cannot be read: {e}") from e


def _parsed(line: bytes, path: Path, number: int) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as e:
        raise CorruptError(f"{path}, line {number} is not valid JSON") from e


def _record(record: Any, path: Path) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise CorruptError(f"{path} holds something that is not a JSON object per feature")
    return record


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.is_file() and _is_json(p))
    return [path] if _is_json(path) else []


def _is_json(path: Path) -> bool:
    return path.name.lower().endswith(_ENDINGS)
