"""Listing a public S3 bucket (``list-type=2``) over plain HTTP."""

import io
import re
import time
from dataclasses import dataclass
from functools import partial
from xml.etree import ElementTree

from sfal.errors import DownloadError
from sfal.io.web.http import Client
from sfal.io.web.http_errors import TemporaryError

_MAX_PAGE_BYTES = 2 << 20
_MAX_PAGES = 200
"""Pages have 1,000 keys; the largest export has less than a tenth of this."""
_ETAG = re.compile(r"[!#-~]{1,128}")


@dataclass(frozen=True)
class StoredObject:
    """One object of a bucket, as the listing describes it."""

    key: str
    """Name in the bucket. It must not be trusted as a path."""
    etag: str
    """Tag that changes whenever the content does; without quotes."""
    size: int
    """Size in bytes."""


@dataclass(frozen=True)
class Listing:
    """Keys and folders below a prefix."""

    objects: tuple[StoredObject, ...]
    """Objects in the order of the listing."""
    folders: tuple[str, ...]
    """Common prefixes, if a delimiter was given."""


def list_bucket(
    client: Client, prefix: str, delimiter: str = "", max_pages: int = _MAX_PAGES
) -> Listing:
    """List the keys below a prefix, page by page.

    Parameters
    ----------
    client : Client
        Client of the bucket's address.
    prefix : str
        Beginning of the wanted keys. If no key begins so, the listing is empty.
    delimiter : str
        Keys that continue after it are grouped as folders.
    max_pages : int
        A longer listing is refused.

    Raises
    ------
    DownloadError
        If the bucket cannot be listed, or the listing is malformed or does not end.
    """
    objects: dict[str, StoredObject] = {}
    folders: dict[str, None] = {}
    query = {"list-type": "2", "prefix": prefix}
    if delimiter:
        query["delimiter"] = delimiter
    tokens: set[str] = set()
    deadline = time.monotonic() + client.patience.give_up_seconds
    for _ in range(max_pages):
        page = client.retry(f"the list of {prefix}", partial(_page, client, query))
        for item in page.iterfind("{*}Contents"):
            stored = _object(item, client.base_url)
            objects.setdefault(stored.key, stored)
        for item in page.iterfind("{*}CommonPrefixes"):
            folders[_text(item, "Prefix")] = None
        if _text(page, "IsTruncated") != "true":
            return Listing(tuple(objects.values()), tuple(folders))
        token = _text(page, "NextContinuationToken")
        if not token or token in tokens or time.monotonic() > deadline:
            break
        tokens.add(token)
        query = {**query, "continuation-token": token}
    raise DownloadError(
        f"the list of {prefix} at {client.base_url} does not end after {len(tokens) + 1} pages",
        hint=client.hint,
    )


def _page(client: Client, query: dict[str, str]) -> ElementTree.Element:
    body = io.BytesIO()
    client.get("", body, _MAX_PAGE_BYTES, query)
    data = body.getvalue()
    # An entity bomb needs a document type, and no listing has one.
    if b"<!DOCTYPE" in data or b"\0" in data:
        raise _not_a_listing(client)
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as e:
        raise TemporaryError(f"the listing is not valid XML ({e})") from e
    if root.tag.rpartition("}")[2] != "ListBucketResult":
        raise _not_a_listing(client)
    return root


def _not_a_listing(client: Client) -> DownloadError:
    return DownloadError(f"{client.base_url} does not return an S3 listing", hint=client.hint)


def _object(item: ElementTree.Element, base_url: str) -> StoredObject:
    size, etag = _text(item, "Size"), _text(item, "ETag").strip('"')
    if not re.fullmatch(r"[0-9]{1,15}", size) or not _ETAG.fullmatch(etag):
        raise DownloadError(
            f"the listing at {base_url} has no valid Size and ETag for {_text(item, 'Key')[:200]!r}"
        )
    return StoredObject(_text(item, "Key"), etag, int(size))


def _text(item: ElementTree.Element, name: str) -> str:
    return item.findtext(f"{{*}}{name}") or ""
