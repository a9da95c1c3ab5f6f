"""The hub's HTTP client, made to give up in time.

As its library sets it up, it waits for ever for a server that says nothing or
hardly anything, and as long as one asks it to that wants to be left alone.
"""

import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from sfal.errors import DownloadError

READ_SECONDS = 10.0
"""Time in which an answer, or more of one, must come."""
RATE_SECONDS = 30.0
"""Time over which the rate of a body is measured; seconds spent waiting for it."""
LEAST_RATE = 1024
"""Bytes a second that a body must come with."""
LONGEST_WAIT = 10
"""Seconds between two attempts, whatever the server asks for."""


class TooSlowError(DownloadError):
    """A body comes, but hardly. No library tries it again: it would for ever."""


_bounded = threading.Event()
_lock = threading.Lock()


def bound_waiting() -> None:
    """Let all requests of the hub's library in this process end within two minutes.

    A client factory that was set before is kept, with these bounds around it.
    """
    if _bounded.is_set():
        return
    with _lock:
        if not _bounded.is_set():
            from huggingface_hub import set_client_factory
            from huggingface_hub.utils import _http

            make = getattr(_http, "_GLOBAL_CLIENT_FACTORY", _http.default_client_factory)
            set_client_factory(lambda: _with_bounds(make()))
            _bounded.set()


def _with_bounds(client: Any) -> Any:
    hooks = client.event_hooks
    client.event_hooks = {
        "request": [*hooks["request"], _bound_reading],
        "response": [*hooks["response"], _bound_pause, _bound_body],
    }
    return client


def _bound_reading(request: Any) -> None:
    """Put a limit where the library sets none."""
    limits = request.extensions.get("timeout", {})
    request.extensions["timeout"] = {
        phase: READ_SECONDS if limits.get(phase) is None else limits[phase]
        for phase in ("connect", "read", "write", "pool")
    }


def _bound_pause(response: Any) -> None:
    """Shorten what the server asks for, which the library sleeps through as it stands."""
    if response.status_code in (429, 503):
        response.headers.pop("ratelimit", None)
        asked = response.headers.get("retry-after")
        if asked is not None and not (
            asked.isdecimal() and len(asked) < 5 and int(asked) < LONGEST_WAIT
        ):
            response.headers["retry-after"] = str(LONGEST_WAIT)


def _bound_body(response: Any) -> None:
    # The class that a body must be of, from whichever HTTP library the hub's stands on.
    library = sys.modules[type(response).__module__.partition(".")[0]]
    stream, address = response.stream, f"{response.url.scheme}://{response.url.host}"

    class Watched(library.SyncByteStream):  # type: ignore[misc,name-defined]
        def __iter__(self) -> Iterator[bytes]:
            return _steady(iter(stream), address)

        def close(self) -> None:
            stream.close()

    response.stream = Watched()


def _steady(chunks: Iterator[bytes], address: str) -> Iterator[bytes]:
    """Pass on the pieces of a body; raise when they come too slowly."""
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
                    f"{address} is too slow, {received} bytes in {waited:.0f} s; try again later"
                )
            waited, received = 0.0, 0
        yield chunk
