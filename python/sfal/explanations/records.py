"""Records of Neuronpedia's export, in both shapes in use, checked field by field.

The database's own export and the batch-autointerp writer share ``index`` and
``description``; every other field may be missing. Records that fail a check are
left out and counted, never repaired by guessing.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from sfal.errors import ArtifactError, CorruptError
from sfal.explanations.export_listing import folder_explainer
from sfal.io.gzip_lines import DamagedGzipError, ExpansionLimits, lines

MAX_FEATURES = 1 << 24
"""Most features of an SAE: no larger one has been published."""
MAX_TEXT = 10_000
"""Most characters of an explanation; usual ones are a sentence."""
MAX_NAME = 200
"""Most characters of the name of a type or an explainer."""
UNNAMED = "unnamed"
"""Type or explainer of a record that does not name one."""

_INDEX = re.compile(r"([0-9]{1,9})(?:\.0*)?")
_EXPONENT = re.compile(r"[0-9]\.([0-9]{1,20})[eE]\+?([0-9]{1,2})")
"""A whole number as ``numpy.savetxt`` writes it: 1.200000e+01. Spreadsheets write 1.23E+05
for numbers that they have rounded, so all digits must be there."""


class Record(NamedTuple):
    """One explanation of one feature."""

    id: str | None
    """Neuronpedia's own key, if the record has one."""
    feature: int
    """Index in the SAE."""
    text: str
    """The explanation, without surrounding white space."""
    type: str
    """Method of explanation, such as ``oai_token-act-pair``."""
    explainer: str
    """Model that wrote it, such as ``gpt-4o-mini``."""
    vector: object
    """``embedding`` as exported: text, list, or None."""


class DamagedBatchError(CorruptError):
    """A batch on disk cannot be decompressed."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} is damaged ({reason})", hint="fetch it again with $do_download")
        self.path = path
        """The damaged file."""


@dataclass(frozen=True)
class RecordReader:
    """A reader of the records in an export's batches.

    Parameters
    ----------
    source : str or None
        ``model/source`` that records must belong to, if they name one.
    n_features : int or None
        Number of features of the SAE, if known; records with a larger index
        are left out.
    limits : ExpansionLimits
        Largest size to which a batch may expand.
    """

    source: str | None = None
    n_features: int | None = None
    limits: ExpansionLimits = field(default_factory=ExpansionLimits)

    def read(
        self, batches: tuple[Path, ...], left_out: Counter[str], *, vectors: bool = False
    ) -> Iterator[Record]:
        """Yield the usable records, in order.

        Parameters
        ----------
        batches : tuple of Path
            Gzipped JSON lines. A record that names no explainer has the one
            that the batch's folder is named after.
        left_out : Counter
            Receives the number of unusable records by reason.
        vectors : bool
            Keep ``embedding``, which makes up most of a record.

        Raises
        ------
        DamagedBatchError
            If a batch cannot be decompressed.
        ArtifactError
            If a batch cannot be read.
        """
        for path in batches:
            explainer = folder_explainer(path.name) or UNNAMED
            try:
                for line in lines(path, self.limits):
                    if line is None:
                        left_out["line too long"] += 1
                    elif line and not line.isspace():
                        try:
                            yield self._record(line, vectors, explainer)
                        except _UnusableError as e:
                            left_out[str(e)] += 1
            except DamagedGzipError as e:
                raise DamagedBatchError(path, str(e)) from e
            except OSError as e:
                raise ArtifactError(f"cannot read {path}: {e.strerror}") from e

    def _record(self, line: bytes, vectors: bool, explainer: str) -> Record:
        try:
            fields = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as e:
            raise _UnusableError("invalid UTF-8") from e
        except (ValueError, RecursionError) as e:
            raise _UnusableError("invalid JSON") from e
        if not isinstance(fields, dict):
            raise _UnusableError("not a JSON object")
        self._check_origin(fields)
        return Record(
            id=_id(fields.get("id")),
            feature=feature_number(fields.get("index"), self.n_features),
            text=explanation_text(fields.get("description")),
            type=kind_name(fields.get("typeName"), "type"),
            explainer=kind_name(fields.get("explanationModelName"), "explainer", explainer),
            vector=fields.get("embedding") if vectors else None,
        )

    def _check_origin(self, fields: dict[str, Any]) -> None:
        model, layer = fields.get("modelId"), fields.get("layer")
        if self.source is None or model is None or layer is None:
            return
        if not isinstance(model, str) or not isinstance(layer, str):
            raise _UnusableError("modelId or layer is not text")
        if f"{model}/{layer}" != self.source:
            raise _UnusableError(OTHER_SOURCE)


OTHER_SOURCE = "of another source"
BEYOND_WIDTH = "index beyond the SAE's width"


class _UnusableError(ValueError):
    """A field that fails a check; the message is the reason that is counted."""


def feature_number(value: object, n_features: int | None = None) -> int:
    """Return the feature index in a field that holds a whole number or its decimal digits.

    Whole floating-point numbers count: pandas turns a column of integers into
    floats as soon as a row has none, and then writes 12 as ``12.0``.

    Raises
    ------
    ValueError
        If the field holds anything else; the message is the reason.
    """
    if value is None:
        raise _UnusableError("no index")
    if isinstance(value, str) and (match := _INDEX.fullmatch(value.strip())):
        value = int(match[1])
    elif isinstance(value, str) and (match := _EXPONENT.fullmatch(value.strip())):
        value = Decimal(value.strip()) if len(match[1]) >= int(match[2]) else value
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < MAX_FEATURES:
        raise _UnusableError("index is not a feature number")
    if n_features is not None and value >= n_features:
        raise _UnusableError(BEYOND_WIDTH)
    return value


def explanation_text(value: object) -> str:
    """Return the explanation in a field, without surrounding white space.

    Raises
    ------
    ValueError
        If the field holds no usable text; the message is the reason.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise _UnusableError("no explanation")
    if not isinstance(value, str):
        raise _UnusableError("explanation is not text")
    text = value.strip()
    if not text:
        raise _UnusableError("empty explanation")
    if len(text) > MAX_TEXT:
        raise _UnusableError("explanation too long")
    if not _is_plain(text):
        raise _UnusableError("explanation is not valid text")
    return text


def kind_name(value: object, what: str, missing: str = UNNAMED) -> str:
    """Return the name of a type or an explainer, or `missing` if the field is empty.

    Raises
    ------
    ValueError
        If the field holds no usable name; the message is the reason.
    """
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return missing
    if not isinstance(value, str):
        raise _UnusableError(f"{what} is not text")
    name = value.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise _UnusableError(f"{what} is not a usable name")
    return name


def _id(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= MAX_NAME else None


def _is_plain(text: str) -> bool:
    """Return whether a text can be stored: no NUL and no lone surrogate."""
    if "\0" in text:
        return False
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
