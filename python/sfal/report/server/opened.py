"""One source as a server holds it: what the page is sent at once, and lists on demand."""

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfal.errors import MissingError, Note, SfalError
from sfal.report.blocks import Blocks
from sfal.report.lists import no_lists
from sfal.report.opposites import opposites
from sfal.report.payload import describe_source
from sfal.report.server.cosines import CosineRows
from sfal.report.source_data import N_EXAMPLES, OpenSource, SourceData, open_source, source_data
from sfal.scoring.feature import Neighbour, listed_neighbours, places_in_list
from sfal.scoring.neighbour_lists import Plan
from sfal.scoring.selection import SourceInput
from sfal.scoring.settings import ScoreSettings
from sfal.scoring.status import SCORED, is_live, statuses
from sfal.store.examples import read_examples_of
from sfal.store.layout import EXAMPLES, EXPLANATIONS, MANIFEST, SCORES
from sfal.store.published.layout import find_histograms

_KEPT_ANSWERS = 500
"""Features whose lists are kept as they were sent."""
NEAR = 3
"""Neighbours that a line of the worklist names."""
CHANGED = "the files of this source have changed; load the page again"
"""What a page is told that shows something else than the disk."""


def state_of(source: SourceInput) -> str:
    """Return a digest that changes when a file of a source changes."""
    files = [source.run_folder / name for name in (SCORES, MANIFEST)]
    files += [source.folder / name for name in (EXPLANATIONS, EXAMPLES)]
    files += [one.path for one in source.embeddings]
    files += find_histograms(source.run_folder)
    known: list[tuple[str, int, int]] = []
    for path in files:
        try:
            found = path.stat()
        except OSError:
            continue
        known.append((str(path), found.st_mtime_ns, found.st_size))
    return hashlib.sha256(repr((source.name, known)).encode()).hexdigest()[:16]


class ServedSource:
    """A source that was read; its counts and vectors can be dropped and read again.

    Parameters
    ----------
    source : SourceInput

    Raises
    ------
    ArtifactError
        If scores, counts or embeddings cannot be read.
    """

    def __init__(self, source: SourceInput) -> None:
        self.state = state_of(source)
        """Digest of its files before they were read."""
        self._source = source
        self._lock = threading.Lock()
        self._answers: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._cosines: dict[int, CosineRows] = {}
        self._open: OpenSource | None = open_source(source)
        none = no_lists(self._open.counted.n_features)
        data = source_data(self._open, [none] * len(self._open.scored))
        blocks = Blocks(named=True)
        self.entry: dict[str, Any] = {**describe_source(data, blocks), "state": self.state}
        """Its part of the page's index."""
        self.blocks = blocks.by_name
        """Blocks by digest."""
        self.labels = [one["labels"]["block"] for one in self.entry["embeddings"]]
        """Digests of the labels, which verdicts are about."""
        self._live = is_live(data.windows, data.n_windows)
        self._pools = [
            _pool(one.explained, data, self._open.settings) for _, _, one in self._open.scored
        ]
        self.n_features = len(data.windows)
        """Width of the SAE."""
        self.n_embeddings = len(data.embeddings)
        """Sets of embeddings shown."""
        self.refused: Sequence[SfalError] = data.refused
        """Sets of embeddings that cannot be shown, and why."""
        self.notes: Sequence[Note] = [
            *data.notes,
            *(note for one in data.embeddings for note in one.notes),
        ]
        """What is odd about those that are."""

    def release(self) -> None:
        """Drop counts and vectors, which the next request reads again."""
        with self._lock:
            self._open = None
            self._cosines.clear()

    def lists(self, embedding: int, feature: int) -> bytes:
        """Return both lists of a feature and its examples, as JSON.

        Raises
        ------
        ArtifactError
            If files that were readable no longer are.
        """
        with self._lock:
            known = self._answers.get((embedding, feature))
            if known is None:
                known = self._answers[embedding, feature] = self._lists(embedding, feature)
                if len(self._answers) > _KEPT_ANSWERS:
                    self._answers.popitem(last=False)
            else:
                self._answers.move_to_end((embedding, feature))
            return known

    def nearest(self, embedding: int, features: Sequence[int]) -> bytes:
        """Return the first functional neighbours of some features, as JSON."""
        from sfal import _core

        with self._lock:
            opened = self._opened()
            live = self._live
            pool = self._pools[embedding]
            rows = np.array([feature for feature in features if live[feature]], dtype=np.int64)
            near: dict[int, list[int]] = {feature: [] for feature in features}
            if len(rows):
                # The features that are listed are those of the whole lists.
                listed = np.flatnonzero(live) if pool is None else pool
                found, _ = _core.functional_neighbours(
                    opened.counted, NEAR, opened.settings.measure, rows, listed
                )
                near |= dict(zip(rows.tolist(), found.tolist(), strict=True))
        return json.dumps(near).encode()

    def _lists(self, embedding: int, feature: int) -> bytes:
        from sfal import _core

        opened = self._opened()
        settings, one = opened.settings, opened.scored[embedding][2]
        live = self._live
        pool = self._pools[embedding]
        row = np.array([feature])
        empty = np.zeros(0, np.uint32), np.zeros(0, np.float32)
        by_measure, values = empty
        if live[feature]:
            ranked, measured = _core.functional_neighbours(
                opened.counted, settings.top_n, settings.measure, row, pool
            )
            by_measure, values = ranked[0], measured[0]
        by_cosine, cosine = empty
        if one.explained[feature]:
            by_cosine, cosine = self._cosine_rows(opened, embedding).neighbours(
                feature, settings.top_n, pool
            )
        functional = places_in_list(feature, by_measure, live)
        semantic = places_in_list(feature, by_cosine, one.explained)
        avoided = opposites(opened.counted, row)
        n = int(avoided.n[feature])
        answer = {
            "functional": _plain(listed_neighbours(functional, values, semantic, {})),
            "semantic": _plain(listed_neighbours(semantic, cosine, functional, {})),
            "opposites": list(
                zip(
                    avoided.feature[feature, :n].tolist(),
                    avoided.value[feature, :n].tolist(),
                    strict=True,
                )
            ),
            "examples": self._examples(feature),
        }
        return json.dumps(answer, allow_nan=False).encode()

    def _examples(self, feature: int) -> list[tuple[str, str, str]]:
        try:
            found = read_examples_of(self._source.folder, feature, N_EXAMPLES)
        except MissingError:
            return []
        return [(one.before, one.token, one.after) for one in found]

    def _opened(self) -> OpenSource:
        if self._open is None:
            if state_of(self._source) != self.state:
                raise MissingError(CHANGED)
            self._open = open_source(self._source)
        return self._open

    def _cosine_rows(self, opened: OpenSource, embedding: int) -> CosineRows:
        if embedding not in self._cosines:
            self._cosines[embedding] = CosineRows(opened.scored[embedding][2].matrix)
        return self._cosines[embedding]


def _pool(
    explained: NDArray[np.bool_], data: SourceData, settings: ScoreSettings
) -> NDArray[np.int64] | None:
    """Return the features that may stand in a list; None: all."""
    status = statuses(data.windows, data.n_windows, explained)
    return Plan(len(status), np.flatnonzero(status == SCORED), settings).candidates


def _plain(neighbours: Sequence[Neighbour]) -> list[tuple[int, float, int]]:
    """Return feature, similarity and place of each, the place from 1; 0 without one."""
    return [
        (one.feature, one.similarity, 0 if one.other_rank is None else one.other_rank + 1)
        for one in neighbours
    ]
