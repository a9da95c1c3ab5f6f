"""Progress bars: on a terminal, after a second; nowhere else."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Bar(Protocol):
    """What a stage may tell about how far it is."""

    def update(self, n: int) -> None:
        """Count `n` more units as done."""

    def note(self, **facts: object) -> None:
        """Show figures behind the bar, such as ``windows=512``."""


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
        Units to be done, None if unknown.
    desc : str
        What is being done.
    unit : str
        One unit, singular.

    Yields
    ------
    Bar
        Silent when standard error is no terminal.
    """
    if not sys.stderr.isatty():
        yield _Silent()
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=desc, unit=f" {unit}", delay=1, leave=False) as bar:
        yield _Tqdm(bar)
