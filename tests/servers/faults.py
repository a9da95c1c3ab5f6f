"""Local servers that misbehave on purpose: their base classes and their faults.

A fault is a function of the handler, the correct body and the correct headers;
the correct status is ``handler.right``.
"""

import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_ALWAYS = 1 << 30


class World:
    """The content of a server, its address, and its pending faults."""

    def __init__(self):
        self.url = ""
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self._faults = defaultdict(list)

    def fault(self, key, answer, times=_ALWAYS):
        """Answer the next requests for a key with a fault."""
        self._faults[key].append([answer, times])

    def next_fault(self, key):
        with self.lock:
            for entry in self._faults[key]:
                if entry[1] > 0:
                    entry[1] -= 1
                    return entry[0]
        return None


class Handler(BaseHTTPRequestHandler):
    """A handler of a world's requests; `right` is the status that a fault may replace."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    world = None
    right = 200

    def do_GET(self):
        self.respond()

    def do_HEAD(self):
        self.respond()

    def answer(self, code, body, headers=None, length=None):
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def cut(self):
        """Close the connection without a further byte."""
        self.wfile.flush()
        self.close_connection = True
        self.connection.close()

    def log_message(self, *args):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Ignore that a client gave up and closed its connection."""


@contextmanager
def serving(world, handler):
    """Serve a world on a free local port until the block ends."""
    server = _Server(("127.0.0.1", 0), type("Handler", (handler,), {"world": world}))
    world.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield world
    finally:
        world.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()


def status(code, retry_after=None):
    """Return a fault that sends an error status, with ``Retry-After`` if given."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return lambda handler, body, _: handler.answer(code, b"slow down", headers)


def replaced(new, headers=None):
    """Return a fault that sends other bytes under the same ETag; `new` may be a function of the bytes."""

    def answer(handler, body, right):
        other = new(body) if callable(new) else new
        handler.answer(handler.right, other, {**right, **(headers or {})})

    return answer


def reset_halfway(handler, body, headers):
    """Send the correct headers and half of the body, and close the connection."""
    handler.answer(handler.right, body[: len(body) // 2], headers, length=len(body))
    handler.cut()


def announced_length(length):
    """Return a fault that announces another ``Content-Length`` than the body's."""

    def answer(handler, body, headers):
        handler.answer(handler.right, body, headers, length=length)
        handler.cut()

    return answer


def trickle(pause=0.02):
    """Return a fault that sends the body byte by byte, too slowly, though no single read times out."""

    def answer(handler, body, headers):
        handler.answer(handler.right, b"", headers, length=len(body))
        for i in range(len(body)):
            if handler.world.stopped.wait(pause):
                return
            handler.wfile.write(body[i : i + 1])
            handler.wfile.flush()

    return answer


def trickle_headers(pause=0.02):
    """Return a fault that sends an endless header, no byte of which is late."""

    def answer(handler, body, headers):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not handler.world.stopped.wait(pause):
            handler.wfile.write(b"a")
            handler.wfile.flush()

    return answer


def silence(handler, body, headers):
    """Send nothing."""
    handler.world.stopped.wait()


def redirect(target, code=307):
    """Return a fault that redirects; ``{url}`` in the target is the server's address."""
    return lambda handler, body, _: handler.answer(
        code, b"", {"Location": target.format(url=handler.world.url)}
    )


def delayed(seconds):
    """Return a fault that sends the correct answer with a delay, so that requests overlap."""

    def answer(handler, body, headers):
        time.sleep(seconds)
        handler.answer(handler.right, body, headers)

    return answer
