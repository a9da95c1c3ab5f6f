"""The HTTP side of the server: who may ask, and for what."""

import hmac
import json
import logging
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sfal.errors import InvalidInputError, SfalError
from sfal.report.html import content_policy
from sfal.report.server.library import Library

ADDRESS = "127.0.0.1"
"""The only address that is listened on: this machine's own."""

_log = logging.getLogger(__name__)

_SECONDS = 60
"""Seconds that a client may take to send its request."""
_PATH = re.compile(r"/([A-Za-z0-9_-]{1,100})(?:/([a-z0-9/,]{0,1000}))?")
_BLOCK = re.compile(r"blocks/([0-9a-f]{64})")
_LISTS = re.compile(r"lists/([0-9a-f]{16})/([0-9]{1,3})/([0-9]{1,9})")
_NEAREST = re.compile(r"nearest/([0-9a-f]{16})/([0-9]{1,3})/([0-9]{1,9}(?:,[0-9]{1,9}){0,49})")


@dataclass(frozen=True)
class Answer:
    """What is sent in answer to a request."""

    status: HTTPStatus
    kind: str
    body: bytes


def answer(library: Library, path: str) -> Answer:
    """Answer a request whose sender may ask.

    Parameters
    ----------
    library : Library
    path : str
        What follows the token in the address. It names nothing on disk: digests, places and
        indices are looked up among what the library holds.
    """
    try:
        if path == "":
            return Answer(HTTPStatus.OK, "text/html; charset=utf-8", library.page().encode())
        if found := _BLOCK.fullmatch(path):
            block = library.block(found[1])
            if block is not None:
                return Answer(HTTPStatus.OK, "text/plain; charset=us-ascii", block.encode())
        if found := _LISTS.fullmatch(path):
            lists = library.lists(found[1], int(found[2]), int(found[3]))
            return Answer(HTTPStatus.OK, "application/json", lists)
        if found := _NEAREST.fullmatch(path):
            features = [int(each) for each in found[3].split(",")]
            nearest = library.nearest(found[1], int(found[2]), features)
            return Answer(HTTPStatus.OK, "application/json", nearest)
    except SfalError as e:
        return _problem(HTTPStatus.CONFLICT, e.message)
    return _problem(HTTPStatus.NOT_FOUND, "there is nothing at this address")


def _problem(status: HTTPStatus, message: str) -> Answer:
    if status == HTTPStatus.CONFLICT:
        return Answer(status, "application/json", json.dumps({"problem": message}).encode())
    return Answer(status, "text/plain; charset=utf-8", f"{message}\n".encode())


class Server(ThreadingHTTPServer):
    """A server for the people at this machine, who know its token.

    Parameters
    ----------
    library : Library
    port : int
        Port to listen on; 0: any that is free.

    Raises
    ------
    InvalidInputError
        If the port is taken or may not be used.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, library: Library, port: int = 0) -> None:
        self.library = library
        self.token = secrets.token_urlsafe(24)
        """What the address must begin with."""
        try:
            super().__init__((ADDRESS, port), _Handler)
        except OSError as e:
            raise InvalidInputError(
                f"port {port} cannot be used: {e.strerror}",
                hint="choose another $port, or 0 for any that is free",
            ) from e

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{ADDRESS}:{self.server_port}/{self.token}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """Log what went wrong with a request, such as a client that left, and go on."""
        _log.debug("request failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version = "sfal"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = _SECONDS

    def do_GET(self) -> None:
        self._send(self._answer())

    def do_HEAD(self) -> None:
        self._send(self._answer(), with_body=False)

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Refuse all other methods, which the library looks up as ``do_POST`` and so on."""
        if name.startswith("do_"):
            return self._refuse_method
        raise AttributeError(name)

    def _refuse_method(self) -> None:
        self.close_connection = True
        answer = _problem(HTTPStatus.METHOD_NOT_ALLOWED, "this server is only read from")
        self._send(answer, Allow="GET, HEAD")

    def _answer(self) -> Answer:
        port = self.server.server_port
        hosts = self.headers.get_all("Host", [])
        # A name that somebody points at this machine would make a foreign page's requests local.
        if len(hosts) != 1 or hosts[0].lower() not in (f"{ADDRESS}:{port}", f"localhost:{port}"):
            return _problem(HTTPStatus.FORBIDDEN, "this server answers only to its own address")
        found = _PATH.fullmatch(self.path.partition("?")[0])
        if found is None or not hmac.compare_digest(found[1], self.server.token):
            return _problem(HTTPStatus.FORBIDDEN, "the address lacks the token; use it as printed")
        if found[2] is None:
            return _problem(HTTPStatus.NOT_FOUND, "the address ends with a slash")
        try:
            return answer(self.server.library, found[2])
        except Exception:
            _log.exception("a request could not be answered")
            return _problem(
                HTTPStatus.INTERNAL_SERVER_ERROR, "an unexpected error; see the terminal"
            )

    def _send(self, sent: Answer, *, with_body: bool = True, **headers: str) -> None:
        self.send_response(sent.status)
        policy = f"{content_policy(served=True)}; frame-ancestors 'none'"
        for name, value in {
            "Content-Type": sent.kind,
            "Content-Length": str(len(sent.body)),
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
            **headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(sent.body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: paths hold the token."""
