"""A local bucket that speaks S3's listing (version 2) and object requests, and can misbehave.

::

    with serve({"v1/m/s/explanations/batch-0.jsonl.gz": b"…"}) as bucket:
        bucket.fault("list", status(503), times=2)
        … bucket.url …
        assert bucket.requests == […]
"""

import hashlib
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_FOREVER = 1 << 30


class Bucket:
    """Objects by key, the requests that came, and the faults that are to come."""

    def __init__(self, objects, page_size):
        self.objects = dict(objects)
        self.page_size = page_size
        self.requests = []
        self.at_once = 0
        self.most_at_once = 0
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.url = ""
        self._faults = defaultdict(list)

    def fault(self, key, answer, times=_FOREVER):
        """Answer the next requests for a key, or for ``"list"``, in another way."""
        self._faults[key].append([answer, times])

    def next_fault(self, key):
        with self.lock:
            for entry in self._faults[key]:
                if entry[1] > 0:
                    entry[1] -= 1
                    return entry[0]
        return None

    def fetched(self):
        """Keys of the objects that were asked for, in order."""
        return [key for key in self.requests if key != "list"]


def etag(body):
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


@contextmanager
def serve(objects, page_size=1000):
    """Serve objects on a free port of this machine until the block ends."""
    bucket = Bucket(objects, page_size)

    class Handler(_Handler):
        pass

    Handler.bucket = bucket
    server = _Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    bucket.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield bucket
    finally:
        bucket.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """Clients that give up break their connections; that is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    bucket = None

    def do_GET(self):
        bucket, parts = self.bucket, urlsplit(self.path)
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
                body, headers, code = listing(bucket, query), {}, 200
            elif key in bucket.objects:
                body, code = bucket.objects[key], 200
                headers = {"ETag": f'"{etag(body)}"'}
            else:
                body, headers, code = b"<Error><Code>NoSuchKey</Code></Error>", {}, 404
            if fault is None:
                self.answer(code, body, headers)
            else:
                fault(self, body, headers)
        except OSError:
            self.close_connection = True
        finally:
            with bucket.lock:
                bucket.at_once -= 1

    def answer(self, code, body, headers=None, length=None):
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def cut(self):
        """End the connection without a word."""
        self.wfile.flush()
        self.close_connection = True
        self.connection.close()

    def log_message(self, *args):
        pass


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
    # A token with characters that must be quoted in a URL.
    token = f"<NextContinuationToken>page/{stop}+</NextContinuationToken>" if more else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="{_NAMESPACE}">'
        f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}"
        f"{''.join(list(entries.values())[start:stop])}</ListBucketResult>"
    ).encode()


def status(code, retry_after=None):
    """An error status, with ``Retry-After`` where given."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return lambda handler, body, _: handler.answer(code, b"slow down", headers)


def replaced(new, headers=None):
    """Other bytes under the right ETag; `new` may be a function of the right bytes."""

    def answer(handler, body, right):
        other = new(body) if callable(new) else new
        handler.answer(200, other, {**right, **(headers or {})})

    return answer


def reset_halfway(handler, body, headers):
    """The right headers, half the body, and the connection ends."""
    handler.answer(200, body[: len(body) // 2], headers, length=len(body))
    handler.cut()


def announced_length(length):
    """Another ``Content-Length`` than the body's."""

    def answer(handler, body, headers):
        handler.answer(200, body, headers, length=length)
        handler.cut()

    return answer


def trickle(pause=0.02):
    """The body byte by byte, far too slowly, so that no single read times out."""

    def answer(handler, body, headers):
        handler.answer(200, b"", headers, length=len(body))
        for i in range(len(body)):
            if handler.bucket.stopped.wait(pause):
                return
            handler.wfile.write(body[i : i + 1])
            handler.wfile.flush()

    return answer


def trickle_headers(pause=0.02):
    """Header lines without end, none of them late."""

    def answer(handler, body, headers):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not handler.bucket.stopped.wait(pause):
            handler.wfile.write(b"a")
            handler.wfile.flush()

    return answer


def silence(handler, body, headers):
    """No answer at all."""
    handler.bucket.stopped.wait()


def redirect(target, code=307):
    """A redirect; ``{url}`` in the target is the server's own address."""
    return lambda handler, body, _: handler.answer(
        code, b"", {"Location": target.format(url=handler.bucket.url)}
    )


def endless_pages(*, new_token=True, new_keys=True):
    """Page after page, each of which says that there is more."""
    count = iter(range(_FOREVER))

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


def delayed(seconds):
    """The right answer, a little later, so that requests overlap."""

    def answer(handler, body, headers):
        time.sleep(seconds)
        handler.answer(200, body, headers)

    return answer
