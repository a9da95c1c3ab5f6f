"""The files of a local corpus: their kinds, their order, and what identifies them."""

import gzip
import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sfal.errors import InvalidInputError, MissingError
from sfal.io.atomic import sha256_file
from sfal.io.zstd import open_zstd

_PACKED = ("", ".gz", ".zst")
_KINDS = {
    "text": (".txt",),
    "JSON": (".jsonl", ".ndjson", ".json"),
    "CSV": (".csv",),
    "TSV": (".tsv",),
}
_BINARY = {".parquet": "Parquet", ".arrow": "Arrow", ".feather": "Arrow"}
ENDINGS = (
    *(end + packed for ends in _KINDS.values() for end in ends for packed in _PACKED),
    *_BINARY,
)
"""Endings of file names that can be read."""
_KIND_OF = {
    **{end + packed: kind for kind, ends in _KINDS.items() for end in ends for packed in _PACKED},
    **_BINARY,
}
SPLITS = "dataset_dict.json"
"""File of a folder that `datasets` has written, with a folder for each split."""
_NO_DATA = (".md", ".crc", ".lock", ".yaml", ".yml", ".py", ".metadata")
"""Endings of files that accompany data."""
_NO_DATA_NAMES = frozenset(
    {
        SPLITS,
        "dataset_info.json",
        "dataset_infos.json",
        "sae_lens.json",
        "state.json",
    }
)
"""Files that `datasets` and SAELens put beside data."""

_WHOLE = 1 << 30
"""Bytes; a larger corpus is identified by its size and by samples."""
_SAMPLE = 1 << 20
_SAMPLES = 256


def is_local(name: str) -> bool:
    """Return whether a corpus's name is that of a local file or folder, whether or not it exists."""
    spelled = name.startswith((".", "~")) or name.endswith("/") or Path(name).is_absolute()
    return spelled or name.lower().endswith(ENDINGS) or Path(name).exists()


def kind_of(path: Path) -> str | None:
    """Return ``text``, ``JSON``, ``CSV``, ``TSV``, ``Parquet`` or ``Arrow``; None for other files."""
    name = path.name.lower()
    return next((kind for end, kind in _KIND_OF.items() if name.endswith(end)), None)


def corpus_files(path: Path, split: str) -> tuple[str, list[Path]]:
    """Return the kind and the files of a local corpus.

    Of a folder they are its files and those of its subfolders, in the order of
    their names. Hidden files, those whose names begin with an underscore, and
    files that only accompany data are passed over. If `datasets` has written
    several splits, the files are those of one of them.

    Parameters
    ----------
    path : Path
        A file or a folder.
    split : str
        The split, if the folder has several.

    Raises
    ------
    MissingError
        If there is nothing of that name.
    InvalidInputError
        If a file is of an unknown kind, the files are of several kinds, or
        there is none.
    """
    if not path.exists():
        raise MissingError(f"corpus {path}: there is no such file or folder")
    if path.is_file():
        kind = kind_of(path)
        if kind is None:
            raise _unknown(path)
        return kind, [path]
    if not path.is_dir():
        raise InvalidInputError(f"corpus {path} is neither a file nor a folder")
    if (path / SPLITS).is_file():
        if not (path / split).is_dir():
            found = ", ".join(sorted(one.name for one in path.iterdir() if one.is_dir()))
            raise InvalidInputError(
                f"corpus {path} has no split {split!r}; it has {found or 'none'}",
                hint="see $split",
            )
        path = path / split
    files = sorted(_data_files(path), key=lambda file: file.relative_to(path).as_posix())
    if not files:
        raise InvalidInputError(
            f"corpus {path} is a folder without a file that SFAL reads ({', '.join(ENDINGS)})"
        )
    kinds = [kind_of(file) for file in files]
    for file, one in zip(files, kinds, strict=True):
        if one is None:
            raise _unknown(file)
        if one != kinds[0]:
            raise InvalidInputError(
                f"corpus {path} has files of several kinds, such as "
                f"{files[0].relative_to(path)} and {file.relative_to(path)}",
                hint="put the files of one kind into a folder of their own, or name one file",
            )
    return str(kinds[0]), files


def _data_files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        for name in names:
            plain = name.lower()
            beside = plain in _NO_DATA_NAMES or plain.startswith(("readme", "license"))
            if not (beside or plain.startswith((".", "_")) or plain.endswith(_NO_DATA)):
                yield Path(root) / name


def _unknown(path: Path) -> InvalidInputError:
    return InvalidInputError(
        f"corpus {path} is of an unknown kind; SFAL reads {', '.join(ENDINGS)} files"
    )


def open_packed(path: Path) -> io.BufferedIOBase:
    """Open a file for reading, decompressed as its name says."""
    ending = path.suffix.lower()
    if ending == ".gz":
        return gzip.GzipFile(path)
    if ending == ".zst":
        return open_zstd(path)
    return path.open("rb")


def fingerprint_of(files: list[Path], root: Path) -> dict[str, Any]:
    """Return the size and a hash of a corpus's files.

    A corpus above 1 GiB is identified by samples of 1 MiB: 256 of a file, or of
    all files of a folder together, but at least two of each.

    Parameters
    ----------
    files : list of Path
        The files in order.
    root : Path
        The file itself, or the folder, to which the names are relative.
    """
    size = sum(file.stat().st_size for file in files)
    whole = size <= _WHOLE
    samples = max(2, _SAMPLES // len(files))
    hashes = [sha256_file(file) if whole else _samples(file, samples) for file in files]
    key = "sha256" if whole else "samples_sha256"
    if root.is_file():
        return {"bytes": size, key: hashes[0]}
    digest = hashlib.sha256()
    for file, one in zip(files, hashes, strict=True):
        digest.update(f"{file.relative_to(root).as_posix()}\0{one}\n".encode(errors="replace"))
    return {"bytes": size, "files": len(files), key: digest.hexdigest()}


def _samples(path: Path, n_samples: int) -> str:
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode() if n_samples != _SAMPLES else b"")
    with path.open("rb") as file:
        for i in range(n_samples):
            file.seek(max(0, i * (size - _SAMPLE) // (n_samples - 1)))
            digest.update(file.read(_SAMPLE))
    return digest.hexdigest()
