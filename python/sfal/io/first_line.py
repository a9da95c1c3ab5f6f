"""The first line of another library's error."""

_MAX_LENGTH = 200


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its class name if it has no message."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:_MAX_LENGTH]
