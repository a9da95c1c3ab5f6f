"""Workers that are actors of a Ray cluster, one for each GPU that the cluster has.

Ray places them, and says when one has died. Everything else is ours: by
default Ray retries indefinitely what ran out of memory, sets the threads of a
worker to one, and waits without an end for a cluster that does not answer.
"""

import logging
import os
import queue
import re
import socket
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfal.collect.executors.pool import EACH
from sfal.collect.executors.processes import threads_of_each
from sfal.collect.executors.protocol import Session, Spec, Task
from sfal.collect.executors.wire import Crash, Refusal, decoded, encoded, hello
from sfal.collect.executors.worker import Start, answer, load, prepare
from sfal.collect.executors.workers import Died, Event, Worker
from sfal.errors import InvalidInputError, MissingDependencyError, SfalError

if TYPE_CHECKING:
    from concurrent.futures import Future

_PROBE_SECONDS = 5.0
_LOOK_SECONDS = 2.0
"""How long the size of the cluster is taken to be what it was."""
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Under `uv run`, Ray would copy the working directory to every node.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Without it, Ray announces a future change of what it does with no GPU.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""How a client of gRPC begins: the preface of HTTP/2, and a frame of no settings."""
_CAUSE = re.compile(r"The actor is dead because [^.]*|[^.]*(?:out of memory|OOM)[^.]*", re.I)


class RayActors:
    """A source of workers for :class:`sfal.collect.executors.pool.Pool`.

    Parameters
    ----------
    spec : Spec
        What each of them loads.
    address : str
        As :func:`sfal.collect.executors.placement.parse_address` takes it.
    device : str
        ``cuda``: an actor per GPU; ``cpu``: as many as the threads of each allow.
    wait_seconds : float
        How long to wait while the cluster has no worker.

    Raises
    ------
    MissingDependencyError
        If Ray is not installed.
    InvalidInputError
        If no cluster answers at the address.
    """

    def __init__(self, spec: Spec, address: str, device: str, wait_seconds: float) -> None:
        self.wait_seconds: float | None = wait_seconds
        self._ray = _import_ray()
        self._cpus = threads_of_each("cpu", 1) if device == "cpu" else 0
        self._start = encoded(Start(spec, device, self._cpus))
        self._size, self._looked_at = 0, float("-inf")
        self._started = 0
        self._owner = _connect(self._ray, address)
        self._actors = self._ray.remote(Actor).options(
            num_cpus=self._cpus,
            num_gpus=0 if self._cpus else 1,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=EACH,
            scheduling_strategy="SPREAD",
        )

    @property
    def slots(self) -> int:
        """Number of workers that the cluster has room for; at least one, so that it may grow."""
        if time.monotonic() - self._looked_at >= _LOOK_SECONDS:
            with suppress(Exception):  # the cluster may be busy with the loss of a node
                nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
                room = (
                    int(node.get("CPU", 0)) // self._cpus if self._cpus else int(node.get("GPU", 0))
                    for node in nodes
                )
                self._size = sum(room)
            self._looked_at = time.monotonic()
        return max(self._size, 1)

    def start(self, slot: int, events: "queue.SimpleQueue[Event]") -> Worker:
        """Ask Ray for an actor."""
        self._started += 1
        actor = self._actors.remote(self._start)
        return _ActorWorker(f"Ray worker {self._started}", self._ray, actor, events)

    def lacking(self) -> str:
        """Return what keeps workers from being started."""
        if self._size:
            return ""
        if self._cpus:
            return f"no node of the Ray cluster has the {self._cpus} CPUs that a worker needs"
        return "the Ray cluster has no GPU"

    def close(self) -> None:
        """Leave the cluster, or end it if it was started for this."""
        if self._owner:
            self._owner = False
            self._ray.shutdown()


class Actor:
    """A worker inside Ray. Two calls may run at a time: one prepares its task while one runs.

    Messages are bytes that were pickled here, since arrays that Ray returns
    are views of memory that it shares, and would pin it.
    """

    def __init__(self, start: bytes) -> None:
        self._start = start
        self._session: Session | None = None
        self._running = threading.Lock()

    def load(self) -> bytes:
        """Load the session; return what this worker says of itself."""
        try:
            os.environ["TOKENIZERS_PARALLELISM"] = "true"
            start: Start = decoded(self._start)
            self._session = load(start if start.threads else _with_threads(start))
            return encoded(hello(self._session.facts))
        except SfalError as e:
            e.message += f" (on {socket.gethostname()})"
            return encoded(Refusal(e))
        except Exception as e:
            return encoded(Crash(f"{type(e).__name__}: {e}"))

    def run(self, number: int, task: bytes) -> bytes:
        """Run a task."""
        session = self._session
        assert session is not None
        try:
            work: Task[Any, Any] = decoded(task)
            prepared = prepare(session, work)
            with self._running:
                return encoded(answer(session, number, work, prepared))
        except Exception as e:
            return encoded(Crash(f"{type(e).__name__}: {e}"))


def _with_threads(start: Start) -> Start:
    """Divide the cores of this node by its GPUs."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    gpus = [int(one["Resources"].get("GPU", 1)) for one in ray.nodes() if one["NodeID"] == node]
    return Start(start.spec, start.device, threads_of_each(start.device, max([1, *gpus])))


