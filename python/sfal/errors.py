"""Every error that SFAL raises on purpose, and how it says what to do about it.

Each class is a :class:`SfalError` and also the built-in class a caller would
expect, so ``except ValueError`` and ``except SfalError`` both work. The Rust
extension raises these same classes.

An error consists of a message, which says what was refused and where, and a
hint, which says what to do. Hints name settings and actions as data, such as
``$n_docs`` or ``$do_count``; :func:`in_python` words them for a notebook, and
:mod:`sfal.cli.hints` words them as options and commands.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Vocabulary = Callable[[str, str | None], str]
"""Words for a setting or an action, by its name and its argument, if it has one."""

ACTIONS = {
    "do_again": "the same call",
    "do_count": "sfal.collect()",
    "do_count_encoded": "sfal.count_encoded()",
    "do_count_features": "sfal.count_features()",
    "do_count_gemma": "sfal.collect() on sfal.sources.resolve_gemma()",
    "do_count_llama": "sfal.collect() on sfal.sources.resolve_llama()",
    "do_count_sae": "sfal.collect() on sfal.sources.resolve_saelens() or resolve_local()",
    "do_download": "sfal.download_explanations()",
    "do_embed": "sfal.embed_explanations()",
    "do_explain": "sfal.explain_features()",
    "do_label": "sfal.download_explanations() with explanations_file=FILE",
    "do_merge": "sfal.merge_runs()",
    "do_pull": "sfal.pull()",
    "do_push": "sfal.push()",
    "do_redo": "sfal.collect() with redo_damaged=True",
    "do_score": "sfal.score()",
    "do_sources": "sfal.sources.registry()",
    "do_verify": "sfal.verify()",
}
"""Calls that do what a hint advises."""

_TERM = re.compile(r"\$([a-z][a-z0-9_]*)(?:\(([^()]*)\))?")


def in_python(name: str, argument: str | None) -> str:
    """Word a setting as a keyword argument, an action as a call."""
    if name in ACTIONS:
        call = ACTIONS[name]
        return call if argument is None else call.replace("()", f"({argument!r})")
    return name if argument is None else f"{name}={argument}"


def worded(message: str, hint: str, vocabulary: Vocabulary = in_python) -> str:
    """Join a message and its hint, worded in a vocabulary.

    Parameters
    ----------
    message : str
        What was refused, and where.
    hint : str
        What to do, with settings as ``$name`` or ``$name(value)`` and actions
        as ``$do_name`` or ``$do_name(source)``; empty if there is no advice.
    vocabulary : callable, optional
        Words for them; default: those of the Python interface.
    """
    return f"{message}; {worded_hint(hint, vocabulary)}" if hint else message


def worded_hint(hint: str, vocabulary: Vocabulary = in_python) -> str:
    """Word the settings and actions of a hint in a vocabulary."""
    return _TERM.sub(lambda term: vocabulary(term[1], term[2]), hint)


class SfalError(Exception):
    """Base class of all errors raised by SFAL.

    Parameters
    ----------
    message : str
        What was refused, and where.
    hint : str, optional
        What to do about it; see :func:`worded`.
    """

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.worded()

    def __reduce__(self) -> tuple[Any, ...]:
        # By default, unpickling passes `args` to `__init__`, which subclasses define otherwise.
        return _unpickled, (type(self), self.args, dict(self.__dict__))

    def worded(self, vocabulary: Vocabulary = in_python) -> str:
        """Message and hint in a vocabulary."""
        return worded(self.message, self.hint, vocabulary)


def _unpickled(kind: type[SfalError], args: tuple[Any, ...], state: Mapping[str, Any]) -> SfalError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


@dataclass(frozen=True)
class Note:
    """Something that the user should know although nothing failed."""

    message: str
    """What happened, and where."""
    hint: str = ""
    """What to do about it; see :func:`worded`."""

    def __str__(self) -> str:
        return self.worded()

    def worded(self, vocabulary: Vocabulary = in_python) -> str:
        """Message and hint in a vocabulary."""
        return worded(self.message, self.hint, vocabulary)


class InvalidInputError(SfalError, ValueError):
    """A value, an array or a setting is outside what the function accepts."""


class MemoryLimitError(SfalError, MemoryError):
    """A call would need more memory than its limit allows."""


class ArtifactError(SfalError):
    """A file is of another layout, or contradicts another file or the request."""


class MissingError(ArtifactError):
    """A file that is needed does not exist yet."""


class CorruptError(ArtifactError):
    """A file is damaged: cut short, changed, or edited."""


class SettingsMismatchError(ArtifactError):
    """A run on disk was made with other settings than those requested."""


class LockedError(ArtifactError):
    """Another process is writing to the same folder."""


class DownloadError(SfalError, OSError):
    """Something could not be fetched from a hub, a bucket or a mirror."""


class UploadError(SfalError, OSError):
    """Something could not be sent to a hub."""


class UnknownSaeError(SfalError, LookupError):
    """No SAE, source or layer goes by the name given."""


class MissingDependencyError(SfalError, ImportError):
    """An optional package is needed for what was requested."""


class WorkerError(SfalError, RuntimeError):
    """Worker processes ended without an answer, or none could be started."""


class CombinedError(SfalError):
    """Several independent failures of one call."""

    def __init__(self, errors: Iterable[SfalError]) -> None:
        self.errors = tuple(errors)
        """What failed, in order."""
        super().__init__("; ".join(map(str, self.errors)))

    def worded(self, vocabulary: Vocabulary = in_python) -> str:
        """All messages and hints in a vocabulary."""
        return "; ".join(error.worded(vocabulary) for error in self.errors)
