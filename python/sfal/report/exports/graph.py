"""The neighbour graph: an edge list as Parquet, and GraphML for networkx and Gephi."""

import math
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from sfal.io.arrow import from_numpy
from sfal.io.atomic import atomic_path
from sfal.report.exports.exported import Exported, shown
from sfal.report.payload import MATCH

EDGES, GRAPH = "edges.parquet", "graph.graphml"
_BLOCK = 1 << 12
"""Edges whose vectors are multiplied at a time."""

# XML 1.0 cannot hold these, not even escaped.
_IMPOSSIBLE = re.compile(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")

_NODE_FIELDS = {"label": "string", "status": "string", "sfal": "double", "windows": "long"}
_EDGE_FIELDS = {"weight": "double", "phi": "double", "cosine": "double", "matched": "boolean"}


@dataclass(frozen=True)
class Edges:
    """Undirected edges, each pair once, ascending."""

    source: NDArray[np.uint32]
    """Shape (E,): the smaller index."""
    target: NDArray[np.uint32]
    """Shape (E,): the larger index."""
    phi: NDArray[np.float32]
    """Shape (E,)."""
    cosine: NDArray[np.float32]
    """Shape (E,); NaN where one of both has no label."""
    matched: NDArray[np.bool_]
    """Shape (E,): whether one of both also has the other among its first semantic neighbours."""


def edges_of(exported: Exported, neighbours: int) -> Edges:
    """Connect each feature with its first functional neighbours.

    Parameters
    ----------
    exported : Exported
    neighbours : int
        Neighbours of each feature.
    """
    filled = shown(exported.lists.functional, neighbours)
    one = np.broadcast_to(np.arange(len(filled))[:, None], filled.shape)[filled]
    other = exported.lists.functional.feature[:, :neighbours][filled].astype(np.int64)
    phi = exported.lists.functional.value[:, :neighbours][filled]
    place = exported.lists.functional_place[:, :neighbours][filled]
    matched = (place > 0) & (place <= MATCH)
    pairs = np.minimum(one, other) * len(filled) + np.maximum(one, other)
    found, at, which = np.unique(pairs, return_index=True, return_inverse=True)
    either = np.zeros(len(found), np.bool_)
    np.logical_or.at(either, which, matched)
    source, target = found // len(filled), found % len(filled)
    return Edges(
        source.astype(np.uint32),
        target.astype(np.uint32),
        phi[at],
        _cosines(exported, source, target),
        either,
    )


def _cosines(
    exported: Exported, source: NDArray[np.int64], target: NDArray[np.int64]
) -> NDArray[np.float32]:
    matrix, explained = exported.embeddings.matrix, exported.embeddings.explained
    cosines = np.full(len(source), np.nan, np.float32)
    known = np.flatnonzero(explained[source] & explained[target])
    for first in range(0, len(known), _BLOCK):
        at = known[first : first + _BLOCK]
        one, other = (matrix[each[at]].astype(np.float64) for each in (source, target))
        norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        cosines[at] = np.einsum("ij,ij->i", one, other) / norms
    return cosines


def write_graph(exported: Exported, folder: Path, neighbours: int) -> Edges:
    """Write ``edges.parquet`` and ``graph.graphml``, both or neither.

    Parameters
    ----------
    exported : Exported
    folder : Path
        Folder of the files, which appear whole or not at all.
    neighbours : int
        Neighbours of each feature.

    Returns
    -------
    edges : Edges
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    edges = edges_of(exported, neighbours)
    known = ~np.isnan(edges.cosine)
    table = pa.table(
        {
            "source": from_numpy(edges.source),
            "target": from_numpy(edges.target),
            "phi": from_numpy(edges.phi),
            "cosine": from_numpy(edges.cosine, known),
            "matched": pa.array(edges.matched.tolist(), pa.bool_()),
        }
    )
    with ExitStack() as stack:
        temporary = stack.enter_context(atomic_path(folder / EDGES))
        xml = stack.enter_context(atomic_path(folder / GRAPH))
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)
        with xml.open("w", encoding="utf-8", newline="\n") as file:
            _write_graphml(exported, edges, file)
    return edges


def _write_graphml(exported: Exported, edges: Edges, file: IO[str]) -> None:
    file.write('<?xml version="1.0" encoding="UTF-8"?>\n')
    file.write('<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n')
    for what, fields in (("node", _NODE_FIELDS), ("edge", _EDGE_FIELDS)):
        for name, kind in fields.items():
            file.write(
                f'<key id="{what}-{name}" for="{what}" attr.name="{name}" attr.type="{kind}"/>\n'
            )
    file.write('<graph edgedefault="undirected">\n')
    file.writelines(_nodes(exported))
    file.writelines(_lines(edges))
    file.write("</graph>\n</graphml>\n")


def _nodes(exported: Exported) -> Iterator[str]:
    columns = [exported.scores.column(name).to_pylist() for name in ("status", "sfal")]
    columns.append(exported.windows.tolist())
    for i, (label, *values) in enumerate(zip(exported.labels, *columns, strict=True)):
        data = _data("node", zip(_NODE_FIELDS, (label, *values), strict=True))
        yield f'<node id="{i}">{data}</node>\n'


def _lines(edges: Edges) -> Iterator[str]:
    columns = (edges.source, edges.target, edges.phi, edges.cosine, edges.matched)
    for source, target, phi, cosine, matched in zip(*(c.tolist() for c in columns), strict=True):
        # Gephi's layouts take `weight`, and cannot use a negative one.
        values = (max(phi, 0.0), phi, cosine, matched)
        data = _data("edge", zip(_EDGE_FIELDS, values, strict=True))
        yield f'<edge source="{source}" target="{target}">{data}</edge>\n'


def _data(what: str, values: Iterator[tuple[str, object]]) -> str:
    return "".join(
        f'<data key="{what}-{name}">{_text(value)}</data>'
        for name, value in values
        if not (value is None or value == "" or (isinstance(value, float) and math.isnan(value)))
    )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return escape(_IMPOSSIBLE.sub("\ufffd", str(value)), {"\r": "&#13;"})
