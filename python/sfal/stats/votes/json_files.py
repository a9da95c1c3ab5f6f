"""JSON that others wrote, read within limits."""

import json
from pathlib import Path
from typing import Any

from sfal.errors import ArtifactError, CorruptError

_MAX_BYTES = 256 << 20
"""Size of a JSON file from which on it is taken for something else."""


def read_json_file(path: Path) -> Any:
    """Read a JSON file of at most 256 MiB.

    Raises
    ------
    CorruptError
        If it is not JSON, or larger.
    ArtifactError
        If it cannot be read.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise CorruptError(f"{path} is larger than 256 MiB")
        return json.loads(path.read_bytes())
    except OSError as e:
        raise ArtifactError(f"cannot read {path}: {e.strerror or e}") from e
    except (ValueError, RecursionError) as e:
        raise CorruptError(f"{path} is not valid JSON") from e


def finite(value: object) -> float | None:
    """Return a JSON number as a float; None if it is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if abs(number) < float("inf") else None
