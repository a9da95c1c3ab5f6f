"""Prefetching: the next item of an iterator is made in a thread while the last one is used.

In :mod:`sfal.io.parallel` the items are known and each is worked on in any thread;
here they come from one iterator, which only one thread may advance, in order.
"""

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

_T = TypeVar("_T")
_JOIN_SECONDS = 2.0


def prefetched(items: Iterator[_T]) -> Generator[_T]:
    """Yield the items of an iterator, in order, making at most one ahead of the consumer.

    Close the generator if you stop early, as :func:`contextlib.closing` does: the
    thread then ends after its current item. It never keeps the process alive.

    Parameters
    ----------
    items : iterator
        Iterator that only the thread advances.

    Raises
    ------
    BaseException
        The exception that making an item raised, when that item is requested.
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
            except BaseException as e:  # StopIteration or an error, re-raised in the consumer
                made.put((None, e))
                return

    thread = threading.Thread(target=run, name="prefetch", daemon=True)
    try:
        thread.start()  # inside the try, as Ctrl-C may arrive here
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
            thread.join(_JOIN_SECONDS)
