"""Tasks on workers that may die: answers in order, at most so many in flight.

A worker that dies costs its tasks nothing but time: they go to another one,
and a new worker is started meanwhile. Since only the process that runs this
writes, and only what is yielded, no answer can be lost or counted twice.
"""

import logging
import queue
import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from sfal.collect.executors.protocol import Answer, Executor, T
from sfal.collect.executors.wire import Crash, Found, Hello, Refusal, own_versions
from sfal.collect.executors.workers import Died, Event, Worker, Workers
from sfal.errors import ArtifactError, Note, SfalError, WorkerError
from sfal.io.prefetch import prefetched

TRIES = 3
"""Workers that a task may cost, and failures to start in a row that a place for a worker may have."""
EACH = 2
"""Tasks that a worker has at the same time: one runs, the next one is at hand."""
_LOOK_SECONDS = 1.0
"""How often it is asked whether there is room for more workers."""
_PATIENCE_SECONDS = 15.0
"""Time without a worker after which the user is told what is being waited for."""

_log = logging.getLogger(__name__)


@dataclass
class _Job:
    """A task in flight."""

    number: int
    task: Any
    causes: list[str] = field(default_factory=list)
    """What killed the workers that were running it."""
    answer: Found | Refusal | None = None
    device: str = ""


class Pool(Executor[Any]):
    """Sessions in workers. It is ready when one worker is; the others join later.

    Parameters
    ----------
    source : Workers
        Where workers come from.

    Raises
    ------
    SfalError
        If the first worker cannot load its session.
    WorkerError
        If no worker can be started.
    """

    def __init__(self, source: Workers) -> None:
        self.notes: list[Note] = []
        self._source = source
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._by_slot: dict[int, Worker] = {}
        self._failures: dict[int, list[str]] = {}
        """By slot: what kept its last workers from being ready."""
        self._worked: set[int] = set()
        """Slots that had a worker that was ready."""
        self._first: Hello | None = None
        self._refusal: SfalError | None = None
        self._alone_since = self._looked_at = time.monotonic()
        self._told = False
        self._numbers = 0
        self._jobs: dict[int, _Job] = {}
        self._waiting: deque[_Job] = deque()
        """Jobs that are with no worker."""
        try:
            self._start_missing()
            super().__init__(self._first_hello().facts, self.notes)
        except BaseException:
            self.close()
            raise

    @property
    def workers(self) -> int:
        """Number of workers that there can be at the same time."""
        return max(self._source.slots, 1)

    def map(self, tasks: Iterator[T], lookahead: int | None = None) -> Generator[Answer[T]]:
        """Yield the answers to tasks, in order."""
        # Numbers are not used again, so that answers to an earlier call are recognised as such.
        read = yielded = self._numbers
        self._jobs.clear()
        self._waiting.clear()
        ended: BaseException | None = None
        with closing(prefetched(tasks)) as source:
            while True:
                limit = lookahead or EACH * self.workers
                if ended is None and read - yielded < limit:
                    try:
                        job = _Job(read, next(source))
                    except (StopIteration, SfalError) as e:
                        ended = e  # to be raised after the answers to all tasks before it
                    else:
                        self._jobs[read] = job
                        self._waiting.append(job)
                        self._numbers = read = read + 1
                        self._hand_out()
                while not self._events.empty():
                    self._handle_next()
                if yielded == read and ended is not None:
                    if isinstance(ended, SfalError):
                        raise ended
                    return
                answer = self._jobs[yielded].answer if yielded < read else None
                if answer is None and (ended is not None or read - yielded >= limit):
                    self._handle_next()
                elif answer is not None:
                    job = self._jobs.pop(yielded)
                    yielded += 1
                    if isinstance(answer, Refusal):
                        raise answer.error
                    yield Answer(job.task, answer.value, job.device)

    def close(self) -> None:
        """End all workers, whatever they are doing."""
        workers = list(self._by_slot.values())
        self._by_slot.clear()
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.wait()
        self._source.close()

    def _first_hello(self) -> Hello:
        while True:
            self._handle_next()
            if self._first is not None:
                return self._first

    def _start_missing(self) -> None:
        """Start a worker wherever there is none."""
        self._looked_at = time.monotonic()
        for slot in range(self._source.slots):
            if slot not in self._by_slot and len(self._failures.get(slot, ())) < TRIES:
                self._by_slot[slot] = self._source.start(slot, self._events)

    def _hand_out(self) -> None:
        """Give jobs to the workers that have least to do."""
        ready = [worker for worker in self._by_slot.values() if worker.hello is not None]
        while self._waiting and ready:
            worker = min(ready, key=self._load)
            # A job that has killed a worker runs alone, so that no other one is blamed for it.
            if self._load(worker) >= (1 if self._waiting[0].causes else EACH):
                return
            job = self._waiting.popleft()
            worker.tasks.append(job.number)
            worker.send(job.number, job.task)

    def _load(self, worker: Worker) -> int:
        jobs = [self._jobs[number] for number in worker.tasks if number in self._jobs]
        return EACH if any(job.causes for job in jobs) else len(worker.tasks)

    def _handle_next(self) -> None:
        """Wait for an event, and handle it."""
        try:
            event = self._events.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            self._start_missing()
            self._give_up_if_alone()
            return
        worker, message = event.worker, event.message
        if worker not in self._by_slot.values():
            return  # it was replaced already
        if isinstance(message, Hello):
            self._welcome(worker, message)
        elif isinstance(message, Died):
            self._bury(worker, message.cause)
        elif isinstance(message, Crash):
            worker.kill()
            self._bury(worker, message.text)
        elif isinstance(message, Refusal) and message.number is None:
            self._refused(worker, message.error)
        else:
            self._take(worker, message)
        if time.monotonic() - self._looked_at >= _LOOK_SECONDS:
            self._start_missing()

    def _welcome(self, worker: Worker, said: Hello) -> None:
        """Accept a worker that is ready, if it computes what the others do."""
        expected = own_versions() if self._first is None else self._first.versions
        _require_same(worker, said, expected, said.versions, "this process")
        if self._first is None:
            self._first = said
        else:
            first = f"the first worker, on {self._first.host}"
            _require_same(worker, said, self._first.facts.identity, said.facts.identity, first)
        worker.hello = said
        slot = self._slot(worker)
        if self._source.wait_seconds is None:
            self._failures.pop(slot, None)
        else:  # there, slots are no places
            self._failures.clear()
        self._worked.add(slot)
        self._hand_out()

    def _refused(self, worker: Worker, error: SfalError) -> None:
        """Give up a device on which the session cannot be loaded, unless that worked before."""
        if self._first is None and self._source.wait_seconds is not None:
            raise error  # others may still wait for room, for long
        self._refusal = self._refusal or error
        if self._slot(worker) not in self._worked:
            self._failures[self._slot(worker)] = [str(error)] * TRIES
        worker.kill()
        self._bury(worker, str(error))

    def _take(self, worker: Worker, answer: Found | Refusal) -> None:
        number = answer.number
        if number is None or number not in worker.tasks or worker.hello is None:
            return
        worker.tasks.remove(number)
        if number in self._jobs:
            job = self._jobs[number]
            job.answer, job.device = answer, worker.hello.facts.device
        self._hand_out()

    def _bury(self, worker: Worker, cause: str) -> None:
        """Give a dead worker's tasks to others, and start a replacement."""
        slot = self._slot(worker)
        del self._by_slot[slot]
        worker.wait()
        jobs = [self._jobs[number] for number in worker.tasks if number in self._jobs]
        if worker.hello is None:
            self._failures.setdefault(slot, []).append(cause)
        elif jobs:
            jobs[0].causes.append(f"{worker.place}: {cause}")
            if len(jobs[0].causes) >= TRIES:
                raise WorkerError(
                    f"{TRIES} workers died of {jobs[0].task} ({'; '.join(jobs[0].causes)}); what "
                    "was done before is kept",
                    hint="look at what is special about them and at the memory of the workers, "
                    "then $do_again continues from there",
                )
        self._waiting = deque(sorted([*self._waiting, *jobs], key=lambda job: job.number))
        if len(self._failures.get(slot, ())) >= TRIES:
            self.notes.append(
                Note(
                    f"the worker on {worker.name} could not be started "
                    f"({self._failures[slot][-1]}), so the others went on without it"
                )
            )
        if worker.placed and not self._has_placed():
            self._alone_since = time.monotonic()
        self._start_missing()
        self._hand_out()
        self._give_up_if_alone()

    def _has_placed(self) -> bool:
        return any(worker.placed for worker in self._by_slot.values())

    def _slot(self, worker: Worker) -> int:
        return next(slot for slot, one in self._by_slot.items() if one is worker)

    def _give_up_if_alone(self) -> None:
        """Raise if the run has lost all its workers and cannot start another."""
        if self._has_placed():
            return
        waited = time.monotonic() - self._alone_since
        limit = self._source.wait_seconds
        if limit is not None and waited >= _PATIENCE_SECONDS and not self._told:
            self._told = True
            _log.warning(
                "no room for a worker yet, waiting for %.0f s in all: %s",
                limit,
                self._source.lacking() or "others use the cluster",
            )
        if self._by_slot and (limit is None or waited < limit):
            return
        if not self._by_slot and limit is not None and waited < limit and not self._failures:
            return
        if self._first is None and self._refusal is not None:
            raise self._refusal
        causes = [failures[-1] for failures in self._failures.values() if failures]
        why = "; ".join(filter(None, [self._source.lacking(), *dict.fromkeys(causes)]))
        what = "no worker could be started" if self._first is None else "no worker is left"
        waiting = "" if limit is None or waited < limit else f" for {round(waited)} s"
        raise WorkerError(
            f"{what}{waiting}{f' ({why})' if why else ''}",
            hint="" if self._first is None else "$do_again continues where it stopped",
        )


def _require_same(
    worker: Worker, said: Hello, expected: dict[str, Any], found: dict[str, Any], whose: str
) -> None:
    """Refuse a worker that would compute something else.

    Raises
    ------
    ArtifactError
        It names the worker and what differs.
    """
    differing = [
        name for name in sorted({*expected, *found}) if expected.get(name) != found.get(name)
    ]
    if differing:
        told = ", ".join(
            f"{name} {_short(found.get(name))}, not {_short(expected.get(name))}"
            for name in differing
        )
        raise ArtifactError(
            f"the worker on {said.host} ({worker.name}) differs from {whose}: {told}",
            hint="install the same versions and models everywhere",
        )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
