"""Corpora in local files: text, JSON lines, Parquet."""

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sfal.errors import CorruptError, InvalidInputError, MissingError, SfalError
from sfal.io.atomic import sha256_file
from sfal.io.zstd import open_zstd

_LINES = (".txt", ".jsonl")
_PACKED = ("", ".gz", ".zst")
ENDINGS = (*(kind + packed for kind in _LINES for packed in _PACKED), ".parquet")
"""Endings of file names that can be read."""

_LONGEST_LINE = 64 << 20
"""Bytes; an endless line would fill the memory."""
_WHOLE = 1 << 30
"""Bytes; larger files are identified by their size and by samples."""
_SAMPLE = 1 << 20
_SAMPLES = 256


def is_local(name: str) -> bool:
    """Return whether a corpus's name is that of a local file, whether or not it exists."""
    return name.lower().endswith(ENDINGS) or Path(name).is_absolute() or Path(name).exists()


@dataclass(frozen=True)
class LocalCorpus:
    """Documents of a local file.

    In ``.txt`` every line is a document, even an empty one. In ``.jsonl`` every
    line that is not blank is an object with the text under `text_column`. A
    null text is an empty document.
    """

    path: Path
    """The file."""
    text_column: str
    """Key or column of the text; ``.txt`` has none."""
    name: str = field(init=False)
    """The path as given."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", str(self.path))

    @classmethod
    def open(cls, path: Path, text_column: str) -> "LocalCorpus":
        """Open a file after checking that its first document can be read.

        Raises
        ------
        MissingError
            If there is no such file.
        CorruptError
            If it cannot be read.
        InvalidInputError
            If it is of an unknown kind, or has no column of that name.
        """
        corpus = cls(path, text_column)
        if not path.name.lower().endswith(ENDINGS):
            raise InvalidInputError(
                f"corpus {path} is of an unknown kind; SFAL reads {', '.join(ENDINGS)} files"
            )
        if not path.exists():
            raise MissingError(f"corpus {path}: there is no such file")
        if not path.is_file():
            raise InvalidInputError(f"corpus {path} is not a file")
        next(corpus.documents(0), None)
        return corpus

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """Size and hash of the file; above 1 GiB the hash of 256 samples of 1 MiB."""
        size = self.path.stat().st_size
        if size <= _WHOLE:
            return {"bytes": size, "sha256": sha256_file(self.path)}
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            for i in range(_SAMPLES):
                file.seek(i * (size - _SAMPLE) // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE))
        return {"bytes": size, "samples_sha256": digest.hexdigest()}

    def documents(self, start: int) -> Iterator[str]:
        """Yield the text of each document from ordinal `start` on.

        Raises
        ------
        CorruptError
            If the file is damaged, or not UTF-8 or JSON; the message names the line.
        InvalidInputError
            If it has no text under `text_column`.
        """
        found = self._parquet() if self.path.name.lower().endswith(".parquet") else self._lines()
        for ordinal, text in enumerate(found):
            if ordinal >= start:
                yield text

    def _lines(self) -> Iterator[str]:
        is_json = ".jsonl" in "".join(self.path.suffixes[-2:]).lower()
        with self._reading(), self._open() as file:
            number = 0
            while line := file.readline(_LONGEST_LINE + 1):
                number += 1
                where = f"{self.path}, line {number}"
                if len(line) > _LONGEST_LINE:
                    raise CorruptError(f"{where}: longer than {_LONGEST_LINE >> 20} MiB")
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as e:
                    raise CorruptError(
                        f"{where}: invalid UTF-8 at byte {e.start + 1} of the line",
                        hint="convert the file, or remove the line",
                    ) from e
                if not is_json:
                    yield text.rstrip("\r\n")
                elif text.strip():
                    yield self._json_text(text, where)

    def _json_text(self, line: str, where: str) -> str:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as e:
            raise CorruptError(f"{where}: invalid JSON ({e})") from e
        if not isinstance(value, dict):
            raise CorruptError(f"{where}: {type(value).__name__}, not a JSON object")
        if self.text_column not in value:
            raise InvalidInputError(
                f"{where} has no {self.text_column!r}; it has {', '.join(value) or 'nothing'}",
                hint="name the text's key by $text_column",
            )
        text = value[self.text_column]
        if text is not None and not isinstance(text, str):
            raise InvalidInputError(
                f"{where}: {self.text_column!r} is {type(text).__name__}, not text",
                hint="name another key by $text_column",
            )
        # JSON may contain unpaired surrogates, which a tokenizer does not accept.
        return (text or "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _parquet(self) -> Iterator[str]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with self._reading(), pq.ParquetFile(self.path) as file:
            schema = file.schema_arrow
            if self.text_column not in schema.names:
                raise InvalidInputError(
                    f"corpus {self.path} has no column {self.text_column!r}; "
                    f"it has {', '.join(schema.names)}",
                    hint="name the column with the text by $text_column",
                )
            kind = schema.field(self.text_column).type
            if pa.types.is_dictionary(kind):
                kind = kind.value_type
            if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                raise InvalidInputError(
                    f"corpus {self.path}: column {self.text_column!r} is {kind}, not text",
                    hint="name another column by $text_column",
                )
            for batch in file.iter_batches(batch_size=64, columns=[self.text_column]):
                for text in batch.column(0).to_pylist():
                    yield text or ""

    def _open(self) -> io.BufferedIOBase:
        ending = self.path.suffix.lower()
        if ending == ".gz":
            return gzip.GzipFile(self.path)
        if ending == ".zst":
            return open_zstd(self.path)
        return self.path.open("rb")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Name the file in whatever error reading it raises."""
        try:
            yield
        except SfalError:
            raise
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as e:
            reason = getattr(e, "strerror", None) or e
            raise CorruptError(f"corpus {self.path} cannot be read: {reason}") from e
        except Exception as e:
            import pyarrow as pa

            if not isinstance(e, pa.ArrowException):
                raise
            raise CorruptError(f"corpus {self.path} is damaged: {e}") from e
