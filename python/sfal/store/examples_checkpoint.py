"""Checkpoint of gathering a source's examples, so that it can be killed and continued."""

import json
import logging
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sfal.io.atomic import atomic_path
from sfal.store.layout import EXAMPLES_STATE

logger = logging.getLogger(__name__)


class DocumentText(NamedTuple):
    """Stored text of a document that has an example."""

    text: str
    """Its text up to a little after the last token."""
    spans: NDArray[np.int32]
    """Start and end of each token in characters, of shape (n_tokens, 2)."""


@dataclass(frozen=True)
class ExamplesState:
    """Max-activating tokens of each feature in the documents before `stop`."""

    stop: int
    """Ordinal of the first document that has not been read."""
    values: NDArray[np.float32]
    """Activations, of shape (n_features, n_examples); 0 where a feature has fewer."""
    documents: NDArray[np.int64]
    """Ordinals of their documents, of the same shape."""
    positions: NDArray[np.int32]
    """Positions of their tokens, of the same shape."""
    texts: Mapping[int, DocumentText]
    """The documents that have an example, by ordinal."""


def save_examples_state(folder: Path, state: ExamplesState, made_of: Mapping[str, Any]) -> None:
    """Write a state, atomically, together with what decides the examples.

    Raises
    ------
    ArtifactError
        If the disk is full or the folder cannot be written.
    """
    named = sorted(state.texts)
    spans = [state.texts[n].spans for n in named]
    facts = {
        "made_of": dict(made_of),
        "stop": state.stop,
        "named": named,
        "texts": [state.texts[n].text for n in named],
    }
    with atomic_path(folder / EXAMPLES_STATE) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            facts=np.frombuffer(json.dumps(facts).encode(), np.uint8),
            values=state.values,
            documents=state.documents,
            positions=state.positions,
            spans=np.concatenate([np.zeros((0, 2), np.int32), *spans]),
            n_spans=np.array([len(one) for one in spans], np.int64),
        )


def load_examples_state(
    folder: Path, made_of: Mapping[str, Any], shape: tuple[int, int]
) -> ExamplesState | None:
    """Read the state of a source.

    Parameters
    ----------
    folder : Path
        Folder of the source.
    made_of : mapping
        What decides the examples; anything that JSON can hold.
    shape : tuple of int
        Number of features, and of examples per feature.

    Returns
    -------
    state : ExamplesState or None
        None if there is no state, if it is damaged, or if it belongs to other
        examples.
    """
    path = folder / EXAMPLES_STATE
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        facts = json.loads(arrays["facts"].tobytes())
        if facts["made_of"] != json.loads(json.dumps(dict(made_of))):
            return None
        spans = np.split(arrays["spans"], np.cumsum(arrays["n_spans"])[:-1])
        texts = dict(zip(facts["named"], map(DocumentText, facts["texts"], spans), strict=True))
        state = ExamplesState(
            facts["stop"], arrays["values"], arrays["documents"], arrays["positions"], texts
        )
        if any(one.shape != shape for one in (state.values, state.documents, state.positions)):
            raise ValueError("of another SAE")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile):
        logger.warning("%s is damaged; gathering the examples from the beginning", path)
        return None
    return state


def remove_examples_state(folder: Path) -> None:
    """Remove a state that is no longer needed."""
    with suppress(OSError):
        (folder / EXAMPLES_STATE).unlink(missing_ok=True)
