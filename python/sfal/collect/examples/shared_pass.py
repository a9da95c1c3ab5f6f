"""Runs that read the same tokens, and the max-activating examples found for each of them."""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sfal.collect.batching import Buffer
from sfal.collect.examples.snippets import snippet
from sfal.collect.examples.task import BufferExamples
from sfal.collect.examples.top_activations import TOP, TopActivations
from sfal.collect.run import Run, recorded
from sfal.collect.settings import CollectSettings
from sfal.errors import SfalError
from sfal.store.examples import Example, write_examples
from sfal.store.examples_checkpoint import (
    DocumentText,
    ExamplesState,
    load_examples_state,
    remove_examples_state,
    save_examples_state,
)

_FORMAT = 1
_ROWS = 1 << 14
"""Features whose examples are written at once."""


def decided_by(run: Run, settings: CollectSettings) -> dict[str, Any]:
    """Return what decides a source's examples."""
    manifest = run.manifest
    return {
        "format": _FORMAT,
        "source": run.identity().as_json(),
        "settings": recorded(settings),
        "fingerprints": None if manifest is None else dict(manifest.fingerprints),
        "first": settings.n_docs,
        "asked": settings.examples,
        "per_feature": TOP,
    }


class _Gathering:
    """One run, and what has been found for it."""

    def __init__(self, run: Run, n_features: int, settings: CollectSettings) -> None:
        self.run = run
        self.decided_by = decided_by(run, settings)
        self.top = TopActivations(n_features, torch.device("cpu"))
        self.stop = settings.n_docs
        """Ordinal after the last document that has been read for it."""
        self.saved = load_examples_state(run.folder, self.decided_by, (n_features, TOP))
        if self.saved is not None:
            self.top.restore(self.saved.values, self.saved.documents, self.saved.positions)
            self.stop = self.saved.stop


class SharedPass:
    """Runs that read the same tokens.

    Parameters
    ----------
    settings : CollectSettings
        How many documents to read, and how.
    """

    def __init__(self, settings: CollectSettings) -> None:
        self._settings = settings
        self._gatherings: list[_Gathering] = []
        self._texts: dict[int, DocumentText] = {}

    def add(self, run: Run, n_features: int) -> None:
        """Add a run, with what an earlier pass found for it."""
        one = _Gathering(run, n_features, self._settings)
        if one.saved is not None:
            self._texts.update(one.saved.texts)
            one.saved = None
        self._gatherings.append(one)

    @property
    def start(self) -> int:
        """Ordinal of the first document that some run has not read."""
        return min(one.stop for one in self._gatherings)

    def floors(self, first: int) -> dict[str, NDArray[np.float32]]:
        """Return what is to be exceeded, for the runs that have not read the document `first`.

        Another thread may be adding documents: a floor is then too low, never too high.
        """
        return {
            one.run.source.name: one.top.values[:, -1].numpy().copy()
            for one in self._gatherings
            if one.run.error is None and one.stop <= first
        }

    def take(self, buffer: Buffer, examples: BufferExamples) -> None:
        """Add what was found in one buffer, for the runs that have not read it."""
        for one in self._gatherings:
            found = examples.found.get(one.run.source.name)
            if found is None or one.run.error is not None or one.stop > buffer.first:
                continue
            if isinstance(found, SfalError):
                one.run.fail(found)
                continue
            one.top.merge(found)
            one.stop = buffer.stop
        self._keep_texts(examples.texts)

    def _keep_texts(self, new: Mapping[int, DocumentText]) -> None:
        """Keep the documents that examples refer to, and forget the others."""
        referenced = set[int]()
        for one in self._gatherings:
            referenced.update(one.top.referenced().tolist())
        self._texts = {n: text for n, text in {**new, **self._texts}.items() if n in referenced}

    def save(self) -> None:
        """Save a checkpoint of each run."""
        for one in self._gatherings:
            if one.run.error is not None:
                continue
            top = one.top
            state = ExamplesState(
                one.stop,
                top.values.numpy(),
                top.documents.numpy(),
                top.positions.numpy(),
                {n: self._texts[n] for n in top.referenced().tolist()},
            )
            try:
                save_examples_state(one.run.folder, state, one.decided_by)
            except SfalError as e:
                one.run.fail(e)

    def write(self, stop: int) -> None:
        """Write the examples found in the documents before `stop`."""
        for one in self._gatherings:
            run, top = one.run, one.top
            if run.error is not None:
                continue
            metadata = {
                **one.decided_by,
                "corpus": recorded(self._settings)["corpus"]["name"],
                "documents": [self._settings.n_docs, stop],
                "n_features": len(top.values),
                "features": int((top.values[:, 0] > 0).sum()),
                "sfal": version("sfal"),
            }
            try:
                write_examples(run.folder, self._examples(top), metadata)
                remove_examples_state(run.folder)
            except SfalError as e:
                run.fail(e)

    def _examples(self, top: TopActivations) -> Iterator[Example]:
        for start in range(0, len(top.values), _ROWS):
            some = slice(start, start + _ROWS)
            values = top.values[some].numpy()
            documents = top.documents[some].numpy()
            positions = top.positions[some].numpy()
            for row, rank in zip(*(axis.tolist() for axis in np.nonzero(values)), strict=True):
                doc, position = int(documents[row, rank]), int(positions[row, rank])
                text = self._texts[doc]
                span = text.spans[position]
                words = snippet(text.text, int(span[0]), int(span[1]))
                activation = float(values[row, rank])
                yield Example(start + row, rank, activation, doc, position, *words)
