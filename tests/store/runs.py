"""Runs written in a moment, each document with windows that follow from its number."""

import numpy as np

from sfal.store.manifest import Counts, Manifest
from sfal.store.parts import Windows, iterate_parts
from sfal.store.records import SourceRecord
from sfal.store.run_writer import RunWriter

F = 8
BUFFER = 4


def manifest(n_docs, **other):
    facts = {"source": SourceRecord("m/s"), "n_features": F, "settings": {"window_size": 2}}
    return Manifest(**{**facts, "n_docs": n_docs, **other})


def windows_of(first, stop):
    """Windows that depend on the document's number alone: document d has d % 3 of them."""
    documents, ordinals, rows = [], [], []
    for document in range(first, stop):
        for ordinal in range(document % 3):
            documents.append(document)
            ordinals.append(ordinal)
            rows.append([f for f in range(F) if (document * 7 + ordinal * 3 + f) % 4 == 0])
    indptr = np.cumsum([0, *map(len, rows)])
    return Windows(
        np.array(documents, np.uint64),
        np.array(ordinals, np.uint32),
        indptr.astype(np.int64),
        np.array([f for row in rows for f in row], np.uint32),
    )


def digest(stop):
    return f"digest of {stop}"


def feed(writer, n_docs, until=None, start=0):
    """Give a writer the buffers that it wants; `until` cuts the work off after a document."""
    for first in range(start, n_docs, BUFFER):
        stop = min(first + BUFFER, n_docs)
        if until is not None and stop > until:
            return
        if writer.wants(first, stop):
            found = windows_of(first, stop)
            counts = Counts(
                documents=stop - first, windows=found.n_windows, occurrences=len(found.indices)
            )
            writer.append(first, stop, found, counts, digest(stop))


def run(folder, n_docs, part_windows=6, clock=None, **other):
    clock = {} if clock is None else {"clock": clock}
    made = (
        Manifest.load(folder) if (folder / "manifest.json").exists() else manifest(n_docs, **other)
    )
    return RunWriter(folder, made, BUFFER, part_windows, **clock)


def whole(folder, n_docs, part_windows=6, **other):
    """A run that was never stopped; returns its files and manifest."""
    writer = run(folder, n_docs, part_windows, **other)
    feed(writer, n_docs, start=writer.manifest.start)
    writer.finish()
    return snapshot(folder)


def snapshot(folder):
    parts = {p.name: p.read_bytes() for p in sorted((folder / "occurrences").iterdir())}
    return parts, (folder / "manifest.json").read_text()


def rows_of(folder):
    return [
        (int(d), int(o), tuple(w.indices[w.indptr[i] : w.indptr[i + 1]].tolist()))
        for w in iterate_parts(folder)
        for i, (d, o) in enumerate(zip(w.documents, w.ordinals, strict=True))
    ]


def expected_rows(first, stop):
    found = windows_of(first, stop)
    return [
        (int(d), int(o), tuple(found.indices[found.indptr[i] : found.indptr[i + 1]].tolist()))
        for i, (d, o) in enumerate(zip(found.documents, found.ordinals, strict=True))
    ]


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "lost":
        path.unlink()
    elif how == "short":
        path.write_bytes(bytes(content[: len(content) // 2]))
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
