"""The choice of one explanation per feature: duplicates removed, the preferred one kept."""

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
"""Most pairs of type and explainer that are told apart; real exports have a few."""
_Rank = tuple[int, int, str, str]


@dataclass(frozen=True)
class Preferences:
    """Which of a feature's explanations is chosen.

    The explainer decides first, then the type; ties are broken by the names,
    in alphabetical order.
    """

    explainers: tuple[str, ...] | None = None
    """Only these, in order of preference. None: ``gpt-4o-mini``, then any other."""
    types: tuple[str, ...] | None = None
    """Only these, in order of preference. None: ``oai_token-act-pair``, then any other."""

    @classmethod
    def of(
        cls, explainers: str | Sequence[str] | None, types: str | Sequence[str] | None
    ) -> "Preferences":
        """Make them from settings, which may be one name or several."""
        return cls(names_of(explainers), names_of(types))

    def rank(self, type_: str, explainer: str) -> _Rank | None:
        """Return the rank of a kind of explanation, smaller is better; None if not wanted."""
        by_explainer = _position(explainer, self.explainers, DEFAULT_EXPLAINER)
        by_type = _position(type_, self.types, DEFAULT_TYPE)
        if by_explainer is None or by_type is None:
            return None
        return by_explainer, by_type, explainer, type_

    def describe(self) -> dict[str, list[str] | None]:
        """Return the preferences as JSON values, for metadata."""
        return {
            "explainers": None if self.explainers is None else list(self.explainers),
            "types": None if self.types is None else list(self.types),
        }


def names_of(names: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Return one name or several as a tuple; None stays None."""
    if names is None:
        return None
    return (names,) if isinstance(names, str) else tuple(names)


def _position(name: str, wanted: Sequence[str] | None, default: str) -> int | None:
    if wanted is None:
        return 0 if name == default else 1
    return wanted.index(name) if name in wanted else None


class Chooser:
    """The best explanation of each feature among records that are added one by one.

    Of two records with the same id, or with the same feature, type and
    explainer, the first is kept. Memory: the texts kept, 14 bytes per feature,
    16 bytes per record.
    """

    def __init__(self, preferences: Preferences) -> None:
        self._preferences = preferences
        self._kinds: dict[tuple[str, str], int] = {}
        self._ranks: list[_Rank | None] = []
        self._ids = _Seen()
        self._keys = _Seen()
        self._best = _Texts()
        self.n_records = 0
        """Records added, duplicates included."""
        self.n_duplicates = 0
        """Records that repeat another."""
        self.found: Counter[tuple[str, str]] = Counter()
        """Records of each (type, explainer), without duplicates."""

    def add(self, record: Record) -> bool:
        """Add a record; return False if it was left out because there are too many kinds."""
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
            kept = self._best.kind(record.feature)
            kept_rank = None if kept is None else self._ranks[kept]
            if kept_rank is None or rank < kept_rank:
                self._best.put(record.feature, kind, record.text)
        return True

    def table(self, what: str) -> "pa.Table":
        """Return the chosen explanations, by ascending feature.

        Parameters
        ----------
        what : str
            Where the records came from, for error messages.

        Raises
        ------
        ArtifactError
            If there was no usable record.
        InvalidInputError
            If no record has a requested explainer and type; the message lists
            those that were found.
        """
        if not self.found:
            raise ArtifactError(f"{what} holds no usable explanation")
        features = self._best.features()
        if not len(features):
            raise self._nothing_matches(what)
        kinds = list(self._kinds)
        rows = ((text, *kinds[kind]) for kind, text in self._best.rows(features))
        return make_table(features, rows)

    def _kind(self, type_: str, explainer: str) -> int | None:
        kind = self._kinds.get((type_, explainer))
        if kind is None and len(self._kinds) < _MAX_KINDS:
            kind = self._kinds[type_, explainer] = len(self._kinds)
            self._ranks.append(self._preferences.rank(type_, explainer))
        return kind

    def _nothing_matches(self, what: str) -> InvalidInputError:
        requested = [
            f"{part} {' or '.join(names)}"
            for part, names in (
                ("by", self._preferences.explainers),
                ("of type", self._preferences.types),
            )
            if names is not None
        ]
        found = "; ".join(f"{t} by {e} ({n:,})" for (t, e), n in self.found.most_common(10))
        return InvalidInputError(
            f"{what} has no explanation {' and '.join(requested)}; it has {found}",
            hint="choose among these with $explainers and $types",
        )


class _Texts:
    """A text and a kind for each feature, in one block of memory.

    A dictionary would take four times as much memory. Pages of the arrays that
    are never written take none.
    """

    def __init__(self) -> None:
        self._kinds = np.zeros(MAX_FEATURES, dtype=np.uint16)
        self._starts = np.zeros(MAX_FEATURES, dtype=np.int64)
        self._lengths = np.zeros(MAX_FEATURES, dtype=np.int32)
        self._bytes = bytearray()

    def kind(self, feature: int) -> int | None:
        """Return the kind of a feature's text, or None if it has none yet."""
        return int(self._kinds[feature]) - 1 if self._kinds[feature] else None

    def put(self, feature: int, kind: int, text: str) -> None:
        """Set or replace a feature's text."""
        encoded = text.encode()
        self._kinds[feature] = kind + 1
        self._starts[feature] = len(self._bytes)
        self._lengths[feature] = len(encoded)
        self._bytes += encoded

    def features(self) -> NDArray[np.uint32]:
        """Return the features that have a text, in ascending order."""
        return np.flatnonzero(self._kinds).astype(np.uint32)

    def rows(self, features: NDArray[np.uint32]) -> Iterator[tuple[int, str]]:
        """Yield the kind and the text of each of some features."""
        for feature in map(int, features):
            start = int(self._starts[feature])
            stop = start + int(self._lengths[feature])
            yield int(self._kinds[feature]) - 1, self._bytes[start:stop].decode()


class _Seen:
    """A set of 64-bit numbers in 8 bytes each: the recent ones in a set, the others sorted."""

    _MAX_RECENT = 1 << 17

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._sorted = np.empty(0, dtype=np.uint64)

    def add(self, number: int) -> bool:
        """Add a number; return whether it was new."""
        if number in self._recent:
            return False
        place = int(np.searchsorted(self._sorted, np.uint64(number))) if len(self._sorted) else 0
        if place < len(self._sorted) and int(self._sorted[place]) == number:
            return False
        self._recent.add(number)
        if len(self._recent) >= self._MAX_RECENT:
            recent = np.fromiter(self._recent, dtype=np.uint64, count=len(self._recent))
            self._sorted = np.sort(np.concatenate([self._sorted, recent]))
            self._recent.clear()
        return True


def _hash64(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest())
