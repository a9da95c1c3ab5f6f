"""Amounts in words for people."""

_SIZES = ("bytes", "kB", "MB", "GB", "TB")
_TIMES = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def size_text(n_bytes: float) -> str:
    """Return bytes in units of powers of 1,000, to two or three digits.

    Examples
    --------
    >>> [size_text(n) for n in (0, 812, 302_000_000, 5_230_000_000)]
    ['0 bytes', '812 bytes', '302 MB', '5.2 GB']
    """
    place = 0
    while round(n_bytes) >= 1000 and place < len(_SIZES) - 1:
        n_bytes /= 1000
        place += 1
    return f"{n_bytes:.{int(place > 0 and n_bytes < 9.95)}f} {_SIZES[place]}"


def time_text(seconds: float) -> str:
    """Return a duration in its two largest units.

    Examples
    --------
    >>> [time_text(s) for s in (0.2, 59, 200, 11_000, 200_000)]
    ['under a second', '59 s', '3 min 20 s', '3 h 3 min', '2 d 7 h']
    """
    rest = round(seconds)
    if rest == 0:
        return "under a second"
    found: list[tuple[int, str]] = []
    for size, name in _TIMES:
        count, rest = divmod(rest, size)
        if count or found:
            found.append((count, name))
    return " ".join(f"{count} {name}" for count, name in found[:2] if count)


def counted(n: int, noun: str) -> str:
    """Return a count with its noun, whose plural ends in s.

    Examples
    --------
    >>> [counted(n, "label") for n in (0, 1, 1904)]
    ['0 labels', '1 label', '1,904 labels']
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def about(n: float) -> str:
    """Return a count to three digits.

    Examples
    --------
    >>> [about(n) for n in (0, 87, 1_285_469)]
    ['0', '87', '1,290,000']
    """
    whole = round(n)
    return f"{round(whole, 3 - len(str(whole))) if whole >= 1000 else whole:,}"
