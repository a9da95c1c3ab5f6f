"""What the user should know about an import: what was assumed, and what is not known."""

from collections.abc import Sequence

from sfal.collect.imported.documents import Documents
from sfal.collect.imported.open import find_width
from sfal.collect.imported.rows import Reader
from sfal.collect.imported.settings import ImportSettings
from sfal.errors import Note


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
    found = [_width(readers, settings, largest), *_documents(readers[0], documents)]
    found.append(_unused(readers))
    return tuple(note for note in found if note is not None)


def _width(readers: Sequence[Reader], settings: ImportSettings, largest: int) -> Note | None:
    width, missing = find_width(readers, settings.n_features)
    if width is None:
        return Note(
            f"the files do not say how many features the SAE has: it is taken to have {largest:,}, "
            "up to the largest that fires",
            "give $n_features if there are more",
        )
    if missing:
        listed = ", ".join(f"{start} to {stop - 1}" for start, stop in missing[:4])
        more = ", …" if len(missing) > 4 else ""
        return Note(f"no file holds features {listed}{more}: they count as never firing")
    return None


def _documents(reader: Reader, documents: Documents) -> list[Note | None]:
    if reader.facts.lists and documents.by_window:
        return []  # rows are windows, and those that are not listed do not exist
    found: list[Note | None] = []
    if not documents.lengths_known:
        last = "windows" if documents.by_window else "tokens"
        found.append(
            Note(
                f"the files do not say how long documents are: {last} after the last one that is "
                "named are not counted",
                "give $document_length if it is the same for all documents",
            )
        )
    if documents.n_docs is None:
        found.append(
            Note(
                "the files do not say how many documents there are: those without a firing are not "
                "counted",
                "give $n_docs if some have none",
            )
        )
    return found


def _unused(readers: Sequence[Reader]) -> Note | None:
    names = dict.fromkeys(name for reader in readers for name in reader.facts.unused)
    if not names:
        return None
    return Note(
        f"not read: {', '.join(names)}; all rows are taken to be of one SAE",
        "import the rows of each SAE on their own, if there are several",
    )
