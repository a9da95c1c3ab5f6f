"""Progress bars, which appear only on a terminal, and after one second."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Bar(Protocol):
    """A display of progress."""

    def update(self, n: int) -> None:
        """Count `n` more units as done."""

    def note(self, **facts: object) -> None:
        """Show figures after the bar, such as ``batches=512``."""


class _Silent:
    def update(self, n: int) -> None:
        pass

    def note(self, **facts: object) -> None:
        pass


class _Tqdm:
    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def update(self, n: int) -> None:
        self._bar.update(n)

    def note(self, **facts: object) -> None:
        self._bar.set_postfix(facts, refresh=False)


@contextmanager
def progress(total: int | None, desc: str, unit: str) -> Iterator[Bar]:
    """Show a progress bar on standard error while the block runs.

    Parameters
    ----------
    total : int or None
        Units to be done; None if unknown.
    desc : str
        Name of the work.
    unit : str
        Name of one unit, in the singular.

    Yields
    ------
    Bar
        Bar that shows nothing if standard error is not a terminal.
    """
    if not sys.stderr.isatty():
        yield _Silent()
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=desc, unit=f" {unit}", delay=1, leave=False) as bar:
        yield _Tqdm(bar)
