"""The wording of hints in errors and notes as options and commands.

:mod:`sfal.errors` defines hints and words them for Python.
"""

import logging
import os
import shlex
from copy import copy
from pathlib import Path

from sfal.errors import Note, SfalError, worded_hint
from sfal.store.layout import DEFAULT_DATA_DIR

_FLAGS = {
    "embedding_models": "--embedding-model",
    "explainers": "--explainer",
    "explanations_file": "--explanations",
    "include": "--with",
    "n_features": "--features",
    "redo_damaged": "--resume",
    "sae_path": "--sae",
    "source_name": "--source",
    "sources": "--source",
    "types": "--type",
    "width": "--sae-features",
    "window_size": "--k",
}
"""Options whose name differs from the setting's."""

_COMMANDS = {
    "do_count": "sfal cooc",
    "do_count_gemma": "sfal cooc gemma",
    "do_count_llama": "sfal cooc llama",
    "do_count_sae": "sfal cooc sae",
    "do_download": "sfal embeddings download",
    "do_embed": "sfal embeddings embed",
    "do_explain": "sfal explain",
    "do_label": "sfal embeddings all",
    "do_merge": "sfal merge",
    "do_pull": "sfal pull",
    "do_push": "sfal push",
    "do_score": "sfal score",
    "do_sources": "sfal sources",
    "do_verify": "sfal verify",
}
_SENTENCES = {
    "do_again": "the same command",
    "do_count_encoded": "sfal.count_encoded() in Python",
    "do_count_features": "sfal.count_features() in Python",
    "do_redo": "the same `sfal cooc` command with --resume",
}
_BY_SOURCE_OPTION = frozenset({"do_download", "do_embed", "do_label", "do_score"})
"""Actions whose command takes a source as ``--source NAME``; the others take it as an argument."""
_FURTHER_WORDS = {"do_label": " --explanations FILE"}
"""What a command needs besides the source, with a placeholder for what only the user knows."""
_BY_PATH = frozenset({"do_verify"})
"""Actions whose command takes a path, and so needs no data folder."""

_data_dir: Path | None = None


def in_flags(name: str, argument: str | None) -> str:
    """Word a setting as an option and an action as a command."""
    if name in _SENTENCES:
        return _SENTENCES[name]
    if name in _COMMANDS:
        if argument is None:
            return f"`{_COMMANDS[name]}`"
        if name in _BY_PATH:
            return f"`{_COMMANDS[name]} {shlex.quote(argument)}`"
        further = _FURTHER_WORDS.get(name, "")
        source = f"--source {argument}" if name in _BY_SOURCE_OPTION else argument
        return f"`{_COMMANDS[name]} {source}{further}{data_dir_words()}`"
    flag = _FLAGS.get(name, "--" + name.replace("_", "-"))
    return flag if argument is None else f"{flag} {argument}"


def use_data_dir(data_dir: Path) -> None:
    """Store this command's data folder, for the commands shown in hints."""
    global _data_dir
    _data_dir = data_dir


def data_dir_words() -> str:
    """Return the ``--data-dir`` option that a command shown to the user needs.

    Empty if the command finds the folder without it: through ``$SFAL_DATA`` or
    at the default place.
    """
    usual = Path(os.environ.get("SFAL_DATA") or DEFAULT_DATA_DIR)
    if _data_dir is None or _data_dir == usual:
        return ""
    return f" --data-dir {shlex.quote(str(_data_dir))}"


def told(said: SfalError | Note | str) -> str:
    """Word an error or a note for the command line; a text without hints stays as it is."""
    return said if isinstance(said, str) else said.worded(in_flags)


def told_text(text: str) -> str:
    """Word the settings and actions in a text for the command line."""
    return worded_hint(text, in_flags)


def told_hint(hint: str) -> str:
    """Word a hint for the command line; a command alone goes without quotes, to be copied."""
    words = told_text(hint)
    bare = words.strip("`")
    return bare if words == f"`{bare}`" and "`" not in bare else words


class HintFormatter(logging.Formatter):
    """A log formatter that words logged errors and notes for the command line."""

    def format(self, record: logging.LogRecord) -> str:
        """Word the message's arguments, then format as usual."""
        arguments = record.args
        if isinstance(arguments, tuple):
            # A copy, since other handlers receive the same record.
            record = copy(record)
            record.args = tuple(
                told(argument) if isinstance(argument, SfalError | Note) else argument
                for argument in arguments
            )
        return super().format(record)
