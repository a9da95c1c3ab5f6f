"""What a corpus holds that is not read, or not kept apart, as people may expect."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from sfal.errors import Note

CHATS = ("messages", "conversations", "conversation")
"""Columns of conversations by their usual names."""
BESIDE_CHATS = ("system", "system_prompt", "tools", "functions")
"""Columns beside a conversation that belong to its prompt."""
_EMPTY = ("", "[]", "{}", "null", "none")
_SPLITS = {"val": "validation", "valid": "validation", "dev": "validation", "eval": "validation"}
_SPLIT = re.compile(r"(train|test|validation|valid|val|dev|eval)(?![a-z])", re.IGNORECASE)


def note_on_splits(root: Path, files: Iterable[Path]) -> tuple[Note, ...]:
    """Return a note if a folder's files are named after several splits, which are all read.

    Parameters
    ----------
    root : Path
        The folder.
    files : iterable of Path
        The files that are read.
    """
    found: dict[str, None] = {}
    for file in files:
        for part in reversed(file.relative_to(root).parts):
            if match := _SPLIT.match(part):
                name = match[1].lower()
                found[_SPLITS.get(name, name)] = None
                break
        else:
            return ()  # not every file is of a split
    if len(found) < 2:
        return ()
    return (
        Note(
            f"corpus {root} has files of several splits ({', '.join(found)}), which are all read",
            "name the file, or a folder with the files, of one of them with $corpus",
        ),
    )


def note_on_prompts(
    corpus: str, read: str, names: Iterable[str], is_filled: Callable[[str], bool]
) -> tuple[Note, ...]:
    """Return a note if columns beside the conversations belong to the prompt, but are not read.

    Parameters
    ----------
    corpus : str
        The corpus.
    read : str
        The column that holds the documents.
    names : iterable of str
        All columns.
    is_filled : callable
        Whether a column holds something in the first rows.
    """
    if read not in CHATS:
        return ()
    beside = [name for name in names if name.lower() in BESIDE_CHATS and is_filled(name)]
    if not beside:
        return ()
    return (
        Note(
            f"corpus {corpus}: conversations are read from {read!r} alone, not what "
            f"{', '.join(map(repr, beside))} beside it {'adds' if len(beside) == 1 else 'add'} to "
            "their prompts",
            "write a system prompt as the first message of its conversation to have it read",
        ),
    )


def says_something(value: object) -> bool:
    """Return whether a column's value is neither missing nor an empty list, perhaps as text."""
    return bool(value) and str(value).strip().lower() not in _EMPTY
