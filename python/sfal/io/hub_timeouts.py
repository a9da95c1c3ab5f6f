"""Time limits for the hub's HTTP client.

By default the client waits indefinitely for a silent server and obeys any
``Retry-After``.
"""

import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from sfal.errors import DownloadError

READ_SECONDS = 10.0
"""Time within which the server must send something."""
COMMIT_SECONDS = 120.0
"""Time within which it must answer a commit or the upload of a file."""
RATE_SECONDS = 30.0
"""Time over which the rate of a body is measured; seconds spent waiting for it."""
LEAST_RATE = 1024
"""Bytes a second at which a body must arrive."""
LONGEST_WAIT = 10
"""Seconds between two attempts, whatever the server asks for."""


class TooSlowError(DownloadError):
    """A body arrives too slowly. No library repeats such a request: each attempt would hang."""


_bounded = threading.Event()
_lock = threading.Lock()


def bound_waiting() -> None:
    """Make every request of the hub's library in this process end within minutes.

    A client factory that sets time-outs of its own stays as it is.
    """
    if _bounded.is_set():
        return
    with _lock:
        if not _bounded.is_set():
            from huggingface_hub import get_session, set_client_factory

            usual = get_session()
            if not any(usual.timeout.as_dict().values()):
                make, hooks = type(usual), usual.event_hooks
                bounded: dict[str, list[Any]] = {
                    "request": [*hooks["request"], _bound_reading],
                    "response": [*hooks["response"], _bound_pause, _bound_body],
                }
                set_client_factory(
                    lambda: make(event_hooks=bounded, follow_redirects=True, timeout=READ_SECONDS)
                )
            _bounded.set()


def _bound_reading(request: Any) -> None:
    """Set a limit where a call of the library asks for none."""
    limits = request.extensions.get("timeout", {})
    request.extensions["timeout"] = {
        phase: READ_SECONDS if limits.get(phase) is None else limits[phase]
        for phase in ("connect", "read", "write", "pool")
    }
    if request.method == "PUT" or "/commit/" in request.url.path:
        read = request.extensions["timeout"]["read"]
        request.extensions["timeout"]["read"] = max(read, COMMIT_SECONDS)


def _bound_pause(response: Any) -> None:
    """Shorten the pause that the server asks for; the library would sleep through all of it."""
    if response.status_code in (429, 503):
        response.headers.pop("ratelimit", None)
        asked = response.headers.get("retry-after")
        if asked is not None and not (
            asked.isdecimal() and len(asked) < 5 and int(asked) < LONGEST_WAIT
        ):
            response.headers["retry-after"] = str(LONGEST_WAIT)


def _bound_body(response: Any) -> None:
    # A body must be an instance of this class of the HTTP library that the hub's client uses.
    library = sys.modules[type(response).__module__.partition(".")[0]]
    stream, address = response.stream, f"{response.url.scheme}://{response.url.host}"

    class Watched(library.SyncByteStream):  # type: ignore[misc,name-defined]
        def __iter__(self) -> Iterator[bytes]:
            return _steady(iter(stream), address)

        def close(self) -> None:
            stream.close()

    response.stream = Watched()


def _steady(chunks: Iterator[bytes], address: str) -> Iterator[bytes]:
    """Pass on the pieces of a body; raise if they arrive too slowly."""
    waited, received = 0.0, 0
    while True:
        started = time.monotonic()
        chunk = next(chunks, None)
        waited += time.monotonic() - started
        if chunk is None:
            return
        received += len(chunk)
        if waited > RATE_SECONDS:
            if received < LEAST_RATE * waited:
                raise TooSlowError(
                    f"{address} is too slow, {received} bytes in {waited:.0f} s",
                    hint="try again later",
                )
            waited, received = 0.0, 0
        yield chunk
