"""Import firings: read the files once, cut windows, and store an ordinary run."""

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sfal.collect.imported.delphi import SMALLEST, DelphiCache
from sfal.collect.imported.documents import Documents, describe_documents
from sfal.collect.imported.notes import notes_on
from sfal.collect.imported.open import find_files, find_width, open_files
from sfal.collect.imported.rows import Reader
from sfal.collect.imported.settings import ImportSettings
from sfal.collect.imported.slices import (
    BLOCK,
    Slice,
    Source,
    UnsortedError,
    merged,
    stored_slices,
)
from sfal.collect.imported.special import resolve_special_ids
from sfal.collect.imported.windows import PartWriter, WindowMaker
from sfal.collect.run import portable_name
from sfal.errors import ArtifactError, InvalidInputError, Note
from sfal.io.atomic import sha256_file
from sfal.io.lock import folder_lock
from sfal.io.prefetch import prefetched
from sfal.sources.registry import registry
from sfal.store.differences import require_same
from sfal.store.layout import OCCURRENCES, source_dir
from sfal.store.manifest import Manifest, has_manifest
from sfal.store.parts import check_part
from sfal.store.records import SourceRecord
from sfal.store.run_writer import RunWriter
from sfal.terminal.progress import Bar, progress

_SCRATCH = ".importing"
"""Folder of temporary files below the run's."""
_LEAST = 1 << 12
"""Least firings that are read of a file at once, however many files there are."""
_PREFETCHED = 2
"""Most files that are read in a thread of their own."""


@dataclass(frozen=True)
class ImportResult:
    """The outcome of an import."""

    name: str
    """Name of the source."""
    folder: Path
    """The run's folder."""
    manifest: Manifest
    """Its manifest."""
    notes: tuple[Note, ...]
    """What the user should know; the manifest keeps these too."""
    n_rows: int
    """Rows read; 0 if the same files had been imported before."""


