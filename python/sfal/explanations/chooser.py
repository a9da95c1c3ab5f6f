"""From many explanations to one a feature: duplicates out, the preferred one chosen."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sfal.errors import ArtifactError, InvalidInputError
from sfal.explanations.records import MAX_FEATURES, Record
from sfal.store.explanations import make_table

if TYPE_CHECKING:
    import pyarrow as pa

DEFAULT_EXPLAINER = "gpt-4o-mini"
DEFAULT_TYPE = "oai_token-act-pair"

_MAX_KINDS = 1000
_Rank = tuple[int, int, str, str]


@dataclass(frozen=True)
class Preferences:
    """Which of a feature's explanations is taken.

    The explainer decides first, then the type; among equals the names decide,
    in alphabetical order.
    """

    explainers: tuple[str, ...] | None = None
    """Only these, the first ones first. None: ``gpt-4o-mini``, then any other."""
    types: tuple[str, ...] | None = None
    """Only these, the first ones first. None: ``oai_token-act-pair``, then any other."""

    def rank(self, type_: str, explainer: str) -> _Rank | None:
        """Order of a kind of explanation, the smallest first; None if it is not wanted."""
        by_explainer = _position(explainer, self.explainers, DEFAULT_EXPLAINER)
        by_type = _position(type_, self.types, DEFAULT_TYPE)
        if by_explainer is None or by_type is None:
            return None
        return by_explainer, by_type, explainer, type_

    def describe(self) -> dict[str, list[str] | None]:
        """Plain form, for metadata."""
        return {
            "explainers": None if self.explainers is None else list(self.explainers),
            "types": None if self.types is None else list(self.types),
        }


def _position(name: str, wanted: Sequence[str] | None, default: str) -> int | None:
    if wanted is None:
        return 0 if name == default else 1
    return wanted.index(name) if name in wanted else None


class Chooser:
    """Takes records one by one and keeps the best explanation of each feature.

    Of two records with the same id, or alike in feature, type and explainer,
    the first stays. Memory: the texts kept, 14 bytes a feature, 16 a record.
    """

    def __init__(self, preferences: Preferences) -> None:
        self._preferences = preferences
        self._kinds: dict[tuple[str, str], int] = {}
        self._ranks: list[_Rank | None] = []
        self._ids = _Seen()
        self._keys = _Seen()
        self._best = _Texts()
        self.n_records = 0
        self.n_duplicates = 0
        self.found: Counter[tuple[str, str]] = Counter()

    def add(self, record: Record) -> bool:
        """Consider a record; False if it was left out as one kind too many."""
        kind = self._kind(record.type, record.explainer)
        if kind is None:
            return False
        self.n_records += 1
        if record.id is not None and not self._ids.add(_hash64(record.id)):
            self.n_duplicates += 1
            return True
        if not self._keys.add(record.feature << 16 | kind):
            self.n_duplicates += 1
            return True
        self.found[record.type, record.explainer] += 1
        rank = self._ranks[kind]
        if rank is not None:
            there = self._best.kind(record.feature)
            other = None if there is None else self._ranks[there]
            if other is None or rank < other:
                self._best.put(record.feature, kind, record.text)
        return True

    def table(self, what: str) -> "pa.Table":
        """Explanations chosen, by rising feature.

        Parameters
        ----------
        what : str
            Where the records came from, for the message.

        Raises
        ------
        ArtifactError
            If there was no usable record at all.
        InvalidInputError
            If none is of the explainers and types asked for; the message
            lists what there is.
        """
        if not self.found:
            raise ArtifactError(f"{what} holds no usable explanation")
        features = self._best.features()
        if not len(features):
            raise InvalidInputError(self._nothing_matches(what))
        kinds = list(self._kinds)
        rows = ((text, *kinds[kind]) for kind, text in self._best.rows(features))
        return make_table(features, rows)

    def _kind(self, type_: str, explainer: str) -> int | None:
        kind = self._kinds.get((type_, explainer))
        if kind is None and len(self._kinds) < _MAX_KINDS:
            kind = self._kinds[type_, explainer] = len(self._kinds)
            self._ranks.append(self._preferences.rank(type_, explainer))
        return kind

    def _nothing_matches(self, what: str) -> str:
        asked = [
            f"{flag} {' '.join(names)}"
            for flag, names in (
                ("--explainer", self._preferences.explainers),
                ("--type", self._preferences.types),
            )
            if names is not None
        ]
        there = "; ".join(f"{t} by {e} ({n:,})" for (t, e), n in self.found.most_common(10))
        return f"{what} has no explanation that fits {' '.join(asked)}; it has {there}"


class _Texts:
    """A text and a kind for each feature, in one stretch of memory.

    A dictionary would take four times as much. What is never written of the
    arrays takes none.
    """

    def __init__(self) -> None:
        self._kinds = np.zeros(MAX_FEATURES, dtype=np.uint16)
        self._starts = np.zeros(MAX_FEATURES, dtype=np.int64)
        self._lengths = np.zeros(MAX_FEATURES, dtype=np.int32)
        self._bytes = bytearray()

    def kind(self, feature: int) -> int | None:
        """Kind of a feature's text, None if it has none yet."""
        return int(self._kinds[feature]) - 1 if self._kinds[feature] else None

    def put(self, feature: int, kind: int, text: str) -> None:
        """Give a feature its text, or a better one."""
        encoded = text.encode()
        self._kinds[feature] = kind + 1
        self._starts[feature] = len(self._bytes)
        self._lengths[feature] = len(encoded)
        self._bytes += encoded

    def features(self) -> NDArray[np.uint32]:
        """Features that have a text, rising."""
        return np.flatnonzero(self._kinds).astype(np.uint32)

    def rows(self, features: NDArray[np.uint32]) -> Iterator[tuple[int, str]]:
        """Kind and text of some features."""
        for feature in map(int, features):
            start = int(self._starts[feature])
            stop = start + int(self._lengths[feature])
            yield int(self._kinds[feature]) - 1, self._bytes[start:stop].decode()


class _Seen:
    """A set of 64-bit numbers in 8 bytes each: a new few in a set, the rest sorted."""

    _FEW = 1 << 17

    def __init__(self) -> None:
        self._few: set[int] = set()
        self._many = np.empty(0, dtype=np.uint64)

    def add(self, number: int) -> bool:
        """Add a number; whether it was new."""
        if number in self._few:
            return False
        at = int(np.searchsorted(self._many, np.uint64(number))) if len(self._many) else 0
        if at < len(self._many) and int(self._many[at]) == number:
            return False
        self._few.add(number)
        if len(self._few) >= self._FEW:
            new = np.fromiter(self._few, dtype=np.uint64, count=len(self._few))
            self._many = np.sort(np.concatenate([self._many, new]))
            self._few.clear()
        return True


def _hash64(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest())
