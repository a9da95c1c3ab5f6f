"""Listing a public S3 bucket (``list-type=2``) over plain HTTP."""

import io
import re
import time
from dataclasses import dataclass
from functools import partial
from xml.etree import ElementTree

from sfal.errors import DownloadError
from sfal.io.http import Client
from sfal.io.http_errors import TemporaryError

_MAX_PAGE_BYTES = 2 << 20
_MAX_PAGES = 200
"""Of 1,000 keys each: more than ten times what the largest source has."""
_ETAG = re.compile(r"[!#-~]{1,128}")


@dataclass(frozen=True)
class StoredObject:
    """One object of a bucket, as the listing describes it."""

    key: str
    """Name in the bucket. Not to be trusted as a path."""
    etag: str
    """Changes whenever the content does; without quotes."""
    size: int
    """Bytes."""


@dataclass(frozen=True)
class Listing:
    """What lies below a prefix."""

    objects: tuple[StoredObject, ...]
    """In the order in which the bucket lists them."""
    folders: tuple[str, ...]
    """Common prefixes, where a delimiter was given."""


def list_bucket(
    client: Client, prefix: str, delimiter: str = "", max_pages: int = _MAX_PAGES
) -> Listing:
    """List what lies below a prefix, page by page.

    Parameters
    ----------
    client : Client
        Of the bucket's address.
    prefix : str
        Start of the keys wanted. One that nothing starts with gives an empty listing.
    delimiter : str
        Keys that go on behind it are summed up as folders.
    max_pages : int
        A listing that goes on longer is refused.

    Raises
    ------
    DownloadError
        If the bucket cannot be listed, or answers nonsense or without end.
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
        f"the list of {prefix} at {client.base_url} does not end after {len(tokens) + 1} pages; "
        "the server is no usable mirror of the export"
    )


def _page(client: Client, query: dict[str, str]) -> ElementTree.Element:
    body = io.BytesIO()
    client.get("", body, _MAX_PAGE_BYTES, query)
    data = body.getvalue()
    # A document type is all that an entity bomb needs, and no listing has one.
    if b"<!DOCTYPE" in data or b"\0" in data:
        raise DownloadError(f"{client.base_url} answers no S3 listing")
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as e:
        raise TemporaryError(f"the listing is no valid XML ({e})") from e
    if root.tag.rpartition("}")[2] != "ListBucketResult":
        raise DownloadError(f"{client.base_url} answers no S3 listing; check SFAL_NEURONPEDIA_URL")
    return root


def _object(item: ElementTree.Element, base_url: str) -> StoredObject:
    size, etag = _text(item, "Size"), _text(item, "ETag").strip('"')
    if not re.fullmatch(r"[0-9]{1,15}", size) or not _ETAG.fullmatch(etag):
        raise DownloadError(
            f"the listing at {base_url} gives no usable Size and ETag of "
            f"{_text(item, 'Key')[:200]!r}"
        )
    return StoredObject(_text(item, "Key"), etag, int(size))


def _text(item: ElementTree.Element, name: str) -> str:
    return item.findtext(f"{{*}}{name}") or ""
