"""A worker process: it loads a session, and runs tasks until its pipe is closed.

It is started as ``python -c "from sfal.collect.executors.worker import main; main()"``.
multiprocessing's own processes would import the caller's script again, which
must then guard against starting workers itself; they would also share the
caller's standard output, and need a helper process of their own.

Tasks come through standard input, answers leave through standard output, and
what libraries print goes to standard error. The other end of both pipes is
known to the run's process alone, so when that ends, however it ends, a thread
reads the end of the pipe and ends the worker: no worker outlives its run.
"""

import os
import queue
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from sfal.collect.executors.protocol import Session, Spec, Task
from sfal.collect.executors.wire import (
    Crash,
    Found,
    Refusal,
    decoded,
    encoded,
    hello,
    limit_threads,
    read_message,
    write_message,
)
from sfal.errors import SfalError
from sfal.io.prefetch import prefetched


@dataclass(frozen=True)
class Start:
    """The first message to a worker."""

    spec: Spec
    """What to load."""
    device: str
    """Where to."""
    threads: int
    """Threads for its libraries."""


@dataclass(frozen=True)
class Work:
    """A task for a worker."""

    number: int
    """Number, which the answer repeats."""
    task: Task[Any, Any]
    """The task."""


def load(start: Start) -> Session:
    """Load the session that a worker is to have.

    Raises
    ------
    SfalError
        If that is impossible.
    """
    limit_threads(start.threads)  # before the libraries are imported, which read it
    return start.spec.load(start.device)


def answer(session: Session, number: int, task: Task[Any, Any], prepared: Any) -> Found | Refusal:
    """Run a task; an SfalError is an answer too.

    Parameters
    ----------
    session : Session
        The session.
    number : int
        The task's number.
    task : Task
        The task.
    prepared : Any
        What it prepared, or the SfalError that this raised.
    """
    if isinstance(prepared, SfalError):
        return Refusal(prepared, number)
    try:
        return Found(number, task.run(session, prepared))
    except SfalError as e:
        return Refusal(e, number)


def prepare(session: Session, task: Task[Any, Any]) -> Any:
    """Prepare a task; return the error if it cannot be prepared."""
    try:
        return task.prepare(session)
    except SfalError as e:
        return e


def main() -> None:
    """Serve the process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run's process says when to end
    tasks, answers = _pipes()
    received: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(tasks, received), daemon=True).start()
    try:
        try:
            session = load(decoded(received.get()))
        except SfalError as e:
            _send(answers, Refusal(e))
        else:
            _send(answers, hello(session.facts))
            for number, task, prepared in prefetched(_prepared(session, received)):
                _send(answers, answer(session, number, task, prepared))
    except BrokenPipeError:
        pass
    except BaseException as e:
        _send(answers, Crash(f"{type(e).__name__}: {e}"))
    # Without waiting for threads, and without the seconds that unloading libraries takes.
    os._exit(1)


def _pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Return the pipes for tasks and answers, and keep them from libraries that read or print."""
    tasks, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return os.fdopen(tasks, "rb"), os.fdopen(answers, "wb")


def _receive(tasks: IO[bytes], received: "queue.SimpleQueue[bytes]") -> None:
    try:
        while True:
            received.put(read_message(tasks))
    except (EOFError, OSError):
        os._exit(0)


def _prepared(
    session: Session, received: "queue.SimpleQueue[bytes]"
) -> Iterator[tuple[int, Task[Any, Any], Any]]:
    while True:
        work: Work = decoded(received.get())
        yield work.number, work.task, prepare(session, work.task)


def _send(answers: IO[bytes], message: Any) -> None:
    write_message(answers, encoded(message))
