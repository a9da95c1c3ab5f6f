"""Documents of a corpus, in the corpus's own order."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from sfal.collect.corpus.document import Document, document_bytes
from sfal.collect.corpus.files import is_local
from sfal.collect.corpus.hub import HubCorpus
from sfal.collect.corpus.local import LocalCorpus
from sfal.collect.settings import CorpusConfig
from sfal.errors import InvalidInputError, Note


class Corpus(Protocol):
    """An ordered collection of documents."""

    @property
    def name(self) -> str:
        """Hub id, or path of the local file or folder."""

    @property
    def fingerprint(self) -> dict[str, Any]:
        """A commit or a hash, which shows whether the corpus has been replaced."""

    @property
    def notes(self) -> tuple[Note, ...]:
        """What the user should know about how the corpus is read."""

    def documents(self, start: int) -> Iterator[Document]:
        """Yield each document from ordinal `start` on, empty ones included."""


def open_corpus(config: CorpusConfig) -> Corpus:
    """Open local files if there are any of that name, otherwise a data set of the hub.

    Parameters
    ----------
    config : CorpusConfig
        ``corpus`` is the path of a file or of a folder of files (see
        :class:`sfal.collect.corpus.local.LocalCorpus`), or a hub id. Which of
        its documents are counted does not matter here.

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
    return LocalCorpus.open(config) if is_local(config.corpus) else HubCorpus.open(config)


def no_documents(corpus: Corpus) -> InvalidInputError:
    """Return the error of a corpus that is empty."""
    return InvalidInputError(f"corpus {corpus.name} has no documents")


class RunningHash:
    """Hash of the documents read so far: equal hashes mean equal documents in equal order."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, document: Document) -> None:
        """Add a document."""
        # The length goes first: no other division into documents gives the same bytes.
        data = document_bytes(document)
        self._hash.update(len(data).to_bytes(8, "little"))
        self._hash.update(data)

    @property
    def value(self) -> str:
        """The hash so far, 64 hexadecimal digits."""
        return self._hash.hexdigest()


class FirstDocuments:
    """Short hashes of a corpus's first documents, which show whether it is still the same corpus."""

    KEY = "first_documents"
    """Name of the hashes in a manifest."""
    _N = 64

    def __init__(self, hashes: Iterable[str] = ()) -> None:
        self.hashes = list(hashes)
        """One per document, in order."""

    def add(self, document: Document) -> None:
        """Add a document, unless there are enough."""
        if len(self.hashes) < self._N:
            self.hashes.append(hashlib.sha256(document_bytes(document)).hexdigest()[:8])

    def resemble(self, other: "FirstDocuments") -> bool:
        """Return whether at least half of the documents are also among the others."""
        same = Counter(self.hashes) & Counter(other.hashes)
        return 2 * same.total() >= max(len(self.hashes), 1)
