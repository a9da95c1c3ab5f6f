"""What an HTTP answer or a failed request means: over for good, or worth another attempt."""

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from sfal.errors import DownloadError

if TYPE_CHECKING:
    import requests

_TEMPORARY_STATUS = frozenset({408, 425, 429})


class NotFoundError(DownloadError):
    """The server says that there is no such object (HTTP 404)."""


class UnreachableError(DownloadError):
    """No attempt at a body succeeded; what is asked for next will hardly fare better."""


class CancelledError(DownloadError):
    """Another download failed or the user interrupted, so this one was stopped."""


class TemporaryError(Exception):
    """An attempt failed in a way that may pass."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


def check_status(response: "requests.Response", url: str) -> None:
    """Raise unless the answer is the body asked for (HTTP 200).

    Raises
    ------
    TemporaryError
        If the server asks to come back later or is out of order.
    NotFoundError, DownloadError
        If its answer is final.
    """
    status = response.status_code
    if status == 200:
        return
    if status == 404:
        raise NotFoundError(f"{url} does not exist (HTTP 404)")
    if status in _TEMPORARY_STATUS or status >= 500:
        raise TemporaryError(f"HTTP {status}", _retry_after(response.headers.get("Retry-After")))
    raise DownloadError(f"{url} answered HTTP {status}")


def _retry_after(value: str | None) -> float:
    """Seconds that a ``Retry-After`` header asks for; 0 where it says nothing usable."""
    if value is None:
        return 0.0
    if value.strip().isdecimal():
        return float(value.strip()[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def short_reason(error: Exception) -> str:
    """First words of a library's message, which may be a page long."""
    text = " ".join(str(error).split()) or type(error).__name__
    if "IncompleteRead" in text:
        return "the connection broke off before the end"
    if "NewConnectionError" in text or "Failed to establish" in text or "NameResolution" in text:
        return "no connection; check the network and SFAL_NEURONPEDIA_URL"
    return text if len(text) <= 200 else f"{text[:200]}…"
