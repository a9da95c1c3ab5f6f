"""Neuronpedia's public export, downloaded and kept batch by batch.

The batches are stored unchanged in ``export/`` of the source's folder, named by
number, ETag and explainer's folder. A batch that has not changed is therefore never fetched again,
and explanations can be chosen again without a network. ``listing.json`` names
the batches that make up the export; it is written when all of them are stored.
"""

import hashlib
import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sfal.errors import (
    ArtifactError,
    CorruptError,
    DownloadError,
    MissingError,
)
from sfal.explanations.export_listing import STORED_NAME, BatchKey, list_batches, stored_name
from sfal.io.atomic import atomic_path, read_json, write_json
from sfal.io.gzip_lines import DamagedGzipError, ExpansionError, ExpansionLimits, expand
from sfal.io.parallel import in_parallel
from sfal.io.web.http import Client, Patience
from sfal.io.web.http_errors import NotFoundError, TemporaryError
from sfal.io.web.s3 import StoredObject
from sfal.sources.neuronpedia import ADDRESS_HINT, base_url
from sfal.store.layout import EXPORT
from sfal.terminal.progress import progress

_log = logging.getLogger(__name__)

LISTING = "listing.json"


@dataclass(frozen=True)
class Export:
    """A source's explanations on the local disk, as Neuronpedia exports them."""

    source: str
    """``model/source`` on Neuronpedia."""
    batches: tuple[Path, ...]
    """Files, by folder and in numeric order."""
    sha256: str
    """Digest of the ETags: changes whenever a batch does."""
    n_fetched: int = 0
    """Batches fetched by this call; the others were already stored."""
    n_ignored: int = 0
    """Objects in the listing that are not batches."""


def download_export(
    source: str,
    source_dir: Path,
    patience: Patience | None = None,
    limits: ExpansionLimits | None = None,
) -> Export:
    """Fetch all batches of a source's explanations that are not stored yet.

    Parameters
    ----------
    source : str
        ``model/source`` on Neuronpedia, such as ``gemma-2-2b/0-gemmascope-res-16k``.
    source_dir : Path
        Folder of the source; the batches go into its folder ``export/``.
    patience : Patience, optional
        Time limits of the downloads.
    limits : ExpansionLimits, optional
        Largest size to which a batch may expand.

    Returns
    -------
    Export
        All batches, those already stored included.

    Raises
    ------
    DownloadError
        If the bucket has no explanations of the source (the message lists
        sources that it has), or does not deliver what it lists.
    InvalidInputError
        If `source` is not a Neuronpedia id.
    """
    client = Client(base_url(), patience, ADDRESS_HINT)
    objects, n_ignored = list_batches(client, source)
    folder = source_dir / EXPORT
    names = {key: stored_name(key, stored) for key, stored in objects.items()}
    missing = _missing(objects, names, folder)
    fetched = in_parallel(
        missing,
        lambda key: _fetch(client, objects[key], folder / names[key], limits or ExpansionLimits()),
        client.patience.parallel,
        client.cancelled,
    )
    with progress(len(missing), f"fetching {source}", "batch") as bar, closing(fetched):
        for _ in fetched:
            bar.update(1)
    chosen = [names[key] for key in sorted(names)]
    _write_listing(folder, source, chosen)
    return Export(
        source, tuple(folder / n for n in chosen), _digest(chosen), len(missing), n_ignored
    )


def export_bytes(source: str, source_dir: Path, patience: Patience | None = None) -> int:
    """Return the bytes that :func:`download_export` would fetch.

    Only the bucket's listing is requested.

    Raises
    ------
    DownloadError
        If the bucket cannot be listed, or has no explanations of the source.
    """
    objects, _ = list_batches(Client(base_url(), patience, ADDRESS_HINT), source)
    names = {key: stored_name(key, stored) for key, stored in objects.items()}
    return sum(objects[n].size for n in _missing(objects, names, source_dir / EXPORT))


def cached_export(source_dir: Path) -> Export | None:
    """Return the export in a source's folder, or None if none was fetched completely.

    Raises
    ------
    CorruptError
        If the listing is damaged.
    MissingError
        If a batch that it names does not exist.
    """
    folder = source_dir / EXPORT
    path = folder / LISTING
    if not path.exists():
        return None
    listing = read_json(path)
    names = listing.get("batches") if isinstance(listing, dict) else None
    if not isinstance(names, list) or not all(
        isinstance(name, str) and STORED_NAME.fullmatch(name) for name in names
    ):
        raise CorruptError(f"{path} is damaged", hint="write it again with $do_download")
    for name in names:
        if not (folder / name).is_file():
            raise MissingError(
                f"{folder / name} is missing", hint="fetch it again with $do_download"
            )
    return Export(str(listing.get("source")), tuple(folder / n for n in names), _digest(names))


def _missing(
    objects: dict[BatchKey, StoredObject], names: dict[BatchKey, str], folder: Path
) -> list[BatchKey]:
    """Return the keys of the batches that are not in a folder yet."""
    return [n for n in sorted(objects) if not _is_stored(folder / names[n], objects[n])]


def _is_stored(path: Path, stored: StoredObject) -> bool:
    return path.is_file() and path.stat().st_size == stored.size


def _fetch(client: Client, stored: StoredObject, path: Path, limits: ExpansionLimits) -> None:
    def attempt() -> None:
        with atomic_path(path) as temporary:
            with temporary.open("wb") as file:
                headers = client.get(stored.key, file, stored.size)
                size = file.tell()
            if size != stored.size:
                raise TemporaryError(f"received {size} of {stored.size} bytes")
            etag = headers.get("ETag", "").strip('"')
            if etag and etag != stored.etag:
                raise TemporaryError(f"its ETag is {etag[:80]!r}, the listing says {stored.etag!r}")
            try:
                for _ in expand(temporary, limits):
                    if client.cancelled.is_set():
                        break
            except ExpansionError as e:
                raise DownloadError(f"{stored.key} is refused: {e}") from e
            except DamagedGzipError as e:
                raise TemporaryError(str(e)) from e

    try:
        client.retry(stored.key, attempt)
    except NotFoundError as e:
        raise DownloadError(f"{stored.key} is listed but not there", hint="try again later") from e


def _write_listing(folder: Path, source: str, names: Sequence[str]) -> None:
    listing = {"source": source, "batches": list(names)}
    path = folder / LISTING
    try:
        unchanged = path.exists() and read_json(path) == listing
    except ArtifactError:
        unchanged = False
    if not unchanged:
        write_json(path, listing)
    for old in folder.glob("batch-*.jsonl.gz"):
        if old.name not in names and STORED_NAME.fullmatch(old.name):
            old.unlink(missing_ok=True)


def _digest(names: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()
