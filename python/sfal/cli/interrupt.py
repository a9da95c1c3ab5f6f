"""Ctrl-C: a command ends within seconds, whatever it is in, and says how to go on."""

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import IO, Any, Self

import click

from sfal.io.atomic import remove_unfinished

EXIT_CODE = 130
"""Of a command that was interrupted, as shells have it."""

_PATIENCE = 2.0
"""Seconds for tidying up."""
_GOES_ON = "The same command, started again, goes on where it stopped."


class Interrupted(click.ClickException):
    """A command was interrupted; the message says where it stopped and how to go on."""

    exit_code = EXIT_CODE

    def __init__(self, message: str = "") -> None:
        super().__init__(message or _GOES_ON)

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message."""
        click.echo(f"Interrupted. {self.format_message()}", file=file, err=True)


@contextmanager
def stopped(where: str) -> Iterator[None]:
    """Let an interruption of the block say where it stopped, unless it says so itself."""
    try:
        yield
    except KeyboardInterrupt as e:
        raise KeyboardInterrupt(str(e) or f"Stopped {where}. {_GOES_ON}") from None


class CtrlC:
    """While its block runs, Ctrl-C interrupts once, and ends the process if that does not.

    Threads that libraries start, and imports that take an interruption for a
    failure, would keep a process that has been told to stop. What lies on disk
    is whole at any instant, so nothing is lost by ending it.
    """

    def __init__(self) -> None:
        self.pressed = False
        """Whether Ctrl-C has been pressed."""
        self._before: Any = None
        self._hook = sys.unraisablehook

    def __enter__(self) -> Self:
        """Take the signal over, unless somebody else has it."""
        mine = threading.current_thread() is threading.main_thread()
        if mine and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._interrupt)
            self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
        return self

    def __exit__(self, *exception: object) -> None:
        """Give the signal back, unless the process is about to end by it."""
        if self._before is not None and not self.pressed:
            signal.signal(signal.SIGINT, self._before)
            sys.unraisablehook = self._hook

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        # A second one would break off the tidying up.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.pressed = True
        # Not by `threading`, whose locks the main thread may hold at this instant.
        _thread.start_new_thread(_end, ())
        raise KeyboardInterrupt

    def _unraisable(self, swallowed: Any) -> None:
        # An interruption that a destructor swallowed is no news; the end comes all the same.
        if swallowed.exc_type is not KeyboardInterrupt:
            self._hook(swallowed)


def _end() -> None:
    time.sleep(_PATIENCE)
    remove_unfinished()
    os.write(2, f"Interrupted. {_GOES_ON}\n".encode())
    os._exit(EXIT_CODE)
