"""Ways for a local server to misbehave, and what such a server is built on.

A fault is a function of the handler, the right body and the right headers; the
right status is ``handler.right``.
"""

import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_ALWAYS = 1 << 30


class World:
    """What a server serves, its address, and the faults that are to come."""

    def __init__(self):
        self.url = ""
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self._faults = defaultdict(list)

    def fault(self, key, answer, times=_ALWAYS):
        """Answer the next requests for a key in another way."""
        self._faults[key].append([answer, times])

    def next_fault(self, key):
        with self.lock:
            for entry in self._faults[key]:
                if entry[1] > 0:
                    entry[1] -= 1
                    return entry[0]
        return None


class Handler(BaseHTTPRequestHandler):
    """Answers requests of a world; `right` is the status that a fault may replace."""

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
        """End the connection without a word."""
        self.wfile.flush()
        self.close_connection = True
        self.connection.close()

    def log_message(self, *args):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Clients that give up break their connections; that is no news."""


@contextmanager
def serving(world, handler):
    """Serve a world on a free port of this machine until the block ends."""
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
    """An error status, with ``Retry-After`` where given."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return lambda handler, body, _: handler.answer(code, b"slow down", headers)


def replaced(new, headers=None):
    """Other bytes under the right ETag; `new` may be a function of the right bytes."""

    def answer(handler, body, right):
        other = new(body) if callable(new) else new
        handler.answer(handler.right, other, {**right, **(headers or {})})

    return answer


def reset_halfway(handler, body, headers):
    """The right headers, half the body, and the connection ends."""
    handler.answer(handler.right, body[: len(body) // 2], headers, length=len(body))
    handler.cut()


def announced_length(length):
    """Another ``Content-Length`` than the body's."""

    def answer(handler, body, headers):
        handler.answer(handler.right, body, headers, length=length)
        handler.cut()

    return answer


def trickle(pause=0.02):
    """The body byte by byte, far too slowly, so that no single read times out."""

    def answer(handler, body, headers):
        handler.answer(handler.right, b"", headers, length=len(body))
        for i in range(len(body)):
            if handler.world.stopped.wait(pause):
                return
            handler.wfile.write(body[i : i + 1])
            handler.wfile.flush()

    return answer


def trickle_headers(pause=0.02):
    """Header lines without end, none of them late."""

    def answer(handler, body, headers):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not handler.world.stopped.wait(pause):
            handler.wfile.write(b"a")
            handler.wfile.flush()

    return answer


def silence(handler, body, headers):
    """No answer at all."""
    handler.world.stopped.wait()


def redirect(target, code=307):
    """A redirect; ``{url}`` in the target is the server's own address."""
    return lambda handler, body, _: handler.answer(
        code, b"", {"Location": target.format(url=handler.world.url)}
    )


def delayed(seconds):
    """The right answer, a little later, so that requests overlap."""

    def answer(handler, body, headers):
        time.sleep(seconds)
        handler.answer(handler.right, body, headers)

    return answer
