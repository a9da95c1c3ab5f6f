"""Typed arrays and texts as blocks that a page decodes: shuffled bytes, zlib, base64."""

import base64
import hashlib
import json
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEVEL = 6

_NAMES = {"uint8": "u8", "uint16": "u16", "uint32": "u32", "float32": "f32", "float64": "f64"}


class Blocks:
    """Blocks in the order in which they were added; equal ones are kept once.

    Parameters
    ----------
    named : bool
        Refer to blocks by their digests, which hold across sources and changes, not by number.
    """

    def __init__(self, *, named: bool = False) -> None:
        self._named = named
        self._blocks: list[str] = []
        self._known: dict[bytes, int] = {}

    @property
    def texts(self) -> tuple[str, ...]:
        """Base64 of each block."""
        return tuple(self._blocks)

    @property
    def size(self) -> int:
        """Characters of all blocks."""
        return sum(map(len, self._blocks))

    @property
    def by_name(self) -> dict[str, str]:
        """Base64 of each block by its digest."""
        return {name.hex(): self._blocks[at] for name, at in self._known.items()}

    def copy(self) -> "Blocks":
        """Return blocks to which more can be added without changing these."""
        other = Blocks(named=self._named)
        other._blocks, other._known = list(self._blocks), dict(self._known)
        return other

    def array(self, values: NDArray[Any]) -> dict[str, Any]:
        """Add an array, flattened, and return what its reader needs.

        The first bytes of all values come first, then the second ones …: bytes of one
        significance resemble each other, so that they compress better.
        """
        kind = _NAMES[values.dtype.name]
        little = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"))).reshape(-1)
        shuffled = little.view(np.uint8).reshape(len(little), little.itemsize).T.tobytes()
        return {"block": self._add(shuffled), "type": kind, "length": len(little)}

    def json(self, values: Sequence[Any]) -> dict[str, Any]:
        """Add a list of texts, or of lists of texts."""
        text = json.dumps(list(values), ensure_ascii=False, separators=(",", ":"))
        return {"block": self._add(text.encode()), "type": "json", "length": len(values)}

    def _add(self, raw: bytes) -> int | str:
        digest = hashlib.sha256(raw).digest()
        if digest not in self._known:
            self._known[digest] = len(self._blocks)
            self._blocks.append(packed(raw))
        return digest.hex() if self._named else self._known[digest]


def packed(raw: bytes) -> str:
    """Return bytes as base64 of their zlib stream."""
    return base64.b64encode(zlib.compress(raw, _LEVEL)).decode()


def smallest(values: NDArray[Any]) -> NDArray[Any]:
    """Return unsigned integers in the smallest type that holds them."""
    top = int(values.max(initial=0))
    kinds = (np.uint8, np.uint16, np.uint32)
    kind = next(kind for kind in kinds if top <= np.iinfo(kind).max or kind is np.uint32)
    return values.astype(kind)
