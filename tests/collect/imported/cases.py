"""Made-up firings, and the windows that plain loops make of them."""

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sfal.collect.windows import plan_windows


def firings(seed, n_docs, n_features, length=50):
    """Rows of document, position, feature, activation; some repeated, some not above 0."""
    rng = np.random.default_rng(seed)
    rows = []
    for document in range(n_docs):
        if document % 7 == 4:
            continue
        n = int(rng.integers(1, length + 1))
        here = rng.integers(1, 40)
        rows.append(
            np.stack(
                [
                    np.full(here, document),
                    np.sort(rng.integers(0, n, here)),
                    rng.integers(0, n_features, here),
                    rng.integers(-1, 3, here),
                ],
                axis=1,
            )
        )
    return np.concatenate(rows)


def ordered(rows, order):
    if order == "by feature":
        return rows[np.argsort(rows[:, 2], kind="stable")]
    if order == "shuffled":
        return np.random.default_rng(0).permutation(rows)
    return rows


def table(rows):
    document, position, feature, activation = rows.T
    return pa.table(
        {
            "document": document.astype(np.int32),
            "position": position.astype(np.uint16),
            "feature": feature.astype(np.uint32),
            "activation": activation.astype(np.float32),
        }
    )


def parquet(path, rows):
    path.parent.mkdir(exist_ok=True, parents=True)
    pq.write_table(table(rows), path, row_group_size=100)
    return path


def expected(rows, size, tail, tokens=None, special=()):
    """(document, window) -> features; without tokens a document ends with its last position."""
    by_document = defaultdict(list)
    for document, position, feature, activation in rows.tolist():
        by_document[document].append((position, feature, activation))
    lengths = {d: int(1 + max(p for p, _, _ in found)) for d, found in by_document.items()}
    ids = {d: [1] * n for d, n in lengths.items()}
    if tokens is not None:
        ids = {d: row.tolist() for d, row in enumerate(tokens)}
    return {
        (document, i): sorted(
            {f for p, f, a in by_document.get(document, []) if a > 0 and p in set(window.tolist())}
        )
        for document in sorted(ids)
        for i, window in enumerate(
            plan_windows(ids[document], special if tokens is not None else (), size, tail)
        )
    }
