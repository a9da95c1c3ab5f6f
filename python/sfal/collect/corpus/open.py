"""Documents of a corpus, in the corpus's own order."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from sfal.collect.corpus.hub import HubCorpus
from sfal.collect.corpus.local import LocalCorpus, is_local
from sfal.collect.settings import CorpusConfig


class Corpus(Protocol):
    """An ordered collection of documents."""

    @property
    def name(self) -> str:
        """Hub id, or path of the local file."""

    @property
    def fingerprint(self) -> dict[str, Any]:
        """A commit or a hash, which shows whether the corpus has been replaced."""

    def documents(self, start: int) -> Iterator[str]:
        """Yield the text of each document from ordinal `start` on, empty ones included."""


def open_corpus(config: CorpusConfig) -> Corpus:
    """Open a local file if there is one of that name, otherwise a data set of the hub.

    Parameters
    ----------
    config : CorpusConfig
        ``corpus`` is the path of a ``.txt`` (one document per line), ``.jsonl``
        (either may end in ``.gz`` or ``.zst`` too) or ``.parquet`` file, or a
        hub id. Which of its documents are counted does not matter here.

    Raises
    ------
    InvalidInputError
        If a file is of another kind or has no such column.
    MissingError
        If there is no such file.
    CorruptError
        If it cannot be read.
    DownloadError
        If the data set is missing, gated or unreachable.
    """
    name = config.corpus
    if is_local(name):
        return LocalCorpus.open(Path(name), config.text_column)
    return HubCorpus.open(
        name,
        text_column=config.text_column,
        config=config.corpus_config,
        split=config.split,
        revision=config.corpus_revision,
    )


class RunningHash:
    """Hash of the documents read so far: equal hashes mean equal texts in equal order."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, text: str) -> None:
        """Add a document."""
        # The length goes first: no other division into documents gives the same bytes.
        data = text.encode()
        self._hash.update(len(data).to_bytes(8, "little"))
        self._hash.update(data)

    @property
    def value(self) -> str:
        """The hash so far, 64 hexadecimal digits."""
        return self._hash.hexdigest()
