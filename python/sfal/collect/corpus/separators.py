"""What separates the documents of a text file: guessed, or said where it is doubtful."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sfal.collect.corpus.files import open_packed
from sfal.collect.corpus.lines import LONGEST, lines
from sfal.errors import Note

_HEAD = 1 << 20
"""Characters in which a separator must occur to be guessed."""
_ENDS_OF_TEXT = (
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|endofdoc|>",
    "<|end_of_document|>",
    "<|eos|>",
)
"""Texts that end a document, even at the beginning or end of a line."""
_LINES = frozenset({*_ENDS_OF_TEXT, "<eos>", "</s>", "[EOS]"})
"""Texts that end a document if a line consists of one of them."""
_RULE = re.compile(r"</?\|?[A-Za-z_]+\|?>|\[/?[A-Z]+\]|[-=*_#~+]( ?[-=*_#~+]){2,}")
"""Lines that may separate documents, or may be part of them."""


@dataclass(frozen=True)
class Guess:
    """How a text file's documents are separated if the user does not say it."""

    separator: str | None
    """Text between documents; None: every line is a document."""
    note: Note | None = None
    """What the user should know about it."""


def guess_separator(path: Path, name: str) -> Guess:
    """Look at the first lines of a text file.

    Documents are separated by a text that is known to end a document, if a line
    consists of it, begins or ends with it, or holds it twice. Other lines that
    may separate documents, and paragraphs, only give a note: every line remains
    a document.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        Name of the corpus, for notes.
    """
    seen = run = longest = 0
    within = rule = before = ""
    blank = False
    for _, line in lines(path):
        text = line.strip()
        if text in _LINES:
            return _guessed(name, text, "lines consist of")
        for mark in _ENDS_OF_TEXT:
            if mark in text:
                if text.startswith(mark) or text.endswith(mark) or text.count(mark) > 1:
                    return _guessed(name, mark, "lines begin or end with, or hold,")
                within = within or mark
        if text and _RULE.fullmatch(text):
            rule = rule or text
        run = run + 1 if text else 0
        longest = max(longest, run)
        blank = blank or (run == 1 and before == "blank")
        before = before and "blank" if not text else "text"
        seen += len(line)
        if seen > _HEAD:
            break
    if within:
        return _doubtful(name, f"some hold {within}", within)
    if rule:
        return _doubtful(name, f"some consist of {rule[:40]}", rf"\n{rule[:40]}\n")
    if blank and longest > 1:
        return _doubtful(name, "blank lines separate paragraphs", "")
    return Guess(None)


def _guessed(name: str, separator: str, how: str) -> Guess:
    note = Note(
        f"corpus {name}: {how} {separator}, so documents are what lies between them, not lines",
        "another $document_separator would separate them otherwise",
    )
    return Guess(separator, note)


def _doubtful(name: str, what: str, separator: str) -> Guess:
    note = Note(
        f"corpus {name}: every line is a document, although {what}",
        f"$document_separator('{separator}') would separate documents there",
    )
    return Guess(None, note)


def note_if_absent(files: Sequence[Path], name: str, separator: str) -> Note | None:
    """Return a note if a separator that the user named does not occur in the first files.

    Parameters
    ----------
    files : sequence of Path
        Text files.
    name : str
        Name of the corpus, for the note.
    separator : str
        The separator; empty: blank lines.
    """
    left = LONGEST
    for path in files:
        with open_packed(path) as file:
            content = file.read(left)
        left -= len(content)
        text = content.decode("utf-8", errors="replace").replace("\r\n", "\n").strip()
        if separator in text if separator else re.search(r"\n[^\S\n]*\n", text):
            return None
        if left <= 0:
            break
    what = repr(separator) if separator else "no blank line"
    where = "in it" if left > 0 else f"in its first {LONGEST >> 20} MiB"
    each = "it is one document" if len(files) == 1 else "each of its files is one document"
    said = f"{what} does not occur" if separator else f"there is {what}"
    return Note(f"corpus {name}: {said} {where}, so {each}", "see $document_separator")
