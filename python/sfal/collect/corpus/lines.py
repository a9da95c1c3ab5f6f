"""Lines of text files, and the documents that consist of them."""

from collections.abc import Iterator
from pathlib import Path

from sfal.collect.corpus.files import open_packed
from sfal.errors import CorruptError

LONGEST = 64 << 20
"""Bytes of a line, or characters of a document; an endless one would fill the memory."""


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield where each line of a file stands, for messages, and its text, line break included.

    Raises
    ------
    CorruptError
        If a line is too long, or not UTF-8; the message names it.
    """
    with open_packed(path) as file:
        number = 0
        while line := file.readline(LONGEST + 1):
            number += 1
            where = f"{path}, line {number}"
            if len(line) > LONGEST:
                raise CorruptError(f"{where}: longer than {LONGEST >> 20} MiB")
            try:
                yield where, line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as e:
                raise CorruptError(
                    f"{where}: invalid UTF-8 at byte {e.start + 1} of the line",
                    hint="convert the file, or remove the line",
                ) from e


def text_documents(path: Path, separator: str | None) -> Iterator[str]:
    """Yield the documents of a text file.

    Parameters
    ----------
    path : Path
        The file.
    separator : str or None
        Text between documents, wherever it occurs; what is blank between two of
        them is not a document, and line breaks at a document's ends are left
        out. Empty: blank lines separate documents. None: every line is a
        document, even an empty one.
    """
    if separator is None:
        for _, line in lines(path):
            yield line.rstrip("\r\n")
    elif separator == "":
        yield from _paragraphs(path)
    else:
        yield from _separated(path, separator)


def _paragraphs(path: Path) -> Iterator[str]:
    found: list[str] = []
    size = 0
    for where, line in lines(path):
        text = line.rstrip("\r\n")
        if text.strip():
            found.append(text)
            size += len(text)
            _check_size(where, size)
        elif found:
            yield "\n".join(found)
            found, size = [], 0
    if found:
        yield "\n".join(found)


def _separated(path: Path, separator: str) -> Iterator[str]:
    rest = ""
    found: list[str] = []
    size = 0
    for where, line in lines(path):
        # A separator may begin in an earlier line, of which `rest` keeps the end.
        rest += line[:-2] + "\n" if line.endswith("\r\n") else line
        while (at := rest.find(separator)) >= 0:
            yield from _not_blank("".join([*found, rest[:at]]))
            rest, found, size = rest[at + len(separator) :], [], 0
        kept = min(len(rest), len(separator) - 1)
        found.append(rest[: len(rest) - kept])
        size += len(found[-1])
        rest = rest[len(rest) - kept :]
        _check_size(where, size)
    yield from _not_blank("".join([*found, rest]))


def _not_blank(text: str) -> Iterator[str]:
    if text.strip():
        yield text.strip("\r\n")


def _check_size(where: str, size: int) -> None:
    if size > LONGEST:
        raise CorruptError(
            f"{where}: the document is longer than {LONGEST >> 20} MiB",
            hint="see $document_separator",
        )
