"""Workers that are processes of this machine, one for each device in a list."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from typing import IO, Any

from sfal.collect.executors.protocol import Spec, Task
from sfal.collect.executors.wire import decoded, encoded, read_message, write_message
from sfal.collect.executors.worker import Start, Work
from sfal.collect.executors.workers import Died, Event, Worker

_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); "
    "from sfal.collect.executors.worker import main; main()"
)
_END_SECONDS = 2.0


class Processes:
    """A source of workers for :class:`sfal.collect.executors.pool.Pool`.

    Parameters
    ----------
    spec : Spec
        What each of them loads.
    devices : list of str
        One per worker.
    threads : int
        Threads of each.
    """

    wait_seconds: float | None = None
    """A device of this machine that is lost does not come back, so nobody waits for it."""

    def __init__(self, spec: Spec, devices: list[str], threads: int) -> None:
        self._starts = [encoded(Start(spec, device, threads)) for device in devices]
        several = len(set(devices)) < len(devices)
        self._names = [
            f"{device} (process {slot + 1})" if several else device
            for slot, device in enumerate(devices)
        ]

    @property
    def slots(self) -> int:
        """Number of workers that there can be at the same time."""
        return len(self._starts)

    def start(self, slot: int, events: "queue.SimpleQueue[Event]") -> Worker:
        """Start the worker of a device."""
        return _Process(self._names[slot], self._starts[slot], events)

    def lacking(self) -> str:
        """Return what keeps workers from being started."""
        return ""

    def close(self) -> None:
        """Release what the workers shared."""


class _Process(Worker):
    """A worker process; see :mod:`sfal.collect.executors.worker`."""

    def __init__(self, name: str, start: bytes, events: "queue.SimpleQueue[Event]") -> None:
        super().__init__(name)
        self._events = events
        self._said: deque[str] = deque(maxlen=20)
        # A worker inherits which signals are blocked. Ctrl-C reaches the whole group of processes,
        # and this one alone decides what it means.
        blocked = hasattr(signal, "pthread_sigmask")
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if blocked else None
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _CODE, json.dumps(sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        finally:
            if before is not None:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._listen = threading.Thread(target=self._receive, daemon=True)
        self._drain = threading.Thread(target=self._keep_last_words, daemon=True)
        self._drain.start()
        self._listen.start()
        self._write(start)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def send(self, number: int, task: Task[Any, Any]) -> None:
        """Give it a task. If it has died, an event says so."""
        self._write(encoded(Work(number, task)))

    def kill(self) -> None:
        """End it at once."""
        with suppress(OSError):
            self._process.kill()

    def wait(self) -> None:
        """Wait until it has ended, after :meth:`kill`."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        for thread in (self._listen, self._drain):
            thread.join(_END_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _write(self, data: bytes) -> None:
        with suppress(OSError):
            write_message(_pipe(self._process.stdin), data)

    def _receive(self) -> None:
        """Pass on what the worker says, and at last that it has died."""
        try:
            while True:
                message = decoded(read_message(_pipe(self._process.stdout)))
                self._events.put(Event(self, message))
        except (EOFError, OSError):
            pass
        except Exception as e:  # a message that cannot be read; nothing after it can
            self._said.append(f"{type(e).__name__}: {e}")
            self.kill()
        code = self._process.wait()
        self._drain.join(_END_SECONDS)
        self._events.put(Event(self, Died(self._cause(code))))

    def _keep_last_words(self) -> None:
        for line in _pipe(self._process.stderr):
            words = line.decode(errors="replace").strip()
            if words:
                self._said.append(words)

    def _cause(self, code: int) -> str:
        said = f": {self._said[-1][-300:]}" if self._said else ""
        if code >= 0:
            return f"it ended with exit code {code}{said}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        if -code == signal.SIGKILL:
            return f"{name}, as the system kills when memory runs out"
        return f"{name}{said}"


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # Popen was told to make it
    return pipe


def threads_of_each(device: str, workers: int) -> int:
    """Return the threads that each worker of this machine uses.

    PyTorch's sums on a CPU depend on the number of its threads (a product of 7
    rows differs between one thread and two), so a worker on the CPU uses as
    many as this process would, though several of them then share the cores.
    Workers on GPUs divide the cores, unless ``OMP_NUM_THREADS`` is set.

    Parameters
    ----------
    device : str
        Device or kind of device.
    workers : int
        Number of workers.
    """
    if device == "cpu":
        import torch

        return torch.get_num_threads()
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return (
        int(asked) if asked.isdecimal() and int(asked) else max((os.cpu_count() or 1) // workers, 1)
    )
