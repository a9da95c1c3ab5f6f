"""Layers in label files: beside a feature in a column of their own, or before it in its name."""

import math
import re

from sfal.errors import InvalidInputError
from sfal.explanations.user_files.columns import Row, key_of, value

OTHER_LAYER = "of another layer"
OTHER_SOURCE_ID = "of another source of this model"

_LAYER = re.compile(r"(?<![A-Za-z0-9])(?:[Ll](?:ayers?)?[._ -]?)?([0-9]{1,4})(?![0-9])")
_SOURCE_ID = re.compile(r"[0-9]+-[A-Za-z].*")

_WORD = r"(?:latents?|features?|feat|neurons?|units?|f|#)"
_WORDED = re.compile(rf"(?:(.*)[_./:\s-])?{_WORD}[_./:\s#-]*([0-9]{{1,9}})(?:\.0*)?", re.IGNORECASE)
_PLACED = re.compile(r"(.+)[_/:]([0-9]{1,9})(?:\.0*)?")
_PAIR = re.compile(r"\(\s*([0-9]{1,4})\s*,\s*([0-9]{1,9})\s*\)")
_NUMBER = re.compile(r"[0-9]{1,9}(?:\.0*)?")


def layer_number(field: object) -> int | None:
    """Return the layer that a field names, or None if it names none.

    Examples
    --------
    >>> [layer_number(x) for x in (3, "3", 3.0, "layers.3.mlp", "3-gemmascope-res-16k", "x")]
    [3, 3, 3, 3, 3, None]
    """
    if isinstance(field, bool):
        return None
    if isinstance(field, float):
        return int(field) if math.isfinite(field) and field == int(field) else None
    if isinstance(field, int):
        return field
    match = _LAYER.search(field) if isinstance(field, str) else None
    return None if match is None else int(match[1])


class LayerFilter:
    """Which rows of a file with a layer column are those of a source.

    Parameters
    ----------
    layer : int or None
        Layer of the source, if known.
    source_id : str or None
        Name of the source within its model, such as ``3-gemmascope-res-16k``,
        if it is on Neuronpedia.
    """

    def __init__(self, layer: int | None, source_id: str | None = None) -> None:
        self._layer = layer
        self._source_id = source_id
        self._seen: set[str] = set()

    def reason(self, row: Row) -> str | None:
        """Return why a row does not apply, or None if it does.

        Raises
        ------
        InvalidInputError
            If the rows are of several layers and that of the source is unknown.
        """
        field = value(row, "layer")
        if field is None or field == "" or (isinstance(field, float) and math.isnan(field)):
            return None
        if field == self._source_id:
            return None
        if isinstance(field, str) and self._source_id and _SOURCE_ID.fullmatch(field.strip()):
            return OTHER_SOURCE_ID
        number = layer_number(field)
        if self._layer is None:
            self._seen.add(str(field))
            if len(self._seen) > 1:
                raise InvalidInputError(
                    f"the labels are of several layers ({', '.join(sorted(self._seen))}), and the "
                    "layer of the source is unknown",
                    hint="count the source first, or give a file with the labels of one layer",
                )
            return None
        if number is None:
            return "layer is not a number"
        return None if number == self._layer else OTHER_LAYER


def is_feature(name: object) -> bool:
    """Return whether a text is a feature's number, or names a feature by it."""
    return isinstance(name, str) and (
        _NUMBER.fullmatch(name.strip()) is not None or _split(name) is not None
    )


def with_plain_feature(row: Row) -> Row:
    """Return a row in which the feature is a number, and the place before it is a layer.

    ``latent_12``, ``Feature 12`` and ``#12`` are feature 12; ``L5_12``, ``5/12``,
    ``(5, 12)``, ``layers.5.mlp_latent12`` and ``gemma-2-2b/5-gemmascope-res-16k/12``
    are feature 12 of layer 5.
    """
    key = key_of(row, "feature")
    parts = _split(row[key]) if key is not None and isinstance(row[key], str) else None
    if parts is None:
        return row
    place, number = parts
    if place is None or key_of(row, "layer") is not None:
        return {**row, str(key): number}
    return {**row, str(key): number, "layer": place}


def _split(name: str) -> tuple[str | None, str] | None:
    """Return the place, if it names a layer, and the number in a feature's name."""
    text = name.strip()
    if _NUMBER.fullmatch(text):
        return None
    if pair := _PAIR.fullmatch(text):
        return pair[1], pair[2]
    if match := _WORDED.fullmatch(text):
        place = _last(match[1] or "")
        return (None if layer_number(place) is None else place), match[2]
    if match := _PLACED.fullmatch(text):
        place = _last(match[1])
        return None if layer_number(place) is None else (place, match[2])
    return None


def _last(place: str) -> str:
    """Return the source in a Neuronpedia id or address; any other place as it is."""
    return place.rpartition("/")[2]
