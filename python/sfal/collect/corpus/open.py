"""Documents of a corpus, in the corpus's own order."""

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sfal.collect.corpus.local import LocalCorpus, is_local
from sfal.errors import ArtifactError, DownloadError, InvalidInputError, SfalError
from sfal.io.hub import hub_errors
from sfal.io.zstd import read_streams_with_it

_FIRST_FILES = {"cerebras/SlimPajama-627B": "train/chunk1/*.jsonl.zst"}
"""Files to stream of corpora with tens of thousands, so that they are not all listed first.

The first files in the corpus's order, with more documents than anyone counts.
"""


logger = logging.getLogger(__name__)


class Corpus(Protocol):
    """An ordered collection of documents."""

    @property
    def name(self) -> str:
        """Hub id, or path of the local file."""

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What shows that it has been exchanged: a commit, or a hash."""

    def documents(self, start: int) -> Iterator[str]:
        """Text of each document from ordinal `start` on; empty ones included."""


@dataclass(frozen=True)
class HubCorpus:
    """A data set of the hub, streamed."""

    name: str
    """Hub id."""
    text_column: str
    """Column with the text."""
    config: str | None
    """Configuration of the data set, where it has several."""
    split: str
    """Split."""
    revision: str
    """Commit."""

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Repository and commit."""
        return {"repo": self.name, "revision": self.revision}

    def documents(self, start: int) -> Iterator[str]:
        """Text of each document from ordinal `start` on, as the files have them.

        Raises
        ------
        DownloadError
            If the hub cannot be reached, or refuses.
        ArtifactError
            If a file is damaged.
        InvalidInputError
            If there is no such configuration, split or column.
        """
        position = start
        with self._reading(lambda: position), hub_errors(f"corpus {self.name}", _OTHERWISE):
            rows = self._stream()
            for row in rows.skip(start) if start else rows:
                yield self._text(row, position)
                position += 1

    @contextmanager
    def _reading(self, position: Callable[[], int]) -> Iterator[None]:
        """Say where the files are damaged, whatever library came upon it."""
        try:
            yield
        except SfalError:
            raise
        except Exception as e:
            raise ArtifactError(
                f"corpus {self.name} cannot be read at document {position()}: {_first_line(e)}"
            ) from e

    def _stream(self) -> Any:
        from datasets import load_dataset
        from datasets.exceptions import DatasetNotFoundError

        _prepare_streaming()
        common = {"split": self.split, "streaming": True, "revision": self.revision}
        first = _FIRST_FILES.get(self.name)
        if first and self.config is None and self.split == "train":
            try:
                return load_dataset(self.name, data_files={"train": first}, **common)
            except FileNotFoundError:
                pass  # a mirror of another layout: take what it has
        try:
            return load_dataset(self.name, self.config, **common)
        except DatasetNotFoundError as e:
            # Raised without its cause; who asked for the commit before knows that it is there.
            raise DownloadError(
                f"cannot fetch corpus {self.name}: it is gated; accept its licence on the hub's "
                f"page and set HF_TOKEN to a token of that account; {_OTHERWISE}"
            ) from e
        except ValueError as e:
            # An unknown configuration or split, or files that are no data: the first line says it.
            raise InvalidInputError(
                f"corpus {self.name}: {_first_line(e)}; see --corpus-config and --split"
            ) from e

    def _text(self, row: dict[str, Any], ordinal: int) -> str:
        if self.text_column not in row:
            raise InvalidInputError(
                f"corpus {self.name} has no column {self.text_column!r}; "
                f"it has {', '.join(row)}; name one with --text-column"
            )
        text = row[self.text_column]
        if text is None:
            return ""
        if not isinstance(text, str):
            raise InvalidInputError(
                f"corpus {self.name}: column {self.text_column!r} of document {ordinal} is "
                f"{type(text).__name__}, not text; name another with --text-column"
            )
        return text


def open_corpus(
    name: str,
    *,
    text_column: str = "text",
    config: str | None = None,
    split: str = "train",
    revision: str | None = None,
) -> Corpus:
    """Find a corpus: a local file where there is one of the name, else a data set of the hub.

    Parameters
    ----------
    name : str
        Path of a ``.txt`` (one document a line), ``.jsonl`` (both also with
        ``.gz`` or ``.zst`` behind) or ``.parquet`` file, or a hub id.
    text_column : str
        Column, or key of a JSON line, that holds the text.
    config, split : str
        Of a data set of the hub.
    revision : str, optional
        Commit, branch or tag on the hub.

    Raises
    ------
    InvalidInputError
        If a file is of another kind or has no such column.
    ArtifactError
        If it is not there or cannot be read.
    DownloadError
        If the data set is missing, gated or out of reach; the message says
        what to do instead.
    """
    if is_local(name):
        return LocalCorpus.open(Path(name), text_column)
    return HubCorpus(name, text_column, config, split, _commit(name, revision))


class RunningHash:
    """Hash of the documents that have passed: equal hashes, equal texts in equal order."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, text: str) -> None:
        """Let a document pass."""
        # The length goes first: no other division into documents gives the same bytes.
        data = text.encode()
        self._hash.update(len(data).to_bytes(8, "little"))
        self._hash.update(data)

    @property
    def value(self) -> str:
        """The hash so far, 64 hexadecimal digits."""
        return self._hash.hexdigest()


_OTHERWISE = (
    "name another with --corpus (a data set of the hub, or a local .txt, .jsonl[.gz|.zst] or "
    ".parquet file)"
)


def _prepare_streaming() -> None:
    """Let the library be quiet, give up in time, and not take damage for the end."""
    import datasets

    datasets.disable_progress_bars()
    # Each read makes six attempts of its own over a minute: more would come on top.
    datasets.config.STREAMING_READ_MAX_RETRIES = datasets.config.STREAMING_OPEN_MAX_RETRIES = 1
    for pause in ("READ", "READ_SERVER_UNAVAILABLE", "READ_RATE_LIMIT", "OPEN"):
        setattr(datasets.config, f"STREAMING_{pause}_RETRY_INTERVAL", 0)
    read_streams_with_it()
    if not logger.isEnabledFor(logging.DEBUG):
        # What is wrong comes as an exception, and is said once.
        for name in ("datasets", "huggingface_hub"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _commit(name: str, revision: str | None) -> str:
    with hub_errors(f"corpus {name}", _OTHERWISE):
        from huggingface_hub import HfApi

        sha = HfApi().dataset_info(name, revision=revision).sha
    if not sha:
        raise DownloadError(f"the hub names no commit of corpus {name}; {_OTHERWISE}")
    return sha


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
