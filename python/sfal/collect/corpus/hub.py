"""Corpora on the hub: data sets, streamed."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sfal.errors import CorruptError, DownloadError, InvalidInputError, SfalError
from sfal.io.hub import hub_errors
from sfal.io.zstd import read_streams_with_it

_FIRST_FILES = {"cerebras/SlimPajama-627B": "train/chunk1/*.jsonl.zst"}
"""Files to stream from corpora that have tens of thousands, so that not all are listed first.

They are the first files in the corpus's order, and hold more documents than anyone counts.
"""
_OTHERWISE = (
    "name another corpus with $corpus (a data set of the hub, or a local .txt, .jsonl[.gz|.zst] "
    "or .parquet file)"
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HubCorpus:
    """A data set of the hub, streamed."""

    name: str
    """Hub id."""
    text_column: str
    """Column with the text."""
    config: str | None
    """Configuration of the data set, if it has several."""
    split: str
    """Split."""
    revision: str
    """Commit."""

    @classmethod
    def open(
        cls, name: str, *, text_column: str, config: str | None, split: str, revision: str | None
    ) -> "HubCorpus":
        """Ask the hub for the commit that a branch or tag stands for now.

        Raises
        ------
        DownloadError
            If the data set is missing, gated or unreachable.
        """
        return cls(name, text_column, config, split, _commit(name, revision))

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Repository and commit."""
        return {"repo": self.name, "revision": self.revision}

    def documents(self, start: int) -> Iterator[str]:
        """Yield the text of each document from ordinal `start` on, in the files' order.

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
        with self._reading(lambda: position), hub_errors(f"corpus {self.name}", _OTHERWISE):
            rows = self._stream()
            for row in rows.skip(start) if start else rows:
                yield self._text(row, position)
                position += 1

    @contextmanager
    def _reading(self, position: Callable[[], int]) -> Iterator[None]:
        """Say at which document the files are damaged, whichever library noticed."""
        try:
            yield
        except SfalError:
            raise
        except Exception as e:
            raise CorruptError(
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
            # The library drops the cause. The commit was found, so the data set exists.
            raise DownloadError(
                f"cannot fetch corpus {self.name}: it is gated",
                hint="accept its licence on the hub's page and set HF_TOKEN to a token of that "
                f"account, or {_OTHERWISE}",
            ) from e
        except ValueError as e:
            # An unknown configuration or split, or files that hold no data: the first line says it.
            raise InvalidInputError(
                f"corpus {self.name}: {_first_line(e)}", hint="see $corpus_config and $split"
            ) from e

    def _text(self, row: dict[str, Any], ordinal: int) -> str:
        if self.text_column not in row:
            raise InvalidInputError(
                f"corpus {self.name} has no column {self.text_column!r}; it has {', '.join(row)}",
                hint="name the column with the text by $text_column",
            )
        text = row[self.text_column]
        if text is None:
            return ""
        if not isinstance(text, str):
            raise InvalidInputError(
                f"corpus {self.name}: column {self.text_column!r} of document {ordinal} is "
                f"{type(text).__name__}, not text",
                hint="name another column by $text_column",
            )
        return text


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
    with hub_errors(f"corpus {name}", _OTHERWISE):
        from huggingface_hub import HfApi

        sha = HfApi().dataset_info(name, revision=revision).sha
    if not sha:
        raise DownloadError(f"the hub names no commit of corpus {name}", hint=_OTHERWISE)
    return sha


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
