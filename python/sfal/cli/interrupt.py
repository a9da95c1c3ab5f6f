"""Ctrl-C: a command ends within seconds, whatever it is doing, and says how to continue."""

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
"""Exit code of an interrupted command, by the convention of shells."""

_CLEAN_UP_SECONDS = 2.0
"""Seconds allowed for clean-up."""
_CONTINUE = "Run the same command again to continue where it stopped."


class Interrupted(click.ClickException):
    """A command was interrupted; the message says where it stopped and how to continue."""

    exit_code = EXIT_CODE

    def __init__(self, message: str = "") -> None:
        super().__init__(message or _CONTINUE)

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message."""
        click.echo(f"Interrupted. {self.format_message()}", file=file, err=True)


@contextmanager
def stopped(where: str) -> Iterator[None]:
    """Make an interruption of the block say where it stopped, unless it already does."""
    try:
        yield
    except KeyboardInterrupt as e:
        raise KeyboardInterrupt(*(e.args or [f"Stopped {where}. {_CONTINUE}"])) from None


class CtrlC:
    """A context in which Ctrl-C interrupts once, and ends the process if that is not enough.

    Threads started by libraries, and imports that turn an interruption into a
    failure, would otherwise keep the process alive. The files on disk are
    complete at every instant, so ending the process loses nothing.
    """

    def __init__(self) -> None:
        self.pressed = False
        """Whether Ctrl-C has been pressed."""
        self._before: Any = None
        self._hook = sys.unraisablehook

    def __enter__(self) -> Self:
        """Install the signal handler, unless somebody else has installed one."""
        mine = threading.current_thread() is threading.main_thread()
        if mine and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._interrupt)
            self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
        return self

    def __exit__(self, *exception: object) -> None:
        """Restore the signal handler, unless the process is about to end."""
        if self._before is not None and not self.pressed:
            signal.signal(signal.SIGINT, self._before)
            sys.unraisablehook = self._hook

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        # A second one would interrupt the clean-up.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.pressed = True
        # Not `threading`: the main thread may hold its locks at this instant.
        _thread.start_new_thread(_end, ())
        raise KeyboardInterrupt

    def _unraisable(self, swallowed: Any) -> None:
        # No need to report an interruption that a destructor swallowed: the process ends anyway.
        if swallowed.exc_type is not KeyboardInterrupt:
            self._hook(swallowed)


def _end() -> None:
    time.sleep(_CLEAN_UP_SECONDS)
    remove_unfinished()
    os.write(2, f"Interrupted. {_CONTINUE}\n".encode())
    os._exit(EXIT_CODE)
