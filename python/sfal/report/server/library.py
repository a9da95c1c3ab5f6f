"""All sources that a server shows, read again when their files change."""

import hashlib
import threading
from pathlib import Path

from sfal.errors import CombinedError, MissingError, Note, SfalError
from sfal.report.html import render_page
from sfal.report.payload import Payload, packed_index
from sfal.report.server.opened import CHANGED, ServedSource, state_of
from sfal.scoring.selection import Selection, select_sources
from sfal.terminal.progress import progress

_IN_MEMORY = 2
"""Sources whose counts and vectors are in memory at a time."""


class Library:
    """The sources of a data folder, and the page about them.

    Parameters
    ----------
    data_dir : Path
        Root of the data tree, ours or the published one.
    selection : Selection
        Sources to show.
    """

    def __init__(self, data_dir: Path, selection: Selection) -> None:
        self._data_dir = data_dir
        self._selection = selection
        self._lock = threading.Lock()
        self._sources: dict[str, ServedSource] = {}
        self._recent: list[ServedSource] = []
        self.refused: list[SfalError] = []
        """What was requested and cannot be shown."""
        self.notes: list[Note] = []
        """What the user may want to know."""

    @property
    def n_sources(self) -> int:
        """Sources shown."""
        return len(self._sources)

    def page(self) -> str:
        """Return the page, with the sources and scores that are on disk now.

        Raises
        ------
        SfalError
            If no source can be shown (:class:`CombinedError` if there are several reasons).
        """
        with self._lock:
            self._refresh()
            shown = list(self._sources.values())
            index = packed_index([one.entry for one in shown], 0, served=True)
            # Verdicts are about labels; scores that change leave them.
            labels = repr([(one.entry["name"], one.labels) for one in shown])
            key = hashlib.sha256(labels.encode()).hexdigest()[:16]
        return render_page(Payload(index, (), 0, None), served_key=key)

    def block(self, name: str) -> str | None:
        """Return a block of the page's data by its digest; None if no source has it any more."""
        with self._lock:
            return next(
                (one.blocks[name] for one in self._sources.values() if name in one.blocks), None
            )

    def lists(self, state: str, embedding: int, feature: int) -> bytes:
        """Return both lists of a feature, as JSON.

        Raises
        ------
        MissingError
            If the source has changed since the page was sent, or has no such feature.
        """
        source = self._find(state)
        if embedding >= source.n_embeddings or feature >= source.n_features:
            raise MissingError("there is no such feature")
        return source.lists(embedding, feature)

    def nearest(self, state: str, embedding: int, features: list[int]) -> bytes:
        """Return the first functional neighbours of some features, as JSON.

        Raises
        ------
        MissingError
            As :meth:`lists` does.
        """
        source = self._find(state)
        if embedding >= source.n_embeddings or max(features) >= source.n_features:
            raise MissingError("there is no such feature")
        return source.nearest(embedding, features)

    def _find(self, state: str) -> ServedSource:
        with self._lock:
            for one in self._sources.values():
                if one.state == state:
                    self._use(one)
                    return one
        raise MissingError(CHANGED)

    def _use(self, source: ServedSource) -> None:
        """Note that a source is used, and release the one that was used longest ago."""
        if source in self._recent:
            self._recent.remove(source)
        self._recent.append(source)
        while len(self._recent) > _IN_MEMORY:
            self._recent.pop(0).release()

    def _refresh(self) -> None:
        selected = select_sources(self._data_dir, self._selection)
        self.refused = list(selected.refused)
        self.notes = [Note(f"left out: {error.message}", error.hint) for error in selected.skipped]
        before, self._sources = self._sources, {}
        with progress(len(selected.sources), "reading", "source") as bar:
            for source in selected.sources:
                bar.note(source=source.name)
                known = before.get(source.name)
                try:
                    if known is None or known.state != state_of(source):
                        known = ServedSource(source)
                        self._use(known)
                except SfalError as e:
                    self.refused += e.errors if isinstance(e, CombinedError) else [e]
                else:
                    self._sources[source.name] = known
                    self.refused += known.refused
                    self.notes += known.notes
                bar.update(1)
        self._recent = [one for one in self._recent if one in self._sources.values()]
        if not self._sources:
            raise self.refused[0] if len(self.refused) == 1 else CombinedError(self.refused)
