"""Lines of a gzip file, decompressed as a stream and never beyond a limit."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_READ_BYTES = 1 << 16
_BLOCK_BYTES = 1 << 18
_GRACE_BYTES = 1 << 20
"""Ratios are not judged before this much has come out: short texts repeat."""


@dataclass(frozen=True)
class ExpansionLimits:
    """How much a compressed file may hold."""

    max_bytes: int = 4 << 30
    """Expanded bytes of one file."""
    max_ratio: float = 100.0
    """Expanded bytes for one compressed byte; JSON reaches about 20."""
    max_line_bytes: int = 4 << 20
    """A longer line is passed over, and yielded as None."""


class DamagedGzipError(Exception):
    """A file is no gzip, is cut short or corrupt, or expands beyond the limits."""


class ExpansionError(DamagedGzipError):
    """A file expands beyond the limits."""


def expand(path: Path, limits: ExpansionLimits) -> Iterator[bytes]:
    """Yield the expanded content of a gzip file in blocks of 256 KiB at most.

    Raises
    ------
    DamagedGzipError
        If it is damaged, cut short or expands too far.
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
                raise DamagedGzipError(f"it is no valid gzip ({e})") from e
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
                # With a full block the decoder may hold more that needs no input.
                if len(block) == _BLOCK_BYTES and not decoder.eof:
                    continue
                pending = file.read(_READ_BYTES)
                total_in += len(pending)
            if not pending:
                if not decoder.eof:
                    raise DamagedGzipError("it is cut short")
                return
            if decoder.eof:
                decoder = zlib.decompressobj(wbits=31)  # files may be joined end to end


def lines(path: Path, limits: ExpansionLimits) -> Iterator[bytes | None]:
    """Yield the lines of a gzip file, without their ends; None for one too long.

    Raises
    ------
    DamagedGzipError, OSError
        As :func:`expand`.
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
