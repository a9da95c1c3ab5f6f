"""Workers as a pool sees them: a source starts them, and events say what happens to them."""

import queue
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

from sfal.collect.executors.protocol import Task
from sfal.collect.executors.wire import Crash, Found, Hello, Refusal


class Worker:
    """A worker as the pool sees it; what it says comes as events.

    Attributes
    ----------
    name : str
        Name, for messages.
    hello : Hello or None
        What it said of itself; None until it is ready.
    tasks : deque of int
        Numbers of its tasks; the first one is running.
    placed : bool
        Whether it runs, and is loading or ready; otherwise it waits for room.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.hello: Hello | None = None
        self.tasks: deque[int] = deque()
        self.placed = True

    @property
    def place(self) -> str:
        """Its name, and its machine once that is known."""
        return self.name if self.hello is None else f"{self.name} on {self.hello.host}"

    def send(self, number: int, task: Task[Any, Any]) -> None:
        """Give it a task. If it has died, an event says so."""
        raise NotImplementedError

    def kill(self) -> None:
        """End it at once."""
        raise NotImplementedError

    def wait(self) -> None:
        """Wait until it has ended, after :meth:`kill`."""


@dataclass(frozen=True)
class Died:
    """The last event of a worker."""

    cause: str
    """What killed it."""


@dataclass(frozen=True)
class Event:
    """What a worker says, or that it died."""

    worker: Worker
    """The worker."""
    message: Hello | Found | Refusal | Crash | Died
    """What happened."""


class Workers(Protocol):
    """A source of workers."""

    wait_seconds: float | None
    """How long to wait while there is no worker; None: only for those that are being started."""

    @property
    def slots(self) -> int:
        """Number of workers that there can be at the same time; it may change."""

    def start(self, slot: int, events: "queue.SimpleQueue[Event]") -> Worker:
        """Start a worker, without waiting for it."""

    def lacking(self) -> str:
        """Return what keeps workers from being started; empty if it is not known."""

    def close(self) -> None:
        """Release what the workers shared."""
