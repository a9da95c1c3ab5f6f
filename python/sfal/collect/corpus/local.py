"""Corpora in local files: text, JSON, CSV, Parquet and Arrow, singly or in folders."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sfal.collect.corpus.document import Column, Document
from sfal.collect.corpus.files import corpus_files, fingerprint_of
from sfal.collect.corpus.lines import guessed_separator, text_documents
from sfal.collect.corpus.tables import choose_column, json_rows, table_columns, table_values
from sfal.collect.settings import CorpusConfig
from sfal.errors import CorruptError, InvalidInputError, Note, SfalError

_FIRST_ROWS = 1000
"""JSON objects that must all lack text for a column of conversations or token ids to be taken."""


@dataclass(frozen=True)
class LocalCorpus:
    """Documents of a local file, or of the files of a folder in the order of their names.

    In a text file every line is a document, even an empty one, unless documents
    are separated otherwise. In a JSON file every line that is not blank is an
    object. In the others every row is a document. A row without a value, or
    with a null, is an empty document.
    """

    path: Path
    """The file or folder."""
    config: CorpusConfig
    """Which column holds the documents, or what separates them."""
    kind: str = field(init=False)
    """Kind of the files; see :func:`sfal.collect.corpus.files.kind_of`."""
    files: list[Path] = field(init=False)
    """The files in order."""
    name: str = field(init=False)
    """The path as given."""

    def __post_init__(self) -> None:
        kind, files = corpus_files(self.path, self.config.split)
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "files", files)
        object.__setattr__(self, "name", str(self.path))

    @classmethod
    def open(cls, config: CorpusConfig) -> "LocalCorpus":
        """Open a file or folder after checking that its first document can be read.

        Raises
        ------
        MissingError
            If there is no such file or folder.
        CorruptError
            If it cannot be read.
        InvalidInputError
            If it is of an unknown kind or of several, lacks the column, or a
            setting does not apply to it.
        """
        corpus = cls(Path(config.corpus).expanduser(), config)
        corpus._check_settings()
        next(corpus.documents(0), None)
        return corpus

    def _check_settings(self) -> None:
        if self.kind != "text" and self.config.document_separator is not None:
            raise InvalidInputError(
                f"corpus {self.path} is {self.kind}, which needs no separator of documents",
                hint="leave out $document_separator",
            )
        if self.kind in ("text", "CSV", "TSV") and self.config.tokens_column is not None:
            raise InvalidInputError(
                f"corpus {self.path} is {self.kind}, which holds no token ids",
                hint="leave out $tokens_column",
            )
        if self.config.data_files is not None:
            raise InvalidInputError(
                f"corpus {self.path} is local, so its files cannot be chosen by a pattern",
                hint="leave out $data_files, and name a folder with the files with $corpus",
            )

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """Size and hash of the files; above 1 GiB the hash of 256 samples of 1 MiB."""
        return fingerprint_of(self.files, self.path)

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """What the user should know about how the corpus is read."""
        if self.config.document_separator is not None or self._separator is None:
            return ()
        return (
            Note(
                f"corpus {self.path}: lines consist of {self._separator}, so documents are what "
                "lies between them, not lines",
                "another $document_separator would separate them otherwise",
            ),
        )

    def documents(self, start: int) -> Iterator[Document]:
        """Yield each document from ordinal `start` on.

        Raises
        ------
        CorruptError
            If a file is damaged, or not UTF-8 or JSON; the message names the line.
        InvalidInputError
            If it has no such column, or the column holds something else.
        """
        ordinal = 0
        for file in self.files:
            with _reading(file):
                for document in self._documents_of(file, start - ordinal):
                    if ordinal >= start:
                        yield document
                    ordinal += 1

    def _documents_of(self, file: Path, skipped: int) -> Iterator[Document]:
        """Yield the documents of a file; the first `skipped` need not be more than counted."""
        if self.kind == "text":
            yield from text_documents(file, self._separator)
            return
        column = self._column
        values = self._json_values(file) if self.kind == "JSON" else self._table_values(file)
        for n, (where, value) in enumerate(values):
            yield "" if n < skipped else column.document(value, where)

    def _json_values(self, file: Path) -> Iterator[tuple[str, object]]:
        for where, row in json_rows(file):
            yield where, row.get(self._column.name)

    def _table_values(self, file: Path) -> Iterator[tuple[str, object]]:
        names = table_columns(file, self.kind)
        if self._column.name not in names:
            raise self._no_column(file, names)
        return table_values(file, self.kind, self._column.name)

    @cached_property
    def _separator(self) -> str | None:
        if self.kind != "text" or self.config.document_separator is not None:
            return self.config.document_separator
        return guessed_separator(self.files[0])

    @cached_property
    def _column(self) -> Column:
        config = self.config
        name = self._json_column() if self.kind == "JSON" else self._table_column()
        return Column(name, config.tokens_column is not None, config.chat_template != "none")

    def _table_column(self) -> str:
        names = table_columns(self.files[0], self.kind)
        found = choose_column(names, self.config.text_column, self.config.tokens_column)
        if found is None:
            raise self._no_column(self.files[0], names)
        return found

    def _json_column(self) -> str:
        """Return the key that holds the documents, which some of the objects may lack."""
        text, ids = self.config.text_column, self.config.tokens_column
        seen: dict[str, None] = {}
        first, number = str(self.files[0]), 0
        for file in self.files:
            with _reading(file):
                for where, row in json_rows(file):
                    first = where if number == 0 else first
                    number += 1
                    if (ids or text) in row:
                        return ids or text
                    if len(seen) < _FIRST_ROWS:
                        seen.update(dict.fromkeys(row))
                    if number == _FIRST_ROWS and (found := choose_column(list(seen), text, ids)):
                        return found
        found = choose_column(list(seen), text, ids)
        if found is None and number:
            raise self._no_column(first, list(seen))
        return found or ids or text

    def _no_column(self, where: object, names: list[str]) -> InvalidInputError:
        wanted = self.config.tokens_column or self.config.text_column
        shown = ", ".join(names[:20]) or "nothing"
        return InvalidInputError(
            f"{where} has no {wanted!r}; it has {shown}",
            hint="name the column or key with the text or the conversations with $text_column, or "
            "that with token ids with $tokens_column",
        )


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Name the file in whatever error reading it raises."""
    try:
        yield
    except SfalError:
        raise
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as e:
        reason = getattr(e, "strerror", None) or e
        raise CorruptError(f"corpus {file} cannot be read: {reason}") from e
    except Exception as e:
        import pyarrow as pa

        if not isinstance(e, pa.ArrowException):
            raise
        raise CorruptError(f"corpus {file} is damaged: {e}") from e
