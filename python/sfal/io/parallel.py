"""A few downloads at a time, in threads that never keep the process alive."""

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")
_FAREWELL_SECONDS = 2.0


def in_parallel(
    items: Sequence[_T],
    work: Callable[[_T], _R],
    n_threads: int,
    cancelled: threading.Event,
) -> Generator[_R]:
    """Apply a function to items in several threads; yield results as they come.

    The standard executor waits for its threads when Python ends, so a hanging
    server would keep Ctrl-C waiting. These threads do not. Close the result when
    you stop early, as :func:`contextlib.closing` does.

    Parameters
    ----------
    items : sequence
        Taken in order.
    work : callable
        Must return soon once `cancelled` is set.
    n_threads : int
        Threads at most.
    cancelled : Event
        Set when one of the items fails or the caller stops iterating.

    Raises
    ------
    BaseException
        The first that `work` raised; the rest is stopped.
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
            except BaseException as e:  # handed to the waiting thread
                done.put((None, e))
                return

    threads = [threading.Thread(target=run, daemon=True) for _ in range(min(n_threads, len(items)))]
    finished = False
    try:
        for thread in threads:  # Ctrl-C may come here already
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
                    thread.join(_FAREWELL_SECONDS / len(threads))
