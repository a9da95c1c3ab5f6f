"""The sources that a call of stage 2 is about, and where it was interrupted."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import SequenceMatcher
from pathlib import Path

from sfal.errors import InvalidInputError, Note
from sfal.sources.source import Source
from sfal.store.source_folder import SourceFolder

Sources = str | Source | Sequence[str | Source]
"""One source or several, each by its name or as :func:`sfal.collect` takes it."""

_NAMED = 5
"""Sources on disk that a note names."""


def requested_sources(sources: Sources, data_dir: Path) -> list[SourceFolder]:
    """Return the folders of a call's sources, each once.

    Parameters
    ----------
    sources : str, Source, or sequence of these
        Sources.
    data_dir : Path
        Root of the data tree.

    Raises
    ------
    InvalidInputError
        If there is none, or a name would leave the data tree.
    """
    given = [sources] if isinstance(sources, str | Source) else list(sources)
    if not given:
        raise InvalidInputError("no source is given", hint="$do_sources lists their names")
    names = [source if isinstance(source, str) else source.name for source in given]
    return [SourceFolder.open(data_dir, name) for name in dict.fromkeys(names)]


def uncounted_note(source: SourceFolder) -> Note | None:
    """Return a note if nothing has been counted for a source, but for others of its data tree.

    Labels may come before counts, but a name that nobody counts may also be misspelt.
    The note names the others, the most similar names first.
    """
    if source.is_counted:
        return None
    others = [one.name for one in SourceFolder.all(source.root) if one.is_counted]
    if not others:
        return None
    others.sort(key=lambda name: -SequenceMatcher(None, source.name, name).ratio())
    more = ", …" if len(others) > _NAMED else ""
    return Note(
        f"nothing has been counted as {source.name} yet; on disk: "
        f"{', '.join(others[:_NAMED])}{more}"
    )


@contextmanager
def interrupted_at(source: str) -> Iterator[None]:
    """Make an interruption of the block name the source, unless it already says where it was."""
    try:
        yield
    except KeyboardInterrupt as e:
        said = e.args or (Note(f"Stopped at {source}", "$do_again continues there"),)
        raise KeyboardInterrupt(*said) from None
