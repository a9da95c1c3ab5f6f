"""HTTP bodies fetched in bounded time and space, from one host only.

A read time-out does not stop a server that sends a byte now and then. So every
attempt runs in its own thread and is watched: one that receives data below a
minimum rate is abandoned, wherever it hangs (name lookup, handshake, headers,
body). Failed attempts are repeated a bounded number of times.

Rejected after trying them against ``tests/explanations/test_misbehaving_servers.py``:

- obstore 0.12: follows redirects to other hosts, and this cannot be turned off; reads a
  listing of any length into memory (1.2 GB for a page of 300 MB); does not repeat a
  listing that breaks off halfway; refuses a whole listing for one malformed key.
- ``urllib3.Retry``: ends when the headers are there, so a truncated, slow or damaged
  body needs a second loop around it; an unreadable ``Retry-After`` is an error to it.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, TypeVar
from urllib.parse import quote, urljoin, urlsplit

from sfal.errors import DownloadError, InvalidInputError
from sfal.io.web.http_errors import (
    CancelledError,
    TemporaryError,
    UnreachableError,
    check_status,
    short_reason,
)

if TYPE_CHECKING:
    import requests

_T = TypeVar("_T")
_READ_BYTES = 1 << 16
_TICK_SECONDS = 0.25
_MAX_REDIRECTS = 3


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server. With the default values, a dead one costs 90 s at most."""

    least_rate: int = 1024
    """Bytes a second that an attempt must receive."""
    rate_seconds: float = 15.0
    """Time over which the rate is measured; seconds."""
    attempts: int = 5
    """Attempts per body."""
    first_wait: float = 0.5
    """Pause after the first failed attempt, doubled after each; seconds."""
    longest_wait: float = 20.0
    """Upper limit of a pause, whatever ``Retry-After`` says; seconds."""
    give_up_seconds: float = 80.0
    """Time since the last success after which no attempt is repeated; seconds."""
    parallel: int = 4
    """Bodies fetched at the same time."""


@dataclass
class _Watch:
    received: int = 0
    abandoned: bool = False


