"""Prefetched items: the same ones in the same order, at most one ahead of the consumer."""

import threading
import time
from contextlib import closing

import pytest

from sfal.io.prefetch import prefetched


def recorded(n, made):
    for i in range(n):
        made.append((i, threading.current_thread()))
        yield i


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("n", [0, 1, 2, 50])
def test_all_items_arrive_in_order_and_are_made_in_one_other_thread(n):
    made = []
    assert list(prefetched(recorded(n, made))) == list(range(n))
    assert len({thread for _, thread in made} | {threading.current_thread()}) == min(n, 1) + 1


def test_one_item_is_made_while_another_is_used_but_no_more():
    made = []
    with closing(prefetched(recorded(5, made))) as items:
        for wanted in range(3):
            assert next(items) == wanted
            wait_until(lambda wanted=wanted: len(made) == wanted + 2)
            time.sleep(0.02)
            assert len(made) == wanted + 2


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, MemoryError])
def test_an_error_is_raised_when_its_item_is_requested(kind):
    def failing():
        yield 0
        yield 1
        raise kind("two")

    items = prefetched(failing())
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(kind, match="two"):
        next(items)
    assert list(items) == []


def test_closing_ends_the_thread():
    made = []
    with closing(prefetched(recorded(100, made))) as items:
        next(items)
    thread = made[0][1]
    thread.join(10)
    assert not thread.is_alive()
    assert len(made) <= 2


def test_an_item_that_never_arrives_does_not_delay_closing(monkeypatch):
    monkeypatch.setattr("sfal.io.prefetch._JOIN_SECONDS", 0.01)
    waiting, release = threading.Event(), threading.Event()

    def hanging():
        yield 0
        waiting.set()
        release.wait()
        yield 1

    with closing(prefetched(hanging())) as items:
        assert next(items) == 0
        assert waiting.wait(10)
    [thread] = [one for one in threading.enumerate() if one.name == "prefetch"]
    assert thread.daemon
    release.set()
    thread.join(10)
    assert not thread.is_alive()
