"""Score tables as arrays, and results of studies as JSON, part by part."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

RESULTS = Path(__file__).parent / "results"


def numbers(table: "pa.Table", name: str) -> NDArray[np.float64]:
    """Return a column of numbers, NaN where a feature has none."""
    return np.array(table[name].to_pylist(), dtype=np.float64)


def medians(table: "pa.Table") -> dict[str, float]:
    """Return the median scores and ceiling of the features that have them."""
    names = {"sfal": "sfal", "corrected": "sfal_corrected", "ceiling": "ceiling"}
    return {key: float(np.nanmedian(numbers(table, name))) for key, name in names.items()}


def compute_missing(study: str, parts: Mapping[str, Callable[[], Any]]) -> None:
    """Compute the parts that ``results/{study}.json`` does not hold yet, and add each to it."""
    path = RESULTS / f"{study}.json"
    found = read_results(study)
    path.parent.mkdir(exist_ok=True)
    for name, compute in parts.items():
        if name not in found:
            found[name] = compute()
            path.write_text(json.dumps(_without_nan(found), indent=1) + "\n", encoding="utf-8")


def _without_nan(value: Any) -> Any:
    """Return the same with null for what JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and np.isnan(value) else value


def read_results(study: str) -> dict[str, Any]:
    """Return what was computed of a study so far."""
    path = RESULTS / f"{study}.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found
