"""Explanations from a user's file or folder."""

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sfal.errors import ArtifactError, CorruptError, InvalidInputError, MissingError, Note
from sfal.explanations.records import Record, explanation_text, feature_number, kind_name
from sfal.explanations.user_files.columns import LabelColumns, Row, unnested, value
from sfal.explanations.user_files.delphi import (
    delphi_explainer,
    delphi_rows,
    explanations_folder,
    is_delphi,
)
from sfal.explanations.user_files.layers import LayerFilter, with_plain_feature
from sfal.explanations.user_files.tables import ENDINGS, rows_of_file
from sfal.io.atomic import sha256_file
from sfal.io.first_line import first_line
from sfal.io.gzip_lines import DamagedGzipError

_DEFAULT_TYPE = "custom"


@dataclass(frozen=True)
class LabelPlace:
    """What is known of the source whose labels are read."""

    n_features: int | None = None
    """Number of features of the SAE."""
    layer: int | None = None
    """Layer of the SAE."""
    site: str | None = None
    """Site of the SAE."""
    source_id: str | None = None
    """Name of the source within its model on Neuronpedia, such as ``3-gemmascope-res-16k``."""


def read_explanations_file(
    path: Path,
    left_out: Counter[str],
    place: LabelPlace | None = None,
    columns: LabelColumns | None = None,
    notes: list[Note] | None = None,
) -> Iterator[Record]:
    """Yield the explanations in a local file or folder.

    A row needs a feature (``feature``, ``feature_id``, ``latent``, ``index``, ``id``
    …; as a number, or spelled like ``latent_12`` or ``5/12``) and an ``explanation``,
    ``description``, ``label``, ``text`` …; of several such columns the first in the
    table of :mod:`sfal.explanations.user_files.columns` counts. Its type defaults to
    ``custom`` and its explainer to the file's name. A ``layer`` column selects
    the rows of the source's layer.

    Parameters
    ----------
    path : Path
        CSV, TSV, JSON, JSON lines (each also gzipped), Parquet; or a folder of
        such files, or of delphi's.
    left_out : Counter
        Receives the number of unusable rows by reason.
    place : LabelPlace, optional
        What is known of the source.
    columns : LabelColumns, optional
        The columns that the user names.
    notes : list of Note, optional
        Receives what the user should know about the file.

    Raises
    ------
    InvalidInputError
        If the format is unknown, a column is missing, or the labels are of
        several layers and that of the source is unknown.
    MissingError
        If the file does not exist.
    CorruptError
        If its content cannot be parsed.
    ArtifactError
        If it cannot be read for another reason.
    """
    place = place or LabelPlace()
    columns = columns or LabelColumns()
    notes = [] if notes is None else notes
    layers = LayerFilter(place.layer, place.source_id)
    header: Row | None = None
    n_usable = 0
    with _reading(path):
        for explainer, row in _rows(path, left_out, place, columns, notes):
            if header is None:
                header = row
                notes += columns.notes(row, path)
            for one in map(with_plain_feature, unnested(columns.applied(row))):
                reason = layers.reason(one)
                if reason is not None:
                    left_out[reason] += 1
                    continue
                try:
                    record = Record(
                        id=None,
                        feature=feature_number(value(one, "feature"), place.n_features),
                        text=explanation_text(value(one, "explanation")),
                        type=kind_name(value(one, "type"), "type", _DEFAULT_TYPE),
                        explainer=kind_name(value(one, "explainer"), "explainer", explainer),
                        vector=None,
                    )
                except ValueError as e:
                    left_out[str(e)] += 1
                    continue
                n_usable += 1
                yield record
    if header is not None and not n_usable:
        columns.check(header, path)


def file_origin(path: Path) -> dict[str, str]:
    """Return the name and the hash of an explanations file or folder, for metadata."""
    if not path.is_dir():
        return {"file": path.name, "sha256": sha256_file(path)}
    folder = explanations_folder(path)
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.is_file():
            digest.update(f"{file.name}\0{sha256_file(file)}\n".encode())
    return {"file": path.resolve().name, "sha256": digest.hexdigest()}


def _rows(
    path: Path,
    left_out: Counter[str],
    place: LabelPlace,
    columns: LabelColumns,
    notes: list[Note],
) -> Iterator[tuple[str, Row]]:
    """Yield rows, each with the name of the explainer that it need not state."""
    if not path.is_dir():
        ending = _ending(path)
        for row in rows_of_file(path, ending, left_out, columns, notes):
            yield path.name[: -len(ending)], row
        return
    folder = explanations_folder(path)
    if is_delphi(folder):
        explainer = delphi_explainer(folder)
        for row in delphi_rows(folder, left_out, place.layer, place.site):
            yield explainer, row
        return
    files = sorted((p for p in folder.iterdir() if _known(p)), key=lambda p: _in_order(p.name))
    if not files:
        raise InvalidInputError(
            f"{path} holds no file with explanations",
            hint="give delphi's folder explanations, or files that end in " + ", ".join(ENDINGS),
        )
    for file in files:
        with _reading(file):
            for row in rows_of_file(file, _ending(file), left_out, columns, notes):
                yield path.resolve().name, row


def _known(path: Path) -> bool:
    hidden = path.name.startswith((".", "_"))
    return path.is_file() and not hidden and path.name.lower().endswith(ENDINGS)


def _in_order(name: str) -> list[tuple[int, str]]:
    """Return a key that puts ``batch-2`` before ``batch-10``."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    ]


def _ending(path: Path) -> str:
    name = path.name.lower()
    ending = next((e for e in ENDINGS if name.endswith(e)), None)
    if ending is not None:
        return ending
    if name.endswith((".npy", ".npz", ".pkl", ".pickle", ".pt")):
        raise InvalidInputError(
            f"{path} is not read: texts in such a file are Python objects, which may run code",
            hint="write them as CSV, JSON or Parquet with columns feature and explanation",
        )
    raise InvalidInputError(
        f"{path}: unknown format of explanations",
        hint=f"give a file that ends in {', '.join(ENDINGS)}, or delphi's folder explanations",
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
    except (csv.Error, DamagedGzipError, ValueError, pa.ArrowException) as e:
        raise CorruptError(f"{path} cannot be read: {first_line(e)}") from e
