"""``scores.parquet``: the scores of a run, one set after the other."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sfal.errors import CorruptError, MissingError
from sfal.io.arrow import to_numpy
from sfal.io.first_line import first_line
from sfal.store.layout import SCORES

if TYPE_CHECKING:
    import pyarrow as pa

_METADATA = b"sfal"
_TEXTS = ("embedding", "explainer", "status")
_ROW_BYTES = 64
"""Bytes of a row in memory, at least."""
_MAX_RATIO = 1000
"""Bytes in memory per byte of file; equal scores throughout reach about 100."""


@dataclass(frozen=True)
class ScoreSet:
    """Scores of a run's features by one set of embeddings."""

    embedding: str
    """Embedder."""
    explainer: str
    """Name of the explainer."""
    stem: str
    """``{type}_{explainer}`` of the explanations; empty if the file does not say."""
    table: "pa.Table"
    """One row per feature, ascending."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the file says that it was made from: settings, counts; empty in files of earlier versions."""
    reliability: Mapping[str, Any] = field(default_factory=dict)
    """What the file says about the median of the set; empty if nothing."""

    @property
    def name(self) -> str:
        """Embedder and explanations."""
        return f"{self.embedding} ({self.stem or self.explainer})"


def read_scores(run_folder: Path) -> tuple[ScoreSet, ...]:
    """Read the scores of a run.

    Parameters
    ----------
    run_folder : Path
        Folder of a source, or of a further run.

    Returns
    -------
    sets : tuple of ScoreSet
        In the order of the file.

    Raises
    ------
    MissingError
        If the run has not been scored.
    CorruptError
        If the file is damaged or has another layout.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = run_folder / SCORES
    try:
        # Columns that are read as dictionaries must exist.
        _check_schema(pq.read_schema(path), path)
        with pq.ParquetFile(
            path, page_checksum_verification=True, read_dictionary=list(_TEXTS)
        ) as file:
            if file.metadata.num_rows * _ROW_BYTES > _MAX_RATIO * path.stat().st_size:
                raise CorruptError(
                    f"{path} claims {file.metadata.num_rows:,} rows, too many for its length",
                    hint="$do_score writes it again",
                )
            table = file.read()
    except FileNotFoundError as e:
        raise MissingError(f"no scores yet in {run_folder}", hint="$do_score makes them") from e
    except (OSError, ValueError, pa.ArrowException) as e:
        raise CorruptError(
            f"{path} cannot be read ({first_line(e)})", hint="$do_score writes it again"
        ) from e
    if any(table.column(name).null_count for name in ("feature", *_TEXTS)):
        raise CorruptError(f"{path} has missing values", hint="$do_score writes it again")
    return _split(table)


def read_score_facts(run_folder: Path) -> dict[str, Any]:
    """Return what ``scores.parquet`` says about how scores were computed.

    Returns
    -------
    facts : dict
        Empty if there are no scores, or those of an earlier version, which say nothing.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return _facts(pq.read_schema(run_folder / SCORES))
    except (OSError, ValueError, pa.ArrowException):
        return {}


def _split(table: "pa.Table") -> tuple[ScoreSet, ...]:
    """Split a table where its features begin again."""
    features = to_numpy(table.column("feature")).astype(np.int64)
    starts = np.flatnonzero(np.diff(features, prepend=2**32) <= 0).tolist()
    facts = _facts(table.schema)
    own = _own_facts(facts, len(starts))
    found = []
    for i, start in enumerate(starts):
        stop = starts[i + 1] if i + 1 < len(starts) else len(table)
        part = table.slice(start, stop - start)
        embedding, explainer = (part.column(name)[0].as_py() for name in _TEXTS[:2])
        reliability = own[i].get("reliability")
        found.append(
            ScoreSet(
                embedding,
                explainer,
                str(own[i].get("stem", "")),
                part,
                facts,
                reliability if isinstance(reliability, dict) else {},
            )
        )
    return tuple(found)


def _facts(schema: Any) -> dict[str, Any]:
    try:
        facts = json.loads((schema.metadata or {})[_METADATA])
    except (KeyError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _own_facts(facts: Mapping[str, Any], n: int) -> list[dict[str, Any]]:
    """Return what a file says about each set; nothing unless it names all of them."""
    own = facts.get("embeddings")
    if isinstance(own, list) and len(own) == n and all(isinstance(one, dict) for one in own):
        return own
    return [{} for _ in range(n)]


def _check_schema(schema: Any, path: Path) -> None:
    import pyarrow as pa

    wanted = {"feature": pa.uint32(), "sfal": pa.float64()}
    wanted |= dict.fromkeys(_TEXTS, pa.string())
    for name, kind in wanted.items():
        at = schema.get_field_index(name)
        if at < 0 or _plain(schema.field(at).type) != kind:
            raise CorruptError(
                f"{path} has no column {name} ({kind})", hint="$do_score writes it again"
            )


def _plain(kind: Any) -> Any:
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind
