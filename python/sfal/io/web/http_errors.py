"""What an HTTP response or a failed request means: final, or worth another attempt."""

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from sfal.errors import DownloadError

if TYPE_CHECKING:
    import requests

_TEMPORARY_STATUS = frozenset({408, 425, 429})


class NotFoundError(DownloadError):
    """The server has no such object (HTTP 404)."""


class UnreachableError(DownloadError):
    """No attempt at a body succeeded; further requests would probably fail as well."""


class CancelledError(DownloadError):
    """A download was stopped because another one failed or the user pressed Ctrl-C."""


class TemporaryError(Exception):
    """An attempt failed for a reason that may pass."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


def check_status(response: "requests.Response", url: str) -> None:
    """Raise an error unless the response is the requested body (HTTP 200).

    Raises
    ------
    TemporaryError
        If the server asks for a later attempt, or fails.
    NotFoundError, DownloadError
        If its response is final.
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
    """Return the seconds that a ``Retry-After`` header asks for; 0 if it is missing or unreadable."""
    if value is None:
        return 0.0
    if value.strip().isdecimal():
        return float(value.strip()[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def short_reason(error: Exception) -> str:
    """Return the beginning of a library's message, which may be a page long."""
    text = " ".join(str(error).split()) or type(error).__name__
    if "IncompleteRead" in text:
        return "the connection broke off before the end"
    if "NewConnectionError" in text or "Failed to establish" in text or "NameResolution" in text:
        return "no connection"
    return text if len(text) <= 200 else f"{text[:200]}…"
