"""Neuronpedia's public export, downloaded and kept batch by batch.

The batches are stored unchanged in ``export/`` of the source's folder, named by
number and ETag. A batch that has not changed is therefore never fetched again,
and explanations can be chosen again without a network. ``listing.json`` names
the batches that make up the export; it is written when all of them are stored.
"""

import hashlib
import logging
import os
import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sfal.errors import (
    ArtifactError,
    CorruptError,
    DownloadError,
    InvalidInputError,
    MissingError,
)
from sfal.io.atomic import atomic_path, read_json, write_json
from sfal.io.gzip_lines import DamagedGzipError, ExpansionError, ExpansionLimits, expand
from sfal.io.http import Client, Patience
from sfal.io.http_errors import NotFoundError, TemporaryError
from sfal.io.parallel import in_parallel
from sfal.io.s3 import Listing, StoredObject, list_bucket
from sfal.store.layout import EXPORT, check_name
from sfal.terminal.progress import progress

_log = logging.getLogger(__name__)

DEFAULT_URL = "https://neuronpedia-datasets.s3.us-east-1.amazonaws.com"
LISTING = "listing.json"

_BATCH = re.compile(r"batch-(0|[1-9][0-9]{0,6})\.jsonl\.gz")
_STORED = re.compile(r"batch-[0-9]{1,7}-[0-9a-f]{16}\.jsonl\.gz")
_MAX_BATCH_BYTES = 1 << 30
_MAX_EXPORT_BYTES = 64 << 30


@dataclass(frozen=True)
class Export:
    """A source's explanations on the local disk, as Neuronpedia exports them."""

    source: str
    """``model/source`` on Neuronpedia."""
    batches: tuple[Path, ...]
    """Files, in numeric order."""
    sha256: str
    """Digest of the ETags: changes whenever a batch does."""
    n_fetched: int = 0
    """Batches fetched by this call; the others were already stored."""
    n_ignored: int = 0
    """Objects in the listing that are not batches."""


_ADDRESS_HINT = "check the network and SFAL_NEURONPEDIA_URL"


def base_url() -> str:
    """Return the export's address: ``$SFAL_NEURONPEDIA_URL``, or Neuronpedia's bucket."""
    return os.environ.get("SFAL_NEURONPEDIA_URL", "").strip() or DEFAULT_URL


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
    client = Client(base_url(), patience, _ADDRESS_HINT)
    objects, n_ignored = _listed(client, source)
    folder = source_dir / EXPORT
    names = {number: _file_name(number, stored) for number, stored in objects.items()}
    missing = _missing(objects, names, folder)
    fetched = in_parallel(
        missing,
        lambda n: _fetch(client, objects[n], folder / names[n], limits or ExpansionLimits()),
        client.patience.parallel,
        client.cancelled,
    )
    with progress(len(missing), f"fetching {source}", "batch") as bar, closing(fetched):
        for _ in fetched:
            bar.update(1)
    chosen = [names[number] for number in sorted(names)]
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
    objects, _ = _listed(Client(base_url(), patience, _ADDRESS_HINT), source)
    names = {number: _file_name(number, stored) for number, stored in objects.items()}
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
        isinstance(name, str) and _STORED.fullmatch(name) for name in names
    ):
        raise CorruptError(f"{path} is damaged", hint="write it again with $do_download")
    for name in names:
        if not (folder / name).is_file():
            raise MissingError(
                f"{folder / name} is missing", hint="fetch it again with $do_download"
            )
    return Export(str(listing.get("source")), tuple(folder / n for n in names), _digest(names))


def _listed(client: Client, source: str) -> tuple[dict[int, StoredObject], int]:
    """Return a source's batches by number, and the number of other objects."""
    if source.count("/") != 1:
        raise InvalidInputError(
            f"{source!r} is not a Neuronpedia id",
            hint="give model/source, such as gemma-2-2b/0-gemmascope-res-16k",
        )
    prefix = f"v1/{check_name(source, 'Neuronpedia id')}/explanations/"
    objects, n_ignored = _batches(list_bucket(client, prefix), prefix)
    if not objects:
        raise _no_explanations(client, source)
    _check_sizes(objects, source)
    return objects, n_ignored


def _missing(objects: dict[int, StoredObject], names: dict[int, str], folder: Path) -> list[int]:
    """Return the numbers of the batches that are not in a folder yet."""
    return [n for n in sorted(objects) if not _is_stored(folder / names[n], objects[n])]


def _batches(listing: Listing, prefix: str) -> tuple[dict[int, StoredObject], int]:
    """Return the batches by number; only the number ever becomes part of a path."""
    found: dict[int, StoredObject] = {}
    for stored in listing.objects:
        name = stored.key.removeprefix(prefix)
        match = _BATCH.fullmatch(name) if stored.key.startswith(prefix) else None
        if match:
            found[int(match[1])] = stored
    n_ignored = len(listing.objects) - len(found)
    if n_ignored:
        _log.warning("%s: ignored %d objects that are not batches", prefix, n_ignored)
    gaps = len(range(max(found) + 1)) - len(found) if found else 0
    if gaps:
        _log.warning("%s: %d batches are missing from the export", prefix, gaps)
    return found, n_ignored


def _check_sizes(objects: dict[int, StoredObject], source: str) -> None:
    for stored in objects.values():
        if stored.size > _MAX_BATCH_BYTES:
            raise DownloadError(
                f"{stored.key} is listed with {stored.size} bytes; "
                f"batches larger than {_MAX_BATCH_BYTES} bytes are refused"
            )
    total = sum(stored.size for stored in objects.values())
    if total > _MAX_EXPORT_BYTES:
        raise DownloadError(
            f"the export of {source} is listed with {total} bytes; "
            f"exports larger than {_MAX_EXPORT_BYTES} bytes are refused"
        )


def _file_name(number: int, stored: StoredObject) -> str:
    tag = hashlib.sha256(f"{stored.etag} {stored.size}".encode()).hexdigest()[:16]
    return f"batch-{number}-{tag}.jsonl.gz"


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
        if old.name not in names and _STORED.fullmatch(old.name):
            old.unlink(missing_ok=True)


def _digest(names: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _no_explanations(client: Client, source: str) -> DownloadError:
    """Return an error that names what the bucket has instead."""
    import difflib

    model, _, name = source.partition("/")
    sources = [_last_part(f) for f in list_bucket(client, f"v1/{model}/", "/").folders]
    if sources:
        near = difflib.get_close_matches(name, sources, 5, 0.5) or sorted(sources)[:5]
        more = f" ({len(sources)} in all)" if len(sources) > len(near) else ""
        instead = f"of {model} it explains {', '.join(near)}{more}"
    else:
        folders = map(_last_part, list_bucket(client, "v1/", "/").folders)
        models = [folder for folder in folders if folder != "config"]
        near = difflib.get_close_matches(model, models, 5, 0.4) or sorted(models)[:5]
        more = f" ({len(models)} in all)" if len(models) > len(near) else ""
        instead = (
            f"it has no model {model}; it has {', '.join(near)}{more}"
            if models
            else f"nothing at all is at {client.base_url}"
        )
    return DownloadError(
        f"Neuronpedia's export has no explanations of {source}: {instead}",
        hint="give your own explanations with $explanations_file, or make labels with $do_explain",
    )


def _last_part(folder: str) -> str:
    return re.sub(r"[^ -~]", "?", folder.rstrip("/").rpartition("/")[2])[:100]
