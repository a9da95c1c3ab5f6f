"""What executors know of the work: a specification loads a session, which runs tasks."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from sfal.errors import Note

S = TypeVar("S", bound="Session")
S_contra = TypeVar("S_contra", bound="Session", contravariant=True)
F = TypeVar("F")
F_co = TypeVar("F_co", covariant=True)


class Facts(Protocol):
    """What a session says of what it loaded."""

    @property
    def device(self) -> str:
        """What it runs on; see :func:`sfal.io.devices.device_model`."""

    @property
    def identity(self) -> dict[str, Any]:
        """Fingerprints that all sessions of a run share."""


class Session(Protocol):
    """Loaded models."""

    @property
    def facts(self) -> Any:
        """What was loaded, as :class:`Facts`; it can be pickled."""


class Spec(Protocol):
    """What a session loads; it can be pickled."""

    def load(self, device: str) -> Session:
        """Load a session onto a device; an SfalError says why that is impossible."""


class Task(Protocol[S_contra, F_co]):
    """A piece of work that any session of a run can do; it can be pickled.

    ``str(task)`` names what it covers, such as ``documents 0 to 127``.
    """

    def prepare(self, session: S_contra) -> Any:
        """Prepare it, while the session may be running another task in another thread."""

    def run(self, session: S_contra, prepared: Any) -> F_co:
        """Return what was found, which can be pickled."""


T = TypeVar("T", bound=Task[Any, Any])


@dataclass(frozen=True)
class Answer(Generic[T]):
    """A task that was done."""

    task: T
    """The task."""
    found: Any
    """What was found."""
    device: str
    """The device that found it; see :func:`sfal.io.devices.device_model`."""


@dataclass
class Executor(Generic[S]):
    """Sessions of a run, in this process or in workers; a context that ends them.

    Attributes
    ----------
    facts : Any
        What a session loaded, the same for all but the device.
    notes : list of Note
        What the user should know about workers that were lost.
    """

    facts: Any
    notes: list[Note] = field(default_factory=list)

    @property
    def workers(self) -> int:
        """Number of sessions that run tasks at the same time."""
        return 1

    def map(self, tasks: Iterator[T], lookahead: int | None = None) -> Generator[Answer[T]]:
        """Yield the answers to tasks, in order; see :func:`map_buffers`."""
        raise NotImplementedError

    def close(self) -> None:
        """End all workers, whatever they are doing."""

    def __enter__(self) -> "Executor[S]":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def map_buffers(
    executor: Executor[Any], buffers: Iterable[T], lookahead: int | None = None
) -> Generator[Answer[T]]:
    """Let the sessions of a run work on buffers, and yield what they find, in the buffers' order.

    Parameters
    ----------
    executor : Executor
        From :func:`sfal.collect.executors.door.open_executor`.
    buffers : iterable of Task
        Buffers; a thread reads the iterable, one buffer ahead.
    lookahead : int, optional
        Buffers in flight at most: handed to a session, or found and not yielded
        yet. Default: two for each worker, so that one is at hand when another
        is done. A consumer that is slow therefore stops the workers, and fills
        no memory.

    Yields
    ------
    Answer
        One per buffer.

    Raises
    ------
    SfalError
        If reading a buffer or working on it raised one, after the answers to
        all buffers before it.
    WorkerError
        If the workers that had a buffer died three times, or no worker is left.
    """
    with closing(executor.map(iter(buffers), lookahead)) as answers:
        yield from answers
