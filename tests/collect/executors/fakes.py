"""Work that a worker process does without any library: what it does is told by the task."""

import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from sfal.errors import CombinedError, InvalidInputError

DEVICE = "a device"


@dataclass
class Facts:
    device: str = DEVICE
    identity: dict = field(default_factory=lambda: {"model": "m"})


class Session:
    def __init__(self, facts):
        self.facts = facts


@dataclass(frozen=True)
class Spec:
    """Loads at once; or fails, dies or differs on the devices named."""

    folder: Path
    refused: tuple = ()
    deadly: tuple = ()
    other: tuple = ()

    def load(self, device):
        number = len(list(self.folder.glob("loaded-*")))
        (self.folder / f"loaded-{os.getpid()}").touch()
        if device in self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if device in self.refused:
            raise InvalidInputError(f"{device} is refused", hint="use $device(cpu)")
        return Session(Facts(identity={"model": "other" if number and self.other else "m"}))


@dataclass(frozen=True)
class Square:
    n: int
    seconds: float = 0.0
    payload: bytes = b""

    def __str__(self):
        return f"number {self.n}"

    def prepare(self, session):
        return self.n

    def run(self, session, prepared):
        time.sleep(self.seconds)
        return prepared**2


@dataclass(frozen=True)
class Deadly(Square):
    """Kills its worker, unless it has done so often enough."""

    folder: Path = Path()
    times: int = 1000

    def run(self, session, prepared):
        if len(list(self.folder.glob("died-*"))) < self.times:
            (self.folder / f"died-{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().run(session, prepared)


@dataclass(frozen=True)
class Refused(Square):
    def run(self, session, prepared):
        raise CombinedError([InvalidInputError("not finite", hint="use $dtype(float32)")])


@dataclass(frozen=True)
class Unprepared(Square):
    def prepare(self, session):
        raise InvalidInputError("cannot be tokenised")


@dataclass(frozen=True)
class Broken(Square):
    def run(self, session, prepared):
        raise ZeroDivisionError("a bug")


@dataclass(frozen=True)
class Printing(Square):
    """Writes to standard output as libraries do, straight to the descriptor too."""

    def run(self, session, prepared):
        sys.stdout.write("a library says something\n")
        sys.stdout.flush()
        os.write(1, b"and another one")
        return super().run(session, prepared)
