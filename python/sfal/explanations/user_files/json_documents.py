"""Rows of labels in a JSON document, in the shapes in which people keep them."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from sfal.explanations.user_files.columns import (
    FRAME_INDEX,
    NESTED,
    Row,
    column_of,
    has,
    is_vague,
    key_of,
    value,
)
from sfal.explanations.user_files.layers import is_feature

_WRAPPERS = (
    "explanations",
    "labels",
    "features",
    "results",
    "records",
    "rows",
    "data",
    "eval_result_unstructured",
)
"""Fields under which an API or an evaluation keeps its records."""

_MAX_DEPTH = 4


def json_rows(document: object, left_out: Counter[str], depth: int = 0) -> Iterator[Row]:
    """Yield the rows of a JSON document.

    Read are an array of records, of texts (the position is the feature) or of
    pairs; an object of texts, of records or of lists of these by feature, also
    layer by layer; a record; pandas' ``columns``, ``split`` and ``index``
    orientations; and any of these below a key such as ``data`` or ``results``.

    Parameters
    ----------
    document : object
        As :mod:`json` parses it.
    left_out : Counter
        Receives the number of items that are not rows, by reason.
    depth : int
        Depth inside the document.
    """
    if isinstance(document, list):
        for position, item in enumerate(document):
            yield from _item(position, item, left_out)
    elif isinstance(document, dict):
        yield from _object(document, left_out, depth)
    else:
        left_out["not a JSON object"] += 1


def _item(position: int, item: object, left_out: Counter[str]) -> Iterator[Row]:
    if isinstance(item, dict):
        yield item
    elif isinstance(item, str) or item is None:
        yield {"feature": position, "explanation": item}
    elif isinstance(item, list) and len(item) == 2 and isinstance(item[1], str):
        yield {"feature": item[0], "explanation": item[1]}
    else:
        left_out["not a JSON object"] += 1


def _object(document: dict[str, Any], left_out: Counter[str], depth: int) -> Iterator[Row]:
    names, cells = document.get("columns"), document.get("data")
    if isinstance(names, list) and isinstance(cells, list):
        yield from _split_rows(names, cells, document.get("index"), left_out)
        return
    wrapper = next((w for w in _WRAPPERS if isinstance(document.get(w), list | dict)), None)
    if key_of(document, "feature") is not None and not _is_report(document, wrapper):
        columns = _columns(document)
        yield from [document] if columns is None else columns
        return
    if wrapper is not None and depth < _MAX_DEPTH and not any(map(is_feature, document)):
        yield from json_rows(document[wrapper], left_out, depth + 1)
        return
    for key, entry in document.items():
        yield from _entry(key, entry)


def _is_report(document: dict[str, Any], wrapper: str | None) -> bool:
    """Return whether an object holds records, although it has a field named like a feature.

    A report about features may have an id or a dimension of its own; a feature of
    Neuronpedia's API holds its explanations, which do not repeat the index.
    """
    if wrapper is None:
        return False
    inner = document[wrapper]
    if wrapper != NESTED:
        return is_vague(str(key_of(document, "feature"))) or not has(document, "explanation")
    return isinstance(inner, dict) or any(
        isinstance(item, dict) and is_feature(str(value(item, "feature"))) for item in inner
    )


def _split_rows(
    names: list[Any], cells: list[Any], index: object, left_out: Counter[str]
) -> Iterator[Row]:
    """Yield the rows of a frame that pandas wrote with ``orient="split"``."""
    numbers = index if isinstance(index, list) and len(index) == len(cells) else [None] * len(cells)
    for number, row in zip(numbers, cells, strict=True):
        if isinstance(row, list) and len(row) == len(names):
            named = dict(zip(map(str, names), row, strict=True))
            yield named if number is None else {**named, FRAME_INDEX: number}
        else:
            left_out["not a JSON object"] += 1


def _columns(document: dict[str, Any]) -> list[Row] | None:
    """Return the rows of a table kept by columns, or None if the object is a single record."""
    features = value(document, "feature")
    if not isinstance(features, list | dict):
        return None
    # pandas writes each column as an object by row name, other tools as an array.
    rows = list(features) if isinstance(features, dict) else range(len(features))
    parts = {n: c for n, c in document.items() if column_of(n) and type(c) is type(features)}

    def cell(part: Any, row: Any) -> object:
        if isinstance(part, dict):
            return part.get(row)
        return part[row] if row < len(part) else None

    return [{name: cell(part, row) for name, part in parts.items()} for row in rows]


def _entry(key: str, entry: object) -> Iterator[Row]:
    """Yield the rows of one entry of an object whose keys are features or layers."""
    place: dict[str, object] = {"feature": key}
    if isinstance(entry, dict) and not has(entry, "explanation") and NESTED not in entry:
        if entry and all(map(is_feature, entry)):
            for feature, inner in entry.items():
                for row in _entry(feature, inner):
                    yield {"layer": key, **row}
        else:
            yield {**place, "explanation": None}
    elif isinstance(entry, dict):
        own = key_of(entry, "feature")
        # The key says more than an id, which may be that of the record.
        by_key = own is None or (is_vague(own) and is_feature(key))
        yield {**entry, **place} if by_key else {**entry}
    elif isinstance(entry, list) and entry:
        for item in entry:
            yield from _entry(key, item if isinstance(item, dict) else _text(item))
    else:
        yield {**place, "explanation": entry}


def _text(item: object) -> object:
    """Return an item of a list of explanations; a list inside it is not one."""
    return None if isinstance(item, list) else item
