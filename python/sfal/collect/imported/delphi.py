"""The activation cache of delphi: safetensors files, each with a range of an SAE's features.

Layout: EleutherAI/delphi, ``delphi/latents/cache.py`` (``LatentCache.save`` and
``save_splits``) and ``delphi/latents/loader.py`` (``TensorBuffer.load``). A file
``{start}_{end}.safetensors`` counts its features from ``start``, and ``end``
is the last one. ``locations`` is (n, 3): row of ``tokens``, position in it,
feature. Activations of both signs are kept if they exceed 1e-5 in size.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sfal.collect.imported.rows import Facts, Rows, Tokens, reading
from sfal.errors import InvalidInputError

SMALLEST = 1e-5
"""Size up to which delphi drops an activation."""

_SPLIT = re.compile(r"(\d+)_(\d+)")
_DTYPES = {
    **{f"U{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"I{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"F{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
    "BF16": "<u2",
}


def feature_range(name: str) -> tuple[int, int] | None:
    """Return the first and the last feature that a file's name states; None if it states none."""
    found = _SPLIT.fullmatch(name)
    return None if found is None else (int(found[1]), int(found[2]))


class _Array(NamedTuple):
    """Where an array lies in a file."""

    dtype: str
    shape: tuple[int, ...]
    offset: int


@dataclass(frozen=True)
class DelphiCache:
    """One file of the cache."""

    path: Path
    """The file."""

    @cached_property
    def _arrays(self) -> dict[str, _Array]:
        from safetensors import SafetensorError, safe_open

        with reading(self.path, "safetensors", SafetensorError, ValueError, KeyError, TypeError):
            # This checks the header and the size of the file.
            with safe_open(self.path, framework="np") as file:
                file.keys()
            with self.path.open("rb") as raw:
                length = int.from_bytes(raw.read(8), "little")
                header = json.loads(raw.read(length))
            return {
                name: _Array(
                    entry["dtype"], tuple(entry["shape"]), 8 + length + entry["data_offsets"][0]
                )
                for name, entry in header.items()
                if name != "__metadata__"
            }

    @cached_property
    def facts(self) -> Facts:
        """What the file says about the whole."""
        arrays = self._arrays
        missing = {"locations", "activations"} - arrays.keys()
        if missing:
            raise InvalidInputError(
                f"{self.path} has no {' and no '.join(sorted(missing))}; it holds "
                f"{', '.join(sorted(arrays)) or 'nothing'}, so it is not from delphi's cache"
            )
        n, other = arrays["locations"].shape, arrays["activations"].shape
        if len(n) != 2 or n[1] != 3 or other != n[:1]:
            raise InvalidInputError(
                f"{self.path}: locations has shape {n} and activations {other}; "
                "delphi writes (n, 3) and (n,)"
            )
        for name, kinds in (("locations", "UI"), ("activations", "FBUI"), ("tokens", "UI")):
            if name in arrays and (
                arrays[name].dtype not in _DTYPES or arrays[name].dtype[0] not in kinds
            ):
                raise InvalidInputError(f"{self.path}: {name} is of type {arrays[name].dtype}")
        return Facts(
            "delphi",
            ("document", "position", "feature", "activation"),
            tokens=self._tokens(),
            features=self._features(),
            document_length=None if "tokens" in arrays else self._context_length(),
        )

    @property
    def model(self) -> str | None:
        """Language model, as ``config.json`` names it."""
        name = self._config().get("model_name")
        return name if isinstance(name, str) else None

    def rows(self, size: int) -> Iterator[Rows]:
        """Read the file in order, `size` rows at a time."""
        start = self.facts.features[0] if self.facts.features is not None else 0
        total = self._arrays["activations"].shape[0]
        for first in range(0, total, size):
            stop = min(first + size, total)
            locations = self._read("locations", first, stop)
            if locations.dtype == np.uint64:
                locations = np.minimum(locations, np.uint64((1 << 63) - 1))
            document, position, feature = locations.T.astype(np.int64)
            within = self.facts.features
            if within is not None and feature.size and feature.max() >= within[1] - start:
                row = int(feature.argmax())
                raise InvalidInputError(
                    f"{self.path}: row {first + row} has feature {feature[row]}, counted from "
                    f"{start}, but by its name the file holds {within[1] - start}",
                    hint="give it back the name that delphi gave it",
                )
            yield Rows(
                first, document, position, feature + start, self._read("activations", first, stop)
            )

    def _features(self) -> tuple[int, int] | None:
        found = feature_range(self.path.stem)
        if found is None:
            return None
        start, last = found
        if last < start:
            raise InvalidInputError(
                f"{self.path}: by its name it ends before it begins",
                hint="give it back the name that delphi gave it",
            )
        return start, last + 1

    def _tokens(self) -> Tokens | None:
        if "tokens" not in self._arrays:
            return None
        shape = self._arrays["tokens"].shape
        if len(shape) != 2:
            raise InvalidInputError(f"{self.path}: tokens has shape {shape}, not (rows, tokens)")
        return Tokens((shape[0], shape[1]), lambda first, stop: self._read("tokens", first, stop))

    def _context_length(self) -> int | None:
        for name in ("cache_ctx_len", "ctx_len"):
            length = self._config().get(name)
            if isinstance(length, int) and not isinstance(length, bool) and length > 0:
                return length
        return None

    def _config(self) -> dict[str, Any]:
        path = self.path.with_name("config.json")
        if not path.is_file():
            return {}
        with reading(path, "JSON", ValueError, RecursionError):
            found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}

    def _read(self, name: str, first: int, stop: int) -> NDArray[Any]:
        """Read rows of an array."""
        array = self._arrays[name]
        dtype = np.dtype(_DTYPES[array.dtype])
        width = int(np.prod(array.shape[1:], dtype=np.int64))
        with reading(self.path, "safetensors"):
            values = np.fromfile(
                self.path,
                dtype,
                (stop - first) * width,
                offset=array.offset + first * width * dtype.itemsize,
            )
            if len(values) != (stop - first) * width:
                raise EOFError("it is cut short")
        if array.dtype == "BF16":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        return values.reshape(-1, *array.shape[1:])
