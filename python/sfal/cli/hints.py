"""Hints of errors and notes, worded as options and commands."""

import os
import shlex
from pathlib import Path

from sfal.errors import Note, SfalError, worded_hint
from sfal.store.layout import DEFAULT_DATA_DIR

_FLAGS = {
    "corpus_column": "--text-column",
    "embedding_models": "--embedding-model",
    "explainers": "--explainer",
    "explanations_file": "--explanations",
    "names": "--source",
    "redo_damaged": "--resume",
    "run_name": "--run",
    "sae_path": "--sae",
    "site": "--site",
    "source_name": "--source",
    "sources": "--source",
    "types": "--type",
    "width": "--sae-features",
    "window_size": "--k",
}
"""Options that are not spelled as the setting is."""

_COMMANDS = {
    "do_count": "sfal cooc",
    "do_count_gemma": "sfal cooc gemma",
    "do_count_llama": "sfal cooc llama",
    "do_count_sae": "sfal cooc sae",
    "do_download": "sfal embeddings download",
    "do_embed": "sfal embeddings embed",
    "do_explain": "sfal explain",
    "do_merge": "sfal merge",
    "do_score": "sfal score",
    "do_sources": "sfal sources",
    "do_verify": "sfal verify",
}
_SENTENCES = {
    "do_again": "the same command",
    "do_redo": "the same `sfal cooc` command with --resume",
}
_BY_SOURCE_OPTION = frozenset({"do_download", "do_embed", "do_score"})
"""Actions whose command takes a source as ``--source NAME``; the others take it as it stands."""
_BY_PATH = frozenset({"do_verify"})
"""Actions whose command takes a path, and so needs no data folder."""

_data_dir: Path | None = None


def in_flags(name: str, argument: str | None) -> str:
    """Word a setting as an option, an action as a command."""
    if name in _SENTENCES:
        return _SENTENCES[name]
    if name in _COMMANDS:
        if argument is None:
            return f"`{_COMMANDS[name]}`"
        if name in _BY_PATH:
            return f"`{_COMMANDS[name]} {shlex.quote(argument)}`"
        source = f"--source {argument}" if name in _BY_SOURCE_OPTION else argument
        return f"`{_COMMANDS[name]} {source}{data_dir_words()}`"
    flag = _FLAGS.get(name, "--" + name.replace("_", "-"))
    return flag if argument is None else f"{flag} {argument}"


def use_data_dir(data_dir: Path) -> None:
    """Remember the data folder of this command, for the commands that hints show."""
    global _data_dir
    _data_dir = data_dir


def data_dir_words() -> str:
    """The ``--data-dir`` that a command shown to the user needs.

    Empty where the command finds the folder without it: in ``$SFAL_DATA``, or
    at its default place.
    """
    usual = Path(os.environ.get("SFAL_DATA") or DEFAULT_DATA_DIR)
    if _data_dir is None or _data_dir == usual:
        return ""
    return f" --data-dir {shlex.quote(str(_data_dir))}"


def told(error: SfalError | Note) -> str:
    """An error or a note in the command line's words."""
    return error.worded(in_flags)


def told_hint(hint: str) -> str:
    """A hint in the command line's words; a command alone without its quotes, to be copied."""
    words = worded_hint(hint, in_flags)
    bare = words.strip("`")
    return bare if words == f"`{bare}`" and "`" not in bare else words
