"""A function applied to several items at once, in threads that never keep the process alive."""

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")
_JOIN_SECONDS = 2.0
"""Time that the threads together get to end; they may hang in a download."""


def in_parallel(
    items: Sequence[_T],
    work: Callable[[_T], _R],
    n_threads: int,
    cancelled: threading.Event,
) -> Generator[_R]:
    """Apply a function to items in several threads; yield results as they arrive.

    The standard executor waits for its threads when Python ends, so that a hanging
    server would delay Ctrl-C. These threads are daemons and do not. Close the
    generator if you stop early, as :func:`contextlib.closing` does.

    Parameters
    ----------
    items : sequence
        Items, which are taken in order; results may arrive in another order.
    work : callable
        Function of one item. It must return soon once `cancelled` is set.
    n_threads : int
        Largest number of threads.
    cancelled : Event
        Event that is set when an item fails or the caller stops iterating.

    Raises
    ------
    BaseException
        The first exception that `work` raised; the other threads are stopped.
    """
    todo: queue.SimpleQueue[_T] = queue.SimpleQueue()
    for item in items:
        todo.put(item)
    done: queue.SimpleQueue[tuple[_R | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        while not cancelled.is_set():
            try:
                item = todo.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((work(item), None))
            except BaseException as e:  # re-raised in the consumer
                done.put((None, e))
                return

    threads = [threading.Thread(target=run, daemon=True) for _ in range(min(n_threads, len(items)))]
    finished = False
    try:
        for thread in threads:  # inside the try, as Ctrl-C may arrive here
            thread.start()
        for _ in items:
            result, error = done.get()
            if error is not None:
                raise error
            yield result  # type: ignore[misc]
        finished = True
    finally:
        if not finished:
            cancelled.set()
            for thread in threads:
                if thread.is_alive():
                    thread.join(_JOIN_SECONDS / len(threads))
