"""Reading Zstandard so that a truncated file is an error and does not pass for a shorter one."""

import io
from pathlib import Path
from typing import Any

_BUFFER = 1 << 16


def open_zstd(file: Path | Any) -> io.BufferedReader:
    """Open a file, or a file-like object, of one or more frames, to read its content.

    Reading raises OSError where the content is damaged or ends inside a frame.
    The usual reader takes that for the end of the content.
    """
    import pyarrow as pa

    stored = file if isinstance(file, Path) else pa.PythonFile(file, "r")
    return io.BufferedReader(pa.input_stream(stored, compression="zstd"), _BUFFER)


def read_streams_with_it() -> None:
    """Make fsspec, through which `datasets` streams, read with :func:`open_zstd`."""
    from fsspec import compression

    usual = compression.compr.get("zstd")
    if getattr(usual, "of_sfal", False):
        return

    def opened(file: Any, mode: str = "rb", **options: Any) -> Any:
        if "r" in mode or usual is None:
            return open_zstd(file)
        return usual(file, mode=mode, **options)

    opened.of_sfal = True  # type: ignore[attr-defined]
    compression.register_compression("zstd", opened, "zst", force=True)
