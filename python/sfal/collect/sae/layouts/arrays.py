"""What the readers of all layouts share: arrays under our names, checked against each other."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from sfal.collect.sae.files import check_arrays, encoder_shape
from sfal.errors import ArtifactError, Note


class TensorFile(Protocol):
    """A file of named tensors."""

    path: Path
    """The file."""
    shapes: dict[str, tuple[int, ...]]
    """Shape of each tensor."""

    def read(self, keys: list[str]) -> dict[str, Tensor]:
        """Read floating-point tensors."""


def read_arrays(
    file: TensorFile, names: Mapping[str, str], *, by_rows: bool, decoder_by_rows: bool
) -> dict[str, Tensor]:
    """Read the arrays of an encoder under SAELens' names, in its orientation.

    Parameters
    ----------
    file : TensorFile
        Where they are.
    names : mapping of str to str
        SAELens' name (W_enc, b_enc, threshold, b_dec, …) to the file's.
    by_rows, decoder_by_rows : bool
        Whether a feature is a row of the file's encoder, and of its decoder.
        SAELens has it as a column, and as a row.

    Raises
    ------
    ArtifactError
        If one is missing, has the wrong shape, or holds NaN; the message names
        the file and the file's name of the array.
    """
    tensors = file.read(list(names.values()))
    rows, columns = encoder_shape(file.path, tensors, names["W_enc"])
    n_features, d_in = (rows, columns) if by_rows else (columns, rows)
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(names, (n_features,))
    shapes["W_enc"] = (rows, columns)
    shapes["b_dec"] = (d_in,)
    shapes["W_dec"] = (n_features, d_in) if decoder_by_rows else (d_in, n_features)
    check_arrays(file.path, tensors, {theirs: shapes[ours] for ours, theirs in names.items()})
    found = {ours: tensors[theirs] for ours, theirs in names.items()}
    if by_rows:
        found["W_enc"] = found["W_enc"].t()
    if "W_dec" in found and not decoder_by_rows:
        found["W_dec"] = found["W_dec"].t()
    return found


def positive_integer(path: Path, settings: Mapping[str, Any], key: str) -> int:
    """Return a whole number above 0 from settings.

    Raises
    ------
    ArtifactError
        If there is none; the message names file and key.
    """
    value = settings.get(key)
    if type(value) is not int or value <= 0:
        raise ArtifactError(f"{path}: {key} is {str(value)[:80]!r}, not a number above 0")
    return value


def flag(path: Path, settings: Mapping[str, Any], key: str, *, default: bool = False) -> bool:
    """Return a truth value from settings.

    Raises
    ------
    ArtifactError
        If it is anything else; the message names file and key.
    """
    value = settings.get(key, default)
    if value is None:
        return default
    if type(value) is not bool:
        raise ArtifactError(f"{path}: {key} is {str(value)[:80]!r}, not true or false")
    return value


def check_size(path: Path, settings: Mapping[str, Any], key: str, size: int) -> None:
    """Refuse settings that state another size than the arrays have; 0 and None state none."""
    stated = settings.get(key)
    if stated and stated != size:
        raise ArtifactError(f"{path}: {key} is {str(stated)[:80]}, but the weights have {size}")


def unknown_settings(
    path: Path, settings: Mapping[str, Any], known: Sequence[str]
) -> tuple[Note, ...]:
    """Return a note that names the settings SFAL does not know, if there are any."""
    unknown = sorted(set(settings) - set(known))
    if not unknown:
        return ()
    return (Note(f"{path}: SFAL does not know the settings {', '.join(unknown[:12])}"),)
