"""A local bucket with S3's listing (version 2) and object requests, which can misbehave.

::

    with serve({"v1/m/s/explanations/batch-0.jsonl.gz": b"…"}) as bucket:
        bucket.fault("list", faults.status(503), times=2)
        … bucket.url …
        assert bucket.requests == […]
"""

import hashlib
import itertools
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from servers import faults

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class Bucket(faults.World):
    """Objects by key, and the requests received; keys of faults are object keys or ``"list"``."""

    def __init__(self, objects, page_size):
        super().__init__()
        self.objects = dict(objects)
        self.page_size = page_size
        self.requests = []
        self.at_once = 0
        self.most_at_once = 0

    def fetched(self):
        """Return the keys of the requested objects, in order."""
        return [key for key in self.requests if key != "list"]


def etag(body):
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def serve(objects, page_size=1000):
    """Serve objects on a free port of this machine while the block runs."""
    return faults.serving(Bucket(objects, page_size), _Handler)


class _Handler(faults.Handler):
    def respond(self):
        bucket, parts = self.world, urlsplit(self.path)
        key = unquote(parts.path).removeprefix("/")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        what = "list" if "list-type" in query else key
        with bucket.lock:
            bucket.requests.append(what)
            bucket.at_once += 1
            bucket.most_at_once = max(bucket.most_at_once, bucket.at_once)
        try:
            fault = bucket.next_fault(what)
            if what == "list":
                body, headers, self.right = listing(bucket, query), {}, 200
            elif key in bucket.objects:
                body, self.right = bucket.objects[key], 200
                headers = {"ETag": f'"{etag(body)}"'}
            else:
                body, headers, self.right = b"<Error><Code>NoSuchKey</Code></Error>", {}, 404
            if fault is None:
                self.answer(self.right, body, headers)
            else:
                fault(self, body, headers)
        except OSError:
            self.close_connection = True
        finally:
            with bucket.lock:
                bucket.at_once -= 1


def listing(bucket, query, extra=()):
    """XML of one page of keys."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    entries = {}
    for key in sorted([*bucket.objects, *extra]):
        if not key.startswith(prefix):
            continue
        rest = key[len(prefix) :]
        if delimiter and delimiter in rest:
            folder = prefix + rest.partition(delimiter)[0] + delimiter
            entries[folder] = f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>"
        else:
            body = bucket.objects.get(key, b"x")
            entries[key] = (
                f"<Contents><Key>{escape(key)}</Key><ETag>&quot;{etag(body)}&quot;</ETag>"
                f"<Size>{len(body)}</Size></Contents>"
            )
    start = int(query.get("continuation-token", "page/0+").strip("page/+") or 0)
    stop = start + bucket.page_size
    more = stop < len(entries)
    # The token contains characters that must be quoted in a URL.
    token = f"<NextContinuationToken>page/{stop}+</NextContinuationToken>" if more else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="{_NAMESPACE}">'
        f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}"
        f"{''.join(list(entries.values())[start:stop])}</ListBucketResult>"
    ).encode()


def endless_pages(*, new_token=True, new_keys=True):
    """Return a fault that sends page after page, each of which announces another."""
    count = itertools.count()

    def answer(handler, body, headers):
        number = next(count)
        key = f"v1/m/s/explanations/batch-{number if new_keys else 0}.jsonl.gz"
        page = (
            f'<ListBucketResult xmlns="{_NAMESPACE}"><IsTruncated>true</IsTruncated>'
            f"<NextContinuationToken>{number if new_token else 0}</NextContinuationToken>"
            f'<Contents><Key>{key}</Key><ETag>"{number}"</ETag><Size>1</Size></Contents>'
            "</ListBucketResult>"
        )
        handler.answer(200, page.encode(), headers)

    return answer
