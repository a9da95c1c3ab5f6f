"""Which files are imported, and which reader each one gets."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sfal.collect.imported.delimited import CsvTable
from sfal.collect.imported.delphi import DelphiCache
from sfal.collect.imported.npz import NpzArrays
from sfal.collect.imported.rows import Facts, Reader
from sfal.collect.imported.tables import ParquetTable
from sfal.errors import InvalidInputError, MissingError
from sfal.store.layout import MANIFEST

_ENDINGS = (".parquet", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".npz", ".safetensors")


def find_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files that some paths mean; of a folder, the files of firings in it.

    Raises
    ------
    MissingError
        If a path does not exist, or a folder holds no such file.
    InvalidInputError
        If a file is of an unknown kind, or is named twice.
    """
    if not paths:
        raise InvalidInputError("no file to import")
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += _in_folder(path)
        elif not path.exists():
            raise MissingError(f"there is no file or folder {path}")
        elif _ending(path) is None:
            raise InvalidInputError(
                f"{path} is of an unknown kind", hint=f"give a file that ends in {_LISTED}"
            )
        else:
            found.append(path)
    resolved = [path.resolve() for path in found]
    for path in found:
        if resolved.count(path.resolve()) > 1:
            raise InvalidInputError(f"{path} is named twice", hint="name it once")
    return sorted(found, key=str)


def open_files(files: Sequence[Path], columns: Mapping[str, str]) -> list[Reader]:
    """Open files of firings, all of one layout.

    Parameters
    ----------
    files : sequence of Path
        The files.
    columns : mapping of str to str
        Columns that the user named, by role.

    Raises
    ------
    InvalidInputError
        If their layouts or columns differ, or one is missing.
    CorruptError
        If one is damaged.
    """
    readers = [_reader(path, columns) for path in files]
    first = readers[0]
    for other in readers[1:]:
        for what, one, two in (
            ("layout", first.facts.layout, other.facts.layout),
            ("columns", _described(first.facts), _described(other.facts)),
        ):
            if one != two:
                raise InvalidInputError(
                    f"{first.path} has {what} {one}, but {other.path} has {two}",
                    hint="import files of one kind at a time",
                )
    return readers


def find_width(
    readers: Sequence[Reader], given: int | None
) -> tuple[int | None, list[tuple[int, int]]]:
    """Return the width of the SAE as the files say it, and which features no file holds.

    Parameters
    ----------
    readers : sequence of Reader
        The files.
    given : int or None
        The width that the user says.

    Raises
    ------
    InvalidInputError
        If two files hold the same features, one is missing, a file holds
        features beyond the width, or several caches of delphi are mixed.
    """
    ranges = sorted(
        (reader.facts.features, str(reader.path))
        for reader in readers
        if reader.facts.features is not None
    )
    whole = [str(one.path) for one in readers if one.facts.features is None]
    if len(readers) > 1 and whole and readers[0].facts.layout == "delphi":
        other = next(str(one.path) for one in readers if str(one.path) != whole[0])
        raise InvalidInputError(
            f"{whole[0]} is not named after the features that it holds, so it is the cache of a "
            f"whole SAE, and so may be {other}",
            hint="import one SAE at a time",
        )
    if not ranges:
        return given, []
    missing, position, before = [], 0, ""
    for (start, stop), path in ranges:
        if start < position:
            raise InvalidInputError(
                f"{path} and {before} both hold feature {start}", hint="give the files of one run"
            )
        if start > position:
            missing.append((position, start))
        position, before = stop, path
    if given is None and missing:
        raise InvalidInputError(
            f"no file holds features {missing[0][0]} to {missing[0][1] - 1}",
            hint="give the missing file too; or give the SAE's width with $n_features, and they "
            "count as features that never fire",
        )
    if given is not None and position > given:
        raise InvalidInputError(
            f"{before} holds features up to {position - 1}, but the SAE has {given}, from 0",
            hint="give another $n_features, or none",
        )
    if given is not None and position < given:
        missing.append((position, given))
    return given or position, missing


def _in_folder(folder: Path) -> list[Path]:
    if (folder / MANIFEST).exists():
        raise InvalidInputError(
            f"{folder} is a run of SFAL already", hint="$do_merge joins runs; $do_score scores them"
        )
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith((".", "_")) and _ending(path) is not None
    ]
    if not found:
        below = [path.name for path in sorted(folder.iterdir()) if path.is_dir()]
        raise MissingError(
            f"{folder} holds no file that ends in {_LISTED}",
            hint=f"it holds folders: name one of {', '.join(below[:8])}" if below else "",
        )
    return found


def _ending(path: Path) -> str | None:
    return next((end for end in reversed(_ENDINGS) if path.name.lower().endswith(end)), None)


def _reader(path: Path, columns: Mapping[str, str]) -> Reader:
    ending = _ending(path)
    if ending == ".parquet":
        return ParquetTable(path, columns)
    if ending == ".npz":
        return NpzArrays(path, columns)
    return DelphiCache(path) if ending == ".safetensors" else CsvTable(path, columns)


def _described(facts: Facts) -> str:
    return ", ".join(facts.columns) + (" as lists" if facts.lists else "")


_LISTED = f"{', '.join(_ENDINGS[:-1])} or {_ENDINGS[-1]}"
