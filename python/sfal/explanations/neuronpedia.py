"""Neuronpedia's public export: found, fetched and kept batch by batch.

The batches lie as they came in ``export/`` of the source's folder, named by
number and ETag, so that what is there is never fetched again and explanations
can be chosen anew without a network. ``listing.json`` says which of them make
up the export; it is written when all are there.
"""

import hashlib
import logging
import os
import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sfal.errors import ArtifactError, DownloadError, InvalidInputError
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
    """A source's explanations as Neuronpedia exports them, on the local disk."""

    source: str
    """``model/source`` on Neuronpedia."""
    batches: tuple[Path, ...]
    """Files in numeric order."""
    sha256: str
    """Digest of the ETags: changes whenever a batch does."""
    n_fetched: int = 0
    """Batches fetched by this call; the others were there."""
    n_ignored: int = 0
    """Objects in the listing that are no batches."""


_ADDRESS_HINT = "check the network and SFAL_NEURONPEDIA_URL"


def base_url() -> str:
    """Address of the export: ``$SFAL_NEURONPEDIA_URL``, or Neuronpedia's bucket."""
    return os.environ.get("SFAL_NEURONPEDIA_URL", "").strip() or DEFAULT_URL


def download_export(
    source: str,
    source_dir: Path,
    patience: Patience | None = None,
    limits: ExpansionLimits | None = None,
) -> Export:
    """Fetch all batches of a source's explanations that are not there yet.

    Parameters
    ----------
    source : str
        ``model/source`` on Neuronpedia, such as ``gemma-2-2b/0-gemmascope-res-16k``.
    source_dir : Path
        Folder of the source; the batches go to ``export/`` in it.
    patience : Patience, optional
        Time limits of the downloads.
    limits : ExpansionLimits, optional
        What a batch may expand to.

    Raises
    ------
    DownloadError
        If the bucket has no explanations of the source (the message lists
        sources that it has), or does not deliver what it lists.
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
    """Bytes that :func:`download_export` would fetch; only the bucket's list is asked for.

    Raises
    ------
    DownloadError
        If the bucket cannot be listed, or has no explanations of the source.
    """
    objects, _ = _listed(Client(base_url(), patience, _ADDRESS_HINT), source)
    names = {number: _file_name(number, stored) for number, stored in objects.items()}
    return sum(objects[n].size for n in _missing(objects, names, source_dir / EXPORT))


def cached_export(source_dir: Path) -> Export | None:
    """Export that lies in a source's folder, or None if none was fetched whole.

    Raises
    ------
    ArtifactError
        If the listing is damaged or a batch that it names is gone.
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
        raise ArtifactError(f"{path} is damaged; `sfal embeddings download` makes it anew")
    for name in names:
        if not (folder / name).is_file():
            raise ArtifactError(
                f"{folder / name} is missing; `sfal embeddings download` fetches it again"
            )
    return Export(str(listing.get("source")), tuple(folder / n for n in names), _digest(names))


def _listed(client: Client, source: str) -> tuple[dict[int, StoredObject], int]:
    """Batches of a source by number, and how many objects beside them are none."""
    if source.count("/") != 1:
        raise InvalidInputError(
            f"{source!r} is no Neuronpedia id: give model/source, "
            "such as gemma-2-2b/0-gemmascope-res-16k"
        )
    prefix = f"v1/{check_name(source, 'Neuronpedia id')}/explanations/"
    objects, n_ignored = _batches(list_bucket(client, prefix), prefix)
    if not objects:
        raise DownloadError(_no_explanations(client, source))
    _check_sizes(objects, source)
    return objects, n_ignored


def _missing(objects: dict[int, StoredObject], names: dict[int, str], folder: Path) -> list[int]:
    """Numbers of the batches that are not in a folder yet."""
    return [n for n in sorted(objects) if not _is_there(folder / names[n], objects[n])]


def _batches(listing: Listing, prefix: str) -> tuple[dict[int, StoredObject], int]:
    """Batches by number. Only the number ever becomes part of a path."""
    found: dict[int, StoredObject] = {}
    for stored in listing.objects:
        name = stored.key.removeprefix(prefix)
        match = _BATCH.fullmatch(name) if stored.key.startswith(prefix) else None
        if match:
            found[int(match[1])] = stored
    n_ignored = len(listing.objects) - len(found)
    if n_ignored:
        _log.warning("%s: %d objects that are no batches were passed over", prefix, n_ignored)
    gaps = len(range(max(found) + 1)) - len(found) if found else 0
    if gaps:
        _log.warning("%s: %d batches are missing from the export", prefix, gaps)
    return found, n_ignored


def _check_sizes(objects: dict[int, StoredObject], source: str) -> None:
    for stored in objects.values():
        if stored.size > _MAX_BATCH_BYTES:
            raise DownloadError(
                f"{stored.key} is said to have {stored.size} bytes; "
                f"batches beyond {_MAX_BATCH_BYTES} bytes are refused"
            )
    total = sum(stored.size for stored in objects.values())
    if total > _MAX_EXPORT_BYTES:
        raise DownloadError(
            f"the export of {source} is said to have {total} bytes; "
            f"exports beyond {_MAX_EXPORT_BYTES} bytes are refused"
        )


def _file_name(number: int, stored: StoredObject) -> str:
    tag = hashlib.sha256(f"{stored.etag} {stored.size}".encode()).hexdigest()[:16]
    return f"batch-{number}-{tag}.jsonl.gz"


def _is_there(path: Path, stored: StoredObject) -> bool:
    return path.is_file() and path.stat().st_size == stored.size


def _fetch(client: Client, stored: StoredObject, path: Path, limits: ExpansionLimits) -> None:
    def attempt() -> None:
        with atomic_path(path) as temporary:
            with temporary.open("wb") as file:
                headers = client.get(stored.key, file, stored.size)
                size = file.tell()
            if size != stored.size:
                raise TemporaryError(f"{size} bytes came of {stored.size}")
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
        raise DownloadError(f"{stored.key} is listed but not there; try again later") from e


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


def _no_explanations(client: Client, source: str) -> str:
    """Message that names what the bucket has instead."""
    import difflib

    model, _, name = source.partition("/")
    there = [_last(f) for f in list_bucket(client, f"v1/{model}/", "/").folders]
    if there:
        near = difflib.get_close_matches(name, there, 5, 0.5) or sorted(there)[:5]
        more = f" ({len(there)} in all)" if len(there) > len(near) else ""
        hint = f"of {model} it explains {', '.join(near)}{more}"
    else:
        models = [m for f in list_bucket(client, "v1/", "/").folders if (m := _last(f)) != "config"]
        near = difflib.get_close_matches(model, models, 5, 0.4) or sorted(models)[:5]
        more = f" ({len(models)} in all)" if len(models) > len(near) else ""
        hint = (
            f"it has no model {model}; it has {', '.join(near)}{more}"
            if models
            else f"nothing at all lies at {client.base_url}"
        )
    return (
        f"Neuronpedia's export has no explanations of {source}: {hint}; "
        "explanations of your own are taken with --explanations FILE"
    )


def _last(folder: str) -> str:
    return re.sub(r"[^ -~]", "?", folder.rstrip("/").rpartition("/")[2])[:100]
