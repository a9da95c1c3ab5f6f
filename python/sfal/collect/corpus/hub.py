"""Corpora on the hub: data sets, streamed."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from sfal.collect.corpus.cache import cached_snapshot, offline_note, prepared_commit
from sfal.collect.corpus.document import Column, Document
from sfal.collect.corpus.tables import FIRST_ROWS, choose_column, has_content, note_on_column
from sfal.collect.corpus.unread import note_on_prompts, says_something
from sfal.collect.settings import CorpusConfig
from sfal.errors import CorruptError, DownloadError, InvalidInputError, Note, SfalError
from sfal.io.first_line import first_line
from sfal.io.hub import hub_errors, is_offline
from sfal.io.zstd import read_streams_with_it

_FIRST_FILES = {"cerebras/SlimPajama-627B": "train/chunk1/*.jsonl.zst"}
"""Files to stream from corpora that have tens of thousands, so that not all are listed first.

They are the first files in the corpus's order, and hold more documents than anyone counts.
"""
_PUBLIC = ("DKYoon/SlimPajama-6B", "monology/pile-uncopyrighted")
"""Corpora that may be had in place of another one."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HubCorpus:
    """A data set of the hub, streamed."""

    name: str
    """Hub id."""
    config: CorpusConfig
    """Which of its files, and which column of them."""
    revision: str
    """Commit."""
    folder: Path | None = None
    """Its files in the local cache, to be read in place of the hub's."""
    cached: tuple[Note, ...] = ()
    """A note if it is read from a cache."""
    _read: list[Note] = field(default_factory=list, compare=False)

    @classmethod
    def open(cls, config: CorpusConfig) -> "HubCorpus":
        """Ask the hub for the commit that a branch or tag stands for now.

        If the hub's own switch forbids requests, find the data set in a local
        cache.

        Raises
        ------
        DownloadError
            If the data set is missing, gated or unreachable.
        InvalidInputError
            If a setting does not apply to data sets of the hub.
        """
        name = config.corpus
        if config.document_separator is not None:
            raise InvalidInputError(
                f"corpus {name} is a data set of the hub, which needs no separator of documents",
                hint="leave out $document_separator",
            )
        if is_offline():
            folder = cached_snapshot(name, config.corpus_revision)
            commit = folder.name if folder else prepared_commit(name)
            if commit is not None:
                return cls(name, config, commit, folder, (offline_note(name, commit, folder),))
        return cls(name, config, _commit(name, config.corpus_revision))

    @property
    def notes(self) -> tuple[Note, ...]:
        """What the user should know about how the corpus is read, once its first rows are."""
        return (*self.cached, *self._read)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Repository and commit."""
        return {"repo": self.name, "revision": self.revision}

    def documents(self, start: int) -> Iterator[Document]:
        """Yield each document from ordinal `start` on, in the files' order.

        Raises
        ------
        DownloadError
            If the hub is unreachable or refuses.
        CorruptError
            If a file is damaged.
        InvalidInputError
            If there is no such configuration, split or column.
        """
        position = start
        with self._reading(lambda: position), hub_errors(f"corpus {self.name}", _hint(self.name)):
            rows = self._stream()
            column, found = self._column(iter(rows.skip(start) if start else rows))
            for row in found:
                where = f"corpus {self.name}, document {position}"
                yield column.document(row.get(column.name), where)
                position += 1

    def _column(self, rows: Iterator[dict[str, Any]]) -> tuple[Column, Iterator[dict[str, Any]]]:
        """Return the column with the documents, and the rows."""
        config = self.config
        text, ids = config.text_column, config.tokens_column
        seen: dict[str, bool] = {}
        first = []
        for row in islice(rows, FIRST_ROWS):
            first.append(row)
            for key, value in row.items():
                seen[key] = seen.get(key, False) or has_content(value)
            if seen.get(ids or text):
                break
        name = choose_column(seen, text, ids)
        if name is None and first:
            raise InvalidInputError(
                f"corpus {self.name} has no column {ids or text!r}; it has {', '.join(seen)}",
                hint="name the column with the text or the conversations with $text_column, or that "
                "with token ids with $tokens_column",
            )
        read = name or ids or text
        filled = {key for row in first for key, value in row.items() if says_something(value)}
        self._read[:] = (
            *note_on_column(self.name, seen, ids or text, read),
            *note_on_prompts(self.name, read, seen, filled.__contains__),
        )
        column = Column(name or text, ids is not None, config.chat_template != "none")
        return column, chain(first, rows)

    @contextmanager
    def _reading(self, position: Callable[[], int]) -> Iterator[None]:
        """Say at which document the files are damaged, whichever library noticed."""
        try:
            yield
        except SfalError:
            raise
        except Exception as e:
            raise CorruptError(
                f"corpus {self.name} cannot be read at document {position()}: {first_line(e)}"
            ) from e

    def _stream(self) -> Any:
        from datasets import load_dataset
        from datasets.exceptions import DatasetNotFoundError

        _prepare_streaming()
        split, config = self.config.split, self.config.corpus_config
        chosen = self.config.data_files
        # `datasets` keeps what it has prepared under the name, whatever the revision.
        revision = None if self.cached else self.revision
        common = {"split": split, "streaming": True, "revision": revision}
        name = self.name if self.folder is None else str(self.folder)
        first = _FIRST_FILES.get(self.name)
        if first and chosen is None and config is None and split == "train":
            try:
                return load_dataset(name, data_files={"train": first}, **common)
            except FileNotFoundError:
                pass  # a mirror with another layout: take what it has
        try:
            if chosen is None:
                return load_dataset(name, config, **common)
            files = [one.strip() for one in chosen.split(",")]
            return load_dataset(name, config, data_files={split: files}, **common)
        except DatasetNotFoundError as e:
            # The library drops the cause. The commit was found, so the data set exists.
            raise DownloadError(
                f"cannot fetch corpus {self.name}: it is gated",
                hint="accept its licence on the hub's page and set HF_TOKEN to a token of that "
                f"account, or {_hint(self.name)}",
            ) from e
        except FileNotFoundError as e:
            if chosen is None:
                raise
            raise InvalidInputError(
                f"corpus {self.name} has no file that matches {chosen}",
                hint="see $data_files; patterns are relative to the data set's root",
            ) from e
        except ValueError as e:
            # An unknown configuration or split, or files that hold no data: what comes
            # before an example says which.
            said = " ".join(str(e).partition("Example of usage")[0].split())[:300]
            raise InvalidInputError(
                f"corpus {self.name}: {said.rstrip('.')}", hint="see $corpus_config and $split"
            ) from e


def _prepare_streaming() -> None:
    """Make the library quiet, make it give up in time, and keep it from taking damage for an end."""
    import datasets

    datasets.disable_progress_bars()
    # Each read already makes six attempts within a minute; these would multiply them.
    datasets.config.STREAMING_READ_MAX_RETRIES = datasets.config.STREAMING_OPEN_MAX_RETRIES = 1
    for pause in ("READ", "READ_SERVER_UNAVAILABLE", "READ_RATE_LIMIT", "OPEN"):
        setattr(datasets.config, f"STREAMING_{pause}_RETRY_INTERVAL", 0)
    read_streams_with_it()
    if not logger.isEnabledFor(logging.DEBUG):
        # What is wrong is raised as an exception, and reported once.
        for name in ("datasets", "huggingface_hub"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _commit(name: str, revision: str | None) -> str:
    with hub_errors(f"corpus {name}", _hint(name)):
        from huggingface_hub import HfApi

        sha = HfApi().dataset_info(name, revision=revision).sha
    if not sha:
        raise DownloadError(f"the hub names no commit of corpus {name}", hint=_hint(name))
    return sha


def _hint(name: str) -> str:
    others = " or ".join(one for one in _PUBLIC if one != name)
    return (
        f"name another corpus with $corpus (a data set of the hub such as {others}, or a local "
        "file or folder)"
    )