def import_firings(
    paths: Sequence[str | Path] | str | Path,
    source_name: str,
    settings: ImportSettings,
    data_dir: str | Path,
) -> ImportResult:
    """Store firings that others computed as a run, so that it can be scored without a model.

    A file may be a table with one row per firing (columns ``document``,
    ``position`` or ``token``, ``feature`` and perhaps ``activation``) in
    Parquet, CSV or as arrays in an ``.npz``; a table with one row per window
    or token and a list of features; or part of delphi's activation cache. Only
    activations above 0 fire. Windows are `window_size` consecutive tokens of
    a document, numbered from 0.

    The files are read once if they are sorted by document; otherwise they are
    sorted in temporary files in the run's folder. Memory stays within about
    1 GB. An import that is interrupted leaves nothing and begins again.

    Parameters
    ----------
    paths : path or sequence of paths
        Files of one layout, or folders of them. Files may hold different
        documents, or different features of the same documents.
    source_name : str
        Name of the source: its folder below `data_dir`.
    settings : ImportSettings
        How the firings are read and cut into windows.
    data_dir : str or Path
        Root of the data tree.

    Returns
    -------
    ImportResult

    Raises
    ------
    InvalidInputError
        If a value is out of range, a column is missing, files do not belong
        together, or there is no window.
    MissingError
        If a file does not exist.
    CorruptError
        If a file is damaged.
    KeyboardInterrupt
        With a message that says that nothing is kept.
    SettingsMismatchError
        If the source's folder holds another run.
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    files = find_files([Path(path) for path in given])
    folder = source_dir(Path(data_dir), source_name, settings.run)
    # Refuse what can be refused before anything is made.
    readers = open_files(files, settings.columns)
    width, _ = find_width(readers, settings.n_features)
    settings, note = resolve_special_ids(readers, settings)
    with folder_lock(folder, Path(data_dir)):
        shutil.rmtree(folder / _SCRATCH, ignore_errors=True)
        wanted = _manifest(source_name, readers, width, settings)
        before = _imported_before(folder, wanted, settings)
        if before is not None:
            known = tuple(map(Note, before.volatile.get("notes", ())))
            return ImportResult(source_name, folder, before, known, 0)
        redone = has_manifest(folder)
        if not redone:
            _remove_parts(folder)  # of an import that was killed
        try:
            made, notes, n_rows = _import(folder, readers, wanted, width, settings, note)
            # The writer also removes files that the new manifest no longer names.
            RunWriter(folder, made, 1).save(made)
        except BaseException as e:
            if not redone:
                _remove_parts(folder)
            if isinstance(e, KeyboardInterrupt):
                raise KeyboardInterrupt(
                    Note(f"nothing of {source_name} has been imported", "$do_again begins again")
                ) from None
            raise
        finally:
            shutil.rmtree(folder / _SCRATCH, ignore_errors=True)
    return ImportResult(source_name, folder, made, notes, n_rows)


def _manifest(
    name: str, readers: Sequence[Reader], width: int | None, settings: ImportSettings
) -> Manifest:
    """Return the manifest before anything has been read: what is imported, and how."""
    first = readers[0]
    model = first.model if isinstance(first, DelphiCache) else None
    sae: dict[str, Any] = {"imported": first.facts.layout}
    if isinstance(first, DelphiCache):
        sae["activations_above"] = SMALLEST
    return Manifest(
        source=SourceRecord(
            name=name,
            model=model if settings.model is None else portable_name(settings.model),
            layer=settings.layer,
            neuronpedia_id=settings.neuronpedia_id or _known_id(name),
        ),
        n_features=width or 1,
        settings=settings.recorded(),
        n_docs=0,
        fingerprints={"files": _fingerprints([reader.path for reader in readers])},
        sae=sae,
    )


def _known_id(name: str) -> str | None:
    """Return the name if it is that of an SAE on Neuronpedia."""
    if re.fullmatch(r"[^/]+/\d+-[^/]+", name) is None:
        return None
    return name if any(entry.neuronpedia_id == name for entry in registry()) else None


def _fingerprints(files: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Return size and hash of each file, by as much of its path as tells them apart."""
    names = [path.resolve().parts for path in files]
    depth = 1
    while len({name[-depth:] for name in names}) < len(names):
        depth += 1
    return {
        "/".join(name[-depth:]): {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
        for name, path in zip(names, files, strict=True)
    }


def _imported_before(folder: Path, wanted: Manifest, settings: ImportSettings) -> Manifest | None:
    """Return the manifest of the same import if it is there; refuse any other run."""
    if not has_manifest(folder):
        return None
    there = Manifest.load(folder)
    hint = (
        "import into another source with $source_name(NAME), name a further run with $run(NAME), or "
        "remove the folder to start over"
    )
    one = {**there.source.as_json(), **there.settings}
    require_same(folder, "settings", one, {**wanted.source.as_json(), **wanted.settings}, hint)
    require_same(folder, "inputs", there.fingerprints, wanted.fingerprints, hint)
    if settings.redo_damaged:
        try:
            for part in there.parts:
                check_part(folder, part)
        except ArtifactError:
            return None
    return there


def _import(
    folder: Path,
    readers: Sequence[Reader],
    wanted: Manifest,
    width: int | None,
    settings: ImportSettings,
    special: Note | None,
) -> tuple[Manifest, tuple[Note, ...], int]:
    """Read the files and write the parts; return the manifest that names them."""
    facts = [(reader.path, reader.facts) for reader in readers]
    documents = describe_documents(facts, settings, folder / _SCRATCH)
    label = f"importing {readers[0].path.name}" + (" …" if len(readers) > 1 else "")
    with progress(None, label, "row") as bar:
        try:
            writer, n_rows = _write(folder, _sorted(readers, documents, width), documents, bar)
        except UnsortedError:
            stored = _sort(folder / _SCRATCH, readers, documents, width)
            writer, n_rows = _write(folder, stored, documents, bar)
    n_docs = writer.finish()
    counts = sum((part.counts for part in writer.parts), wanted.counts)
    if not counts.occurrences:
        what = f"none of {n_rows:,} rows fires"
        if not n_rows:
            raise InvalidInputError(
                f"{readers[0].path} has no rows, only names of columns",
                hint="give files with firings",
            )
        if not counts.windows:
            what = (
                f"none of the {counts.documents:,} documents is long enough for a window of "
                f"{settings.window_size} tokens"
            )
        raise InvalidInputError(
            f"{readers[0].path}: {what}", hint="use a smaller $window_size, or other files"
        )
    notes = notes_on(readers, documents, settings, writer.n_features)
    notes += () if special is None else (special,)
    made = replace(
        wanted,
        n_features=width or writer.n_features,
        n_docs=n_docs,
        parts=tuple(writer.parts),
        volatile={"notes": [str(note) for note in notes]} if notes else {},
    )
    return made, notes, n_rows


Sources = tuple[Sequence[Source], Sequence[Iterator[Slice]]]
"""Files, which count their rows, and the streams of firings that come from them."""


def _sorted(readers: Sequence[Reader], documents: Documents, width: int | None) -> Sources:
    """Stream files that are taken to be sorted by document."""
    sources = [Source(reader, documents, width) for reader in readers]
    size = max(_LEAST, BLOCK // (4 * len(sources)))
    return sources, [source.sorted_slices(size) for source in sources]


def _sort(
    scratch: Path, readers: Sequence[Reader], documents: Documents, width: int | None
) -> Sources:
    """Sort files on disk, in pieces, and stream these."""
    sources = [Source(reader, documents, width) for reader in readers]
    stored = [path for i, source in enumerate(sources) for path in source.sort_to(scratch / str(i))]
    size = max(_LEAST, BLOCK // len(stored)) if stored else BLOCK
    return sources, [stored_slices(path, size) for path in stored]


def _write(folder: Path, found: Sources, documents: Documents, bar: Bar) -> tuple[PartWriter, int]:
    sources, streams = found
    writer = PartWriter(folder, documents)
    maker = WindowMaker(documents, "the files")
    shown = 0
    with ExitStack() as stack:
        if len(streams) <= _PREFETCHED:
            streams = [stack.enter_context(closing(prefetched(stream))) for stream in streams]
        for stop, slices in merged(streams):
            for block in maker.blocks(stop, slices):
                writer.add(block)
            n_rows = sum(source.n_rows for source in sources)
            bar.update(n_rows - shown)
            shown = n_rows
    return writer, shown


def _remove_parts(folder: Path) -> None:
    """Remove parts that no manifest names."""
    shutil.rmtree(folder / OCCURRENCES, ignore_errors=True)
