"""The next item of an iterator, made in a thread while the one before it is used."""

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

_T = TypeVar("_T")
_FAREWELL_SECONDS = 2.0


def ahead(items: Iterator[_T]) -> Generator[_T]:
    """Items of an iterator, in order, at any time at most one more than has been asked for.

    Close the result when you stop early, as :func:`contextlib.closing` does: then
    the thread ends with the item it is at. It never keeps the process alive.

    Parameters
    ----------
    items : iterator
        Used by the thread alone.

    Raises
    ------
    BaseException
        What making an item raised, when that item is asked for.
    """
    wanted = threading.Semaphore(1)
    cancelled = threading.Event()
    made: queue.SimpleQueue[tuple[_T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        while True:
            wanted.acquire()
            if cancelled.is_set():
                return
            try:
                made.put((next(items), None))
            except BaseException as e:  # the end, or an error: both for who waits
                made.put((None, e))
                return

    thread = threading.Thread(target=run, name="ahead", daemon=True)
    try:
        thread.start()  # Ctrl-C may come here already
        while True:
            item, error = made.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            wanted.release()
            yield item  # type: ignore[misc]
    finally:
        cancelled.set()
        wanted.release()
        if thread.is_alive():
            thread.join(_FAREWELL_SECONDS)
