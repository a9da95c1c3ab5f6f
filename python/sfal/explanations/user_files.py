"""Explanations from a user's file: CSV, JSON lines or Parquet."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sfal.errors import ArtifactError, CorruptError, InvalidInputError, MissingError
from sfal.explanations.records import Record, explanation_text, feature_number, kind_name
from sfal.io.atomic import sha256_file
from sfal.io.gzip_lines import DamagedGzipError, ExpansionLimits, lines

_NAMES = {
    "feature": ("feature", "index", "feature_index"),
    "explanation": ("explanation", "description"),
    "explainer": ("explainer", "explanationModelName"),
    "type": ("type", "typeName"),
}
"""Names of each column in our files, in Neuronpedia's and in the published ones."""

_DEFAULT_TYPE = "custom"
_ROWS = 256
_LIMITS = ExpansionLimits(max_ratio=500)
"""A user's file may be more repetitive than an export."""
_Row = Mapping[str, Any]


def read_explanations_file(
    path: Path, left_out: Counter[str], n_features: int | None = None
) -> Iterator[Record]:
    """Yield the explanations in a local file.

    A row needs ``feature`` (or ``index``) and ``explanation`` (or
    ``description``). Its type defaults to ``custom`` and its explainer to the
    file's name.

    Parameters
    ----------
    path : Path
        ``.csv``, ``.jsonl``, ``.jsonl.gz`` or ``.parquet``.
    left_out : Counter
        Receives the number of unusable rows by reason.
    n_features : int, optional
        Number of features of the SAE.

    Raises
    ------
    InvalidInputError
        If the file name ends otherwise, or a column is missing.
    MissingError
        If the file does not exist.
    CorruptError
        If its content cannot be parsed.
    ArtifactError
        If it cannot be read for another reason.
    """
    name = path.name.lower()
    ending = next((e for e in _READERS if name.endswith(e)), None)
    if ending is None:
        raise InvalidInputError(
            f"{path}: unknown format of explanations",
            hint=f"give a file that ends in {', '.join(_READERS)}",
        )
    explainer = path.name[: -len(ending)]
    header: _Row | None = None
    n_usable = 0
    with _reading(path):
        for row in _READERS[ending](path, left_out):
            header = row if header is None else header
            try:
                record = Record(
                    id=None,
                    feature=feature_number(_value(row, "feature"), n_features),
                    text=explanation_text(_value(row, "explanation")),
                    type=kind_name(_value(row, "type"), "type", _DEFAULT_TYPE),
                    explainer=kind_name(_value(row, "explainer"), "explainer", explainer),
                    vector=None,
                )
            except ValueError as e:
                left_out[str(e)] += 1
                continue
            n_usable += 1
            yield record
    if header is not None and not n_usable:
        _check_columns(header, path)


def file_origin(path: Path) -> dict[str, str]:
    """Return the name and the hash of an explanations file, for metadata."""
    return {"file": path.name, "sha256": sha256_file(path)}


def _value(row: _Row, column: str) -> object:
    """Return a column's value under the first of its names that the row has."""
    return next((row[name] for name in _NAMES[column] if name in row), None)


def _check_columns(row: _Row, path: Path) -> None:
    for column in ("feature", "explanation"):
        if not any(name in row for name in _NAMES[column]):
            raise InvalidInputError(
                f"{path} has no column {' or '.join(_NAMES[column][:2])}; "
                f"it has {', '.join(str(name)[:40] for name in list(row)[:12])}"
            )


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (ArtifactError, InvalidInputError):
        raise
    except FileNotFoundError as e:
        raise MissingError(f"{path} does not exist") from e
    except OSError as e:
        raise ArtifactError(f"cannot read {path}: {e.strerror or e}") from e
    except (csv.Error, DamagedGzipError, UnicodeDecodeError, pa.ArrowException) as e:
        first = (str(e).splitlines() or [type(e).__name__])[0][:200]
        raise CorruptError(f"{path} cannot be read: {first}") from e


def _csv_rows(path: Path, left_out: Counter[str]) -> Iterator[_Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def _json_rows(path: Path, left_out: Counter[str]) -> Iterator[_Row]:
    is_compressed = path.name.lower().endswith(".gz")
    with nullcontext(lines(path, _LIMITS)) if is_compressed else path.open("rb") as found:
        for line in found:
            if line is None:
                left_out["line too long"] += 1
                continue
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8"))
            except UnicodeDecodeError:
                left_out["invalid UTF-8"] += 1
                continue
            except (ValueError, RecursionError):
                left_out["invalid JSON"] += 1
                continue
            if isinstance(row, dict):
                yield row
            else:
                left_out["not a JSON object"] += 1


def _parquet_rows(path: Path, left_out: Counter[str]) -> Iterator[_Row]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        wanted = {name for names in _NAMES.values() for name in names}
        present = [name for name in file.schema_arrow.names if name in wanted]
        if not present:
            yield dict.fromkeys(file.schema_arrow.names)
        # Few rows at a time: a small file can repeat a long text very often.
        for batch in file.iter_batches(_ROWS, columns=present):
            yield from batch.to_pylist()


_READERS: dict[str, Callable[[Path, Counter[str]], Iterator[_Row]]] = {
    ".csv": _csv_rows,
    ".jsonl": _json_rows,
    ".jsonl.gz": _json_rows,
    ".parquet": _parquet_rows,
}
