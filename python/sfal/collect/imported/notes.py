"""What the user should know about an import: what was assumed, and what is not known."""

import re
from collections.abc import Sequence

from sfal.collect.imported.delphi import feature_range
from sfal.collect.imported.documents import Documents
from sfal.collect.imported.open import find_width
from sfal.collect.imported.rows import Reader
from sfal.collect.imported.settings import ImportSettings
from sfal.errors import Note

_LAYER = re.compile(r"(?:^|[^a-z])(?:layers?|blocks?|l)[._ -]?([0-9]+)(?![0-9])", re.IGNORECASE)
"""A layer, as names of files and folders spell it."""


def notes_on(
    readers: Sequence[Reader], documents: Documents, settings: ImportSettings, largest: int
) -> tuple[Note, ...]:
    """Return notes on what was assumed since neither the files nor the settings say it.

    Parameters
    ----------
    readers : sequence of Reader
        The files.
    documents : Documents
        What is known of the documents.
    settings : ImportSettings
        What the user says.
    largest : int
        Largest feature that occurs, plus 1.
    """
    return tuple(
        note
        for note in (
            _strengths(readers),
            _unsaid(readers, documents, settings, largest),
            _missing(readers, settings),
            _beside(readers),
            _apart(readers),
            _layers(readers),
        )
        if note is not None
    )


def _strengths(readers: Sequence[Reader]) -> Note | None:
    names = list(dict.fromkeys(name for reader in readers for name in reader.facts.strengths))
    if not names:
        return None
    return Note(
        f"no column is known to hold activations, so every row counts as firing; not read: "
        f"{', '.join(names[:8])}{', …' if len(names) > 8 else ''}",
        f"say which one holds activations with $columns(activation={names[0]}), and only rows "
        "above 0 fire",
    )


def _unsaid(
    readers: Sequence[Reader], documents: Documents, settings: ImportSettings, largest: int
) -> Note | None:
    """Return one note on all that had to be assumed."""
    unsaid, assumed, wanted = [], [], []
    if find_width(readers, settings.n_features)[0] is None:
        unsaid.append("how many features the SAE has")
        assumed.append(f"it is taken to have {largest:,}, up to the largest that fires")
        wanted.append("$n_features")
    # Rows that are windows list all that exist.
    listed = readers[0].facts.lists and documents.by_window
    if not listed and not documents.lengths_known:
        unsaid.append("how long documents are")
        last = "windows" if documents.by_window else "tokens"
        assumed.append(f"{last} after the last one that is named are not counted")
        wanted.append("$document_length")
    if not listed and documents.n_docs is None:
        unsaid.append("how many documents there are")
        assumed.append("documents without a firing are not counted")
        wanted.append("$n_docs")
    if not unsaid:
        return None
    return Note(
        f"the files do not say {_joined(unsaid)}: {'; '.join(assumed)}",
        f"give {_joined(wanted)} if you know better",
    )


def _joined(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _missing(readers: Sequence[Reader], settings: ImportSettings) -> Note | None:
    _, missing = find_width(readers, settings.n_features)
    if not missing:
        return None
    listed = ", ".join(f"{start} to {stop - 1}" for start, stop in missing[:4])
    more = ", …" if len(missing) > 4 else ""
    return Note(f"no file holds features {listed}{more}: they count as never firing")


def _beside(readers: Sequence[Reader]) -> Note | None:
    """Return a note on files of delphi's cache that lie beside those that were given."""
    given = {reader.path.resolve() for reader in readers}
    folders = {one.path.parent for one in readers if one.facts.features is not None}
    left = sorted(
        path.name
        for folder in folders
        for path in folder.glob("*.safetensors")
        if feature_range(path.stem) is not None and path.resolve() not in given
    )
    if not left:
        return None
    return Note(
        f"not imported: {', '.join(left[:4])}{', …' if len(left) > 4 else ''} beside the files "
        "given, with other features of the same SAE",
        "give the folder to import them all",
    )


def _apart(readers: Sequence[Reader]) -> Note | None:
    names = dict.fromkeys(name for reader in readers for name in reader.facts.apart)
    if not names:
        return None
    return Note(
        f"not read: {', '.join(names)}; all rows are taken to be of one SAE",
        "import the rows of each SAE on their own, if there are several",
    )


def _layers(readers: Sequence[Reader]) -> Note | None:
    """Return a note if the files' names speak of several layers."""
    named: dict[str, str] = {}
    for reader in readers:
        for layer in _LAYER.findall("/".join(reader.path.parts[-2:]))[-1:]:
            named.setdefault(layer, str(reader.path))
    if len(named) < 2:
        return None
    first, second, *_ = sorted(named, key=int)
    return Note(
        f"{named[first]} and {named[second]} are taken to be of one SAE, although their names "
        f"speak of layers {first} and {second}",
        "import the files of each layer on their own, if they are of several",
    )
