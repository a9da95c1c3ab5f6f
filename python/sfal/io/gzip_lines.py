"""Lines of a gzip file, decompressed as a stream and within limits."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_READ_BYTES = 1 << 16
_BLOCK_BYTES = 1 << 18
_GRACE_BYTES = 1 << 20
"""Expanded bytes below which the ratio is not checked, as short texts repeat themselves."""


@dataclass(frozen=True)
class ExpansionLimits:
    """Limits of what a compressed file may expand to."""

    max_bytes: int = 4 << 30
    """Expanded bytes of one file."""
    max_ratio: float = 100.0
    """Expanded bytes per compressed byte; JSON reaches about 20."""
    max_line_bytes: int = 4 << 20
    """Bytes of a line; a longer one is skipped, and yielded as None."""


class DamagedGzipError(Exception):
    """A file is not gzip, is truncated or corrupt, or expands beyond the limits."""


class ExpansionError(DamagedGzipError):
    """A file expands beyond the limits."""


def expand(path: Path, limits: ExpansionLimits) -> Iterator[bytes]:
    """Yield the expanded content of a gzip file in blocks of at most 256 KiB.

    Raises
    ------
    DamagedGzipError
        If it is damaged or truncated, or expands beyond the limits.
    OSError
        If it cannot be read.
    """
    total_in = total_out = 0
    decoder = zlib.decompressobj(wbits=31)
    with path.open("rb") as file:
        pending = file.read(_READ_BYTES)
        if not pending:
            raise DamagedGzipError("it is empty")
        total_in = len(pending)
        while True:
            try:
                block = decoder.decompress(pending, _BLOCK_BYTES)
            except zlib.error as e:
                raise DamagedGzipError(f"it is not valid gzip ({e})") from e
            total_out += len(block)
            if total_out > limits.max_bytes:
                raise ExpansionError(f"it expands to more than {limits.max_bytes} bytes")
            if total_out > max(_GRACE_BYTES, limits.max_ratio * total_in):
                raise ExpansionError(f"it expands more than {limits.max_ratio:g} times")
            if block:
                yield block
            pending = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
            if pending and not decoder.eof:
                continue
            if not pending:
                # After a full block the decoder may hold more output that needs no further input.
                if len(block) == _BLOCK_BYTES and not decoder.eof:
                    continue
                pending = file.read(_READ_BYTES)
                total_in += len(pending)
            if not pending:
                if not decoder.eof:
                    raise DamagedGzipError("it is truncated")
                return
            if decoder.eof:
                decoder = zlib.decompressobj(wbits=31)  # a file may consist of several members


def lines(path: Path, limits: ExpansionLimits) -> Iterator[bytes | None]:
    """Yield the lines of a gzip file, without line ends; None for a line that is too long.

    Raises
    ------
    DamagedGzipError, OSError
        As in :func:`expand`.
    """
    rest: list[bytes] = []
    length = 0
    for block in expand(path, limits):
        first, *others = block.split(b"\n")
        length += len(first)
        if length <= limits.max_line_bytes:
            rest.append(first)
        else:
            rest.clear()
        for piece in others:
            yield b"".join(rest) if length <= limits.max_line_bytes else None
            rest, length = [piece], len(piece)
    if length:
        yield b"".join(rest) if length <= limits.max_line_bytes else None
