"""Work in several threads: either all of it is done, or all threads end."""

import threading
from contextlib import closing

import pytest

from sfal.io.parallel import in_parallel


class Waiting:
    """Work that lasts until it is cancelled."""

    def __init__(self):
        self.cancelled = threading.Event()
        self.began = threading.Event()
        self.threads = []

    def __call__(self):
        self.threads.append(threading.current_thread())
        self.began.set()
        assert self.cancelled.wait(30)

    def ended(self):
        return self.cancelled.is_set() and not any(thread.is_alive() for thread in self.threads)


@pytest.mark.parametrize("n_threads", [1, 3, 50])
def test_each_item_is_worked_on_once(n_threads):
    cancelled = threading.Event()
    results = list(in_parallel(range(20), lambda n: n * n, n_threads, cancelled))
    assert sorted(results) == [n * n for n in range(20)]
    assert not cancelled.is_set()


def test_the_first_error_ends_the_other_threads():
    waiting = Waiting()

    def work(n):
        if n == 2:
            raise ValueError("two")
        waiting()

    with pytest.raises(ValueError, match="two"):
        list(in_parallel(range(3), work, 3, waiting.cancelled))
    assert waiting.ended()


def test_closing_ends_the_threads():
    waiting = Waiting()

    def work(n):
        if n:
            waiting()
        return n

    with closing(in_parallel(range(3), work, 3, waiting.cancelled)) as results:
        assert next(results) == 0
    assert waiting.ended()


def test_ctrl_c_while_threads_start_ends_those_that_run(monkeypatch):
    waiting = Waiting()
    start = threading.Thread.start

    def interrupted(thread):
        if waiting.began.is_set():
            raise KeyboardInterrupt
        start(thread)
        assert waiting.began.wait(30)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(in_parallel(range(3), lambda _: waiting(), 3, waiting.cancelled))
    assert len(waiting.threads) == 1
    assert waiting.ended()
