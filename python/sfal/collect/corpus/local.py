"""Corpora in local files: text, JSON, CSV, Parquet and Arrow, singly or in folders."""

import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from sfal.collect.corpus.document import Column, Document
from sfal.collect.corpus.files import SPLITS, corpus_files, fingerprint_of
from sfal.collect.corpus.lines import text_documents
from sfal.collect.corpus.separators import Guess, guess_separator, note_if_absent
from sfal.collect.corpus.tables import (
    FIRST_ROWS,
    choose_column,
    columns_with_content,
    has_content,
    json_rows,
    note_on_column,
    table_columns,
    table_values,
)
from sfal.collect.corpus.unread import note_on_prompts, note_on_splits, says_something
from sfal.collect.settings import CorpusConfig
from sfal.errors import CorruptError, InvalidInputError, Note, SfalError


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
        if self.kind == "text" and self.config.tokens_column is not None:
            raise InvalidInputError(
                f"corpus {self.path} is text, which holds no token ids",
                hint="leave out $tokens_column",
            )
        if self.config.data_files is not None:
            raise InvalidInputError(
                f"corpus {self.path} is local, so its files cannot be chosen by a pattern",
                hint="leave out $data_files, and name a folder with the files with $corpus",
            )
        for name in ("corpus_config", "corpus_revision", "split"):
            given = getattr(self.config, name)
            if given != getattr(CorpusConfig(), name) and not (
                name == "split" and (self.path / SPLITS).is_file()
            ):
                raise InvalidInputError(
                    f"corpus {self.path} is local, so it has no {name} {given!r}",
                    hint=f"leave out ${name}, and name the file or folder to read with $corpus",
                )

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """Size and hash of the files; above 1 GiB the hash of 256 samples of 1 MiB."""
        return fingerprint_of(self.files, self.path)

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """What the user should know about how the corpus is read."""
        if self.kind != "text":
            read, names = self._choice
            named = self.config.tokens_column or self.config.text_column
            return (
                *note_on_splits(self.path, self.files),
                *note_on_column(str(self.path), names, named, read),
                *note_on_prompts(str(self.path), read, names, self._is_filled),
            )
        separator = self.config.document_separator
        if separator is None:
            note = self._guess.note
        else:
            with _reading(self.path):
                note = note_if_absent(self.files, str(self.path), separator)
        return (*note_on_splits(self.path, self.files), *(() if note is None else (note,)))

    def _is_filled(self, name: str) -> bool:
        """Return whether a column holds something in the first rows of the first file."""
        with _reading(self.files[0]):
            if self.kind == "JSON":
                values = (row.get(name) for _, row in json_rows(self.files[0]))
            else:
                rows = table_values(self.files[0], self.kind, name, any_type=True)
                values = (value for _, value in rows)
            return any(map(says_something, islice(values, FIRST_ROWS)))

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

    @property
    def _separator(self) -> str | None:
        given = self.config.document_separator
        return self._guess.separator if given is None else given

    @cached_property
    def _guess(self) -> Guess:
        return guess_separator(self.files[0], str(self.path))

    @cached_property
    def _column(self) -> Column:
        config = self.config
        only_ids, as_chat = config.tokens_column is not None, config.chat_template != "none"
        return Column(self._choice[0], only_ids, as_chat)

    @cached_property
    def _choice(self) -> tuple[str, Collection[str]]:
        """The column that holds the documents, and those that there are."""
        if self.kind == "JSON":
            return self._json_column()
        names = columns_with_content(self.files[0], self.kind)
        found = choose_column(names, self.config.text_column, self.config.tokens_column)
        if found is None:
            raise self._no_column(self.files[0], list(names))
        return found, names

    def _json_column(self) -> tuple[str, Collection[str]]:
        """Find the key that holds the documents, which some of the objects may lack."""
        text, ids = self.config.text_column, self.config.tokens_column
        wanted = ids or text
        seen: dict[str, bool] = {}
        first, number = str(self.files[0]), 0
        for file in self.files:
            with _reading(file):
                for where, row in json_rows(file):
                    first = where if number == 0 else first
                    number += 1
                    if has_content(row.get(wanted)):
                        return wanted, {**seen, **dict.fromkeys(row, True)}
                    if len(seen) < FIRST_ROWS:
                        for key, value in row.items():
                            seen[key] = seen.get(key, False) or has_content(value)
                    found = choose_column(seen, text, ids) if number == FIRST_ROWS else None
                    if found is not None and seen[found]:
                        return found, seen
        found = choose_column(seen, text, ids)
        if found is None and number:
            raise self._no_column(first, list(seen))
        return found or wanted, seen

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