class _ActorWorker(Worker):
    """An actor as the pool sees it."""

    def __init__(self, name: str, ray: Any, actor: Any, events: "queue.SimpleQueue[Event]") -> None:
        super().__init__(name)
        self._ray = ray
        self._actor = actor
        self._events = events
        self.placed = False
        actor.__ray_ready__.remote().future().add_done_callback(self._is_placed)
        self._follow(actor.load.remote())

    def send(self, number: int, task: Task[Any, Any]) -> None:
        """Give it a task. If it has died, an event says so."""
        self._follow(self._actor.run.remote(number, encoded(task)))

    def kill(self) -> None:
        """End it at once."""
        with suppress(Exception):
            self._ray.kill(self._actor, no_restart=True)

    def _is_placed(self, future: "Future[Any]") -> None:
        self.placed = future.exception() is None

    def _follow(self, reference: Any) -> None:
        def done(future: "Future[bytes]") -> None:
            try:
                message = decoded(future.result())
            except Exception as e:
                message = Died(_cause(e))
            self._events.put(Event(self, message))

        reference.future().add_done_callback(done)


def _cause(error: Exception) -> str:
    """Return the part of Ray's many lines that says what happened."""
    text = " ".join(str(error).split())
    found = _CAUSE.search(text)
    return (found[0].strip() if found else text)[:300]


def _import_ray() -> Any:
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as e:
        raise MissingDependencyError(
            "Ray is not installed", hint="`pip install '.[ray]'` in SFAL's clone installs it"
        ) from e
    return ray


def _connect(ray: Any, address: str) -> bool:
    """Connect to a cluster; return whether this call did, rather than an earlier one.

    Raises
    ------
    InvalidInputError
        If no cluster answers.
    """
    if ray.is_initialized():
        return False
    found = _found(address)
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if found is None:
            ray.init(address="local", include_dashboard=False, **quiet)
        else:
            ray.init(address=found, **quiet)
    except Exception as e:  # such as another version of Python or Ray
        where = found or "this machine"
        raise InvalidInputError(
            f"Ray cannot be used at {where}: {' '.join(str(e).split())[:300]}"
        ) from e
    return True


def _found(address: str) -> str | None:
    """Return the address of a cluster that answers; None if one is to be started here.

    Raises
    ------
    InvalidInputError
        If one is named and does not answer.
    """
    if address == "local":
        return None
    named = address if address != "auto" else os.environ.get("RAY_ADDRESS", "")
    if named not in ("", "auto", "local"):
        if not _answers(named):
            raise InvalidInputError(
                f"no Ray cluster answers at {named}",
                hint="look whether it runs; Ray prints its address when the head is started, for "
                "$ray(HOST:PORT)",
            )
        return named
    current = (
        Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) / "ray/ray_current_cluster"
    )
    with suppress(OSError):
        last = current.read_text().strip()
        if _answers(last):
            return last
    return None


def _answers(address: str) -> bool:
    """Return whether a server of gRPC answers; `ray.init` would wait for one without an end."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _PROBE_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
                return True
            connection.settimeout(_PROBE_SECONDS)
            connection.sendall(_HTTP2)
            frame = b""
            while len(frame) < 9 and (more := connection.recv(9 - len(frame))):
                frame += more
            return len(frame) == 9 and frame[3] == 4
    except (OSError, ValueError, OverflowError):
        return False
