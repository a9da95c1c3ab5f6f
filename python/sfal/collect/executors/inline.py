"""Tasks in this process: one is prepared in a thread while another one runs."""

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

from sfal.collect.executors.protocol import Answer, Executor, Session, T
from sfal.io.prefetch import prefetched


class Inline(Executor[Any]):
    """One session in this process.

    Parameters
    ----------
    session : Session
        It serves all tasks.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session.facts)
        self.session = session

    def map(self, tasks: Iterator[T], lookahead: int | None = None) -> Generator[Answer[T]]:
        """Yield the answers to tasks, in order; one task is read and prepared ahead."""
        prepared = ((task, task.prepare(self.session)) for task in tasks)
        with closing(prefetched(prepared)) as items:
            for task, ready in items:
                yield Answer(task, task.run(self.session, ready), self.facts.device)
