"""Messages between a run and its workers, and what a worker says of itself.

A message is its length in eight bytes, then a pickle. Pickles can execute code,
so they pass only through pipes between a process and the one that started it,
and through Ray's own channels, which execute code anyway; none is ever read
from a file or a shared folder.
"""

import os
import pickle
import socket
import struct
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from sfal.errors import SfalError
from sfal.io.atomic import sha256_file

_LENGTH = struct.Struct("<Q")
_PACKAGES = ("torch", "transformers", "tokenizers", "sae-lens", "sentence-transformers")
"""Packages that decide the bits of a result, besides SFAL's own."""


@dataclass(frozen=True)
class Hello:
    """What a worker says before its first task."""

    host: str
    """Name of its machine."""
    versions: dict[str, str]
    """By package; see :func:`own_versions`."""
    facts: Any
    """What its session loaded."""


@dataclass(frozen=True)
class Refusal:
    """An error that is an answer: to loading, or to the task of this number."""

    error: SfalError
    """Why."""
    number: int | None = None
    """The task; None: loading."""


@dataclass(frozen=True)
class Found:
    """What was found by the task of this number."""

    number: int
    """The task."""
    value: Any
    """What was found."""


@dataclass(frozen=True)
class Crash:
    """An exception that nobody expected, after which the worker ends."""

    text: str
    """Its class and message."""


@cache
def own_versions() -> dict[str, str]:
    """Return the versions of what decides the bits of a result, in this process."""
    from sfal._core import __file__ as core

    found = {"sfal": version("sfal"), "sfal._core": sha256_file(Path(core))[:16]}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found


def hello(facts: Any) -> Hello:
    """Return what this process says of itself as a worker."""
    return Hello(socket.gethostname(), own_versions(), facts)


def encoded(message: Any) -> bytes:
    """Return a message as bytes."""
    return pickle.dumps(message, protocol=5)


def decoded(data: bytes) -> Any:
    """Return the message that :func:`encoded` turned into bytes."""
    return pickle.loads(data)


def write_message(file: IO[bytes], data: bytes) -> None:
    """Write an encoded message to a pipe.

    Raises
    ------
    OSError
        If the other end is closed.
    """
    file.write(_LENGTH.pack(len(data)))
    file.write(data)
    file.flush()


def read_message(file: IO[bytes]) -> bytes:
    """Read an encoded message from a pipe.

    Raises
    ------
    EOFError
        If the other end is closed, within a message or before it.
    """
    (length,) = _LENGTH.unpack(_exactly(file, _LENGTH.size))
    return _exactly(file, length)


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return data


def limit_threads(threads: int) -> None:
    """Let the libraries of this process use so many threads; before they are imported."""
    os.environ["OMP_NUM_THREADS"] = os.environ["RAYON_NUM_THREADS"] = str(threads)
