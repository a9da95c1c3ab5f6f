"""What Neuronpedia's bucket lists of a source: the batches of every explainer's folder.

A source has ``explanations/``, and for further explainers folders such as
``explanations-gpt-4o-mini/``.
"""

import hashlib
import logging
import re
from collections import Counter
from typing import NamedTuple

from sfal.errors import DownloadError, InvalidInputError
from sfal.io.web.http import Client
from sfal.io.web.s3 import Listing, StoredObject, list_bucket
from sfal.store.layout import check_name

_log = logging.getLogger(__name__)

STORED_NAME = re.compile(r"batch-[0-9]{1,7}-[0-9a-f]{16}(?:-[A-Za-z0-9._@+=-]{1,100})?\.jsonl\.gz")
"""Names under which :func:`stored_name` keeps batches."""

_BATCH = re.compile(r"explanations([A-Za-z0-9._@+=-]{0,100})/batch-(0|[1-9][0-9]{0,6})\.jsonl\.gz")
_MAX_BATCH_BYTES = 1 << 30
_MAX_EXPORT_BYTES = 64 << 30


class BatchKey(NamedTuple):
    """A batch within an export; keys sort as the batches are read."""

    suffix: str
    """What follows ``explanations`` in the folder's name, such as ``-gpt-4o-mini``; may be empty."""
    number: int
    """Number of the batch."""


def list_batches(client: Client, source: str) -> tuple[dict[BatchKey, StoredObject], int]:
    """Return a source's batches, and the number of other objects in its folders.

    Raises
    ------
    DownloadError
        If the bucket cannot be listed, has no explanations of the source (the
        message lists sources that it has), or lists absurd sizes.
    InvalidInputError
        If `source` is not a Neuronpedia id.
    """
    if source.count("/") != 1:
        raise InvalidInputError(
            f"{source!r} is not a Neuronpedia id",
            hint="give model/source, such as gemma-2-2b/0-gemmascope-res-16k",
        )
    folder = f"v1/{check_name(source, 'Neuronpedia id')}/"
    # Every explainer's folder begins so, hence one listing shows them all.
    objects, n_ignored = _batches(list_bucket(client, f"{folder}explanations"), folder)
    if not objects:
        raise _no_explanations(client, source)
    _check_sizes(objects, source)
    return objects, n_ignored


def stored_name(key: BatchKey, stored: StoredObject) -> str:
    """Return the name under which a batch is kept; another content gives another name."""
    tag = hashlib.sha256(f"{stored.etag} {stored.size}".encode()).hexdigest()[:16]
    suffix = f"-{key.suffix.lstrip('-')}" if key.suffix else ""
    return f"batch-{key.number}-{tag}{suffix}.jsonl.gz"


def folder_explainer(name: str) -> str | None:
    """Return the explainer that a kept batch's folder was named after, or None.

    Examples
    --------
    >>> folder_explainer("batch-0-0123456789abcdef-gpt-4o-mini.jsonl.gz")
    'gpt-4o-mini'
    """
    return name.removesuffix(".jsonl.gz").split("-", 3)[3] if name.count("-") > 2 else None


def _batches(listing: Listing, folder: str) -> tuple[dict[BatchKey, StoredObject], int]:
    """Return the batches by key; only parts that the pattern allows become part of a path."""
    found: dict[BatchKey, StoredObject] = {}
    for stored in listing.objects:
        name = stored.key.removeprefix(folder)
        match = _BATCH.fullmatch(name) if stored.key.startswith(folder) else None
        if match:
            found[BatchKey(match[1], int(match[2]))] = stored
    n_ignored = len(listing.objects) - len(found)
    if n_ignored:
        _log.warning("%s: ignored %d objects that are not batches", folder, n_ignored)
    counts = Counter(key.suffix for key in found)
    last = {key.suffix: key.number for key in sorted(found)}
    gaps = sum(last[suffix] + 1 - n for suffix, n in counts.items())
    if gaps:
        _log.warning("%s: %d batches are missing from the export", folder, gaps)
    return found, n_ignored


def _check_sizes(objects: dict[BatchKey, StoredObject], source: str) -> None:
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
