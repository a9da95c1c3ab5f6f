"""Opened label files: expanded if they are compressed, and decoded as they were encoded."""

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from sfal.errors import Note
from sfal.io.gzip_lines import ExpansionLimits, expand

LIMITS = ExpansionLimits(max_ratio=500)
"""A user's file may be more repetitive than an export."""

_BLOCK = 1 << 20
_MULTIBYTE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
"""A character of UTF-8 that is not ASCII; in other encodings it would be rare."""
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
"""Bytes that no text has in an encoding of one byte per character."""


class _Expanded(io.RawIOBase):
    """The expanded content of a gzip file, within limits, as a file."""

    def __init__(self, path: Path) -> None:
        self._blocks = expand(path, LIMITS)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = next(self._blocks, b"")
        n = min(len(buffer), len(self._rest))
        buffer[:n] = self._rest[:n]
        self._rest = self._rest[n:]
        return n


def open_bytes(path: Path) -> BinaryIO:
    """Open a file that may be gzipped."""
    if path.name.lower().endswith(".gz"):
        return cast(BinaryIO, io.BufferedReader(_Expanded(path)))
    return path.open("rb")


@contextmanager
def open_text(path: Path, notes: list[Note]) -> Iterator[TextIO]:
    """Open a file as text, in the encoding that it is in; line ends are kept.

    Spreadsheets write UTF-8 with a mark, UTF-16, or on Windows its Western
    European code page, which a note says. That last one is assumed only if neither
    a character of UTF-8 nor one that no text has is in the file, so that a damaged
    one is refused.

    Parameters
    ----------
    path : Path
        The file.
    notes : list of Note
        Receives what the user should know.
    """
    encoding = _encoding(path)
    if encoding == "cp1252":
        notes.append(
            Note(
                f"{path} is not UTF-8; it is read as Windows' Western European code page",
                "save it as UTF-8 if its letters come out wrong",
            )
        )
    errors = "replace" if encoding == "cp1252" else "strict"
    with (
        open_bytes(path) as file,
        io.TextIOWrapper(file, encoding=encoding, errors=errors, newline="") as text,
    ):
        yield text


def _encoding(path: Path) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    is_utf8, may_be_page = True, True
    with open_bytes(path) as file:
        block = file.read(_BLOCK)
        if block[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return "utf-16"
        while True:
            if _MULTIBYTE.search(block) or _CONTROL.search(block):
                may_be_page = False
            try:
                if is_utf8:
                    decoder.decode(block, final=not block)
            except UnicodeDecodeError:
                is_utf8 = False
            if not block:
                return "utf-8-sig" if is_utf8 or not may_be_page else "cp1252"
            block = file.read(_BLOCK)