class Client:
    """A client that fetches bodies below one base address.

    It may be used from several threads.

    Parameters
    ----------
    base_url : str
        ``http`` or ``https`` address; redirects to any other scheme, host or
        port are refused.
    patience : Patience
        Time limits.
    hint : str
        What the user may do about a wrong or dead address, such as the setting
        to check.

    Raises
    ------
    InvalidInputError
        If the address is not such an address.
    """

    def __init__(self, base_url: str, patience: Patience | None = None, hint: str = "") -> None:
        self.hint = hint
        self.base_url = base_url.rstrip("/")
        self.patience = patience or Patience()
        self.cancelled = threading.Event()
        self._origin = _origin(self.base_url)
        if self._origin is None or urlsplit(self.base_url).query:
            raise InvalidInputError(
                f"{base_url!r} is not a base address: it must be http://… or https://…, without a query",
                hint=hint,
            )
        self._sessions = threading.local()
        self._last_success = time.monotonic()

    def retry(self, what: str, action: Callable[[], _T]) -> _T:
        """Repeat an action until it succeeds, a bounded number of times.

        Parameters
        ----------
        what : str
            What is being fetched; for the message.
        action : callable
            Raises :class:`TemporaryError` if a repetition may help.

        Raises
        ------
        DownloadError
            If all attempts failed, or one failed for good.
        """
        for attempt in range(1, self.patience.attempts + 1):
            try:
                result = action()
            except TemporaryError as e:
                since = time.monotonic() - self._last_success
                if attempt == self.patience.attempts or since > self.patience.give_up_seconds:
                    raise UnreachableError(
                        f"cannot fetch {what} from {self.base_url}: {e} (attempt {attempt})",
                        hint="; ".join(filter(None, ("try again later", self.hint))),
                    ) from e
                pause = max(self.patience.first_wait * 2 ** (attempt - 1), e.retry_after)
                if self.cancelled.wait(min(pause, self.patience.longest_wait)):
                    raise CancelledError(f"{what}: stopped") from e
            else:
                self._last_success = time.monotonic()
                return result
        raise DownloadError(f"cannot fetch {what}: no attempt was allowed")

    def get(
        self,
        path: str,
        sink: BinaryIO,
        max_bytes: int,
        params: Mapping[str, str] | None = None,
    ) -> Mapping[str, str]:
        """Fetch one body into a file, in one attempt.

        Parameters
        ----------
        path : str
            Path below the base address, not yet percent-encoded.
        sink : file
            File opened for this attempt alone.
        max_bytes : int
            A body is refused as soon as it is longer.
        params : mapping of str to str, optional
            Query parameters.

        Returns
        -------
        headers : mapping of str to str
            Headers of the response; names in any case.

        Raises
        ------
        TemporaryError
            If a repetition may help.
        DownloadError
            If it may not.
        """
        session = getattr(self._sessions, "session", None)
        if session is None:
            session = self._sessions.session = _new_session()
        url = f"{self.base_url}/{quote(path)}"
        watch = _Watch()
        try:
            return self._watched(
                watch, lambda: self._request(session, url, params, sink, max_bytes, watch)
            )
        except (TemporaryError, CancelledError):
            self._sessions.session = None  # an abandoned attempt may still use its connection
            raise

    def _watched(self, watch: _Watch, action: Callable[[], _T]) -> _T:
        outcome: list[_T] = []
        failure: list[BaseException] = []
        done = threading.Event()

        def run() -> None:
            try:
                outcome.append(action())
            except BaseException as e:  # handed to the waiting thread
                failure.append(e)
            finally:
                done.set()

        threading.Thread(target=run, daemon=True).start()
        mark, before = time.monotonic(), 0
        while not done.wait(_TICK_SECONDS):
            if self.cancelled.is_set():
                watch.abandoned = True
                raise CancelledError("stopped")
            elapsed = time.monotonic() - mark
            if elapsed < self.patience.rate_seconds:
                continue
            got = watch.received - before
            if got < self.patience.least_rate * elapsed:
                watch.abandoned = True
                raise TemporaryError(f"too slow, {got} bytes in {elapsed:.0f} s")
            mark, before = time.monotonic(), watch.received
        if failure:
            raise failure[0]
        return outcome[0]

    def _request(
        self,
        session: "requests.Session",
        url: str,
        params: Mapping[str, str] | None,
        sink: BinaryIO,
        max_bytes: int,
        watch: _Watch,
    ) -> Mapping[str, str]:
        import requests
        import urllib3

        try:
            with self._follow(session, url, params) as response:
                check_status(response, url)
                while block := response.raw.read1(_READ_BYTES, decode_content=False):
                    watch.received += len(block)
                    if watch.received > max_bytes:
                        raise TemporaryError(f"longer than the {max_bytes} bytes announced")
                    if watch.abandoned:
                        raise CancelledError("stopped")
                    sink.write(block)
                return response.headers
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as e:
            raise DownloadError(f"cannot fetch {url}: {e}") from e
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as e:
            raise TemporaryError(f"no answer in {self.patience.rate_seconds:g} s") from e
        except (requests.RequestException, urllib3.exceptions.HTTPError) as e:
            raise TemporaryError(short_reason(e)) from e

    def _follow(
        self, session: "requests.Session", url: str, params: Mapping[str, str] | None
    ) -> "requests.Response":
        seconds = self.patience.rate_seconds
        for _ in range(_MAX_REDIRECTS + 1):
            response = session.get(
                url, params=params, stream=True, timeout=(seconds, seconds), allow_redirects=False
            )
            if not response.is_redirect:
                return response
            target = response.headers["Location"]
            response.close()
            try:
                url, params = urljoin(response.url, target), None
            except ValueError:
                url = ""
            if _origin(url) != self._origin:
                raise DownloadError(
                    f"{self.base_url} redirects to {target[:200]!r}; redirects to another host or "
                    "scheme are refused",
                    hint=self.hint,
                )
        raise DownloadError(f"{self.base_url} redirects without end", hint=self.hint)


def _new_session() -> "requests.Session":
    import requests

    class Session(requests.Session):
        # Even with allow_redirects=False, requests prepares the next request, for which it reads
        # the whole body of this response, however long.
        def get_redirect_target(self, resp: requests.Response) -> None:
            return None

    session = Session()
    session.headers["User-Agent"] = _user_agent()
    # Bodies are fetched as they are stored, not decompressed on the way.
    session.headers["Accept-Encoding"] = "identity"
    return session


def _origin(url: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port of an http(s) address; None for any other."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None


def _user_agent() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"sfal/{version('sfal')}"
    except PackageNotFoundError:
        return "sfal"
