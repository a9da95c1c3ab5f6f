"""Memory of a device: how much to use at once, and an error that helps when it runs out."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sfal.errors import MemoryLimitError

_ELEMENTS = {"cpu": 1 << 24, "cuda": 1 << 28}


def max_elements(device: torch.device) -> int:
    """Return how many products of tokens and features to hold at once on a device."""
    return _ELEMENTS["cpu" if device.type == "cpu" else "cuda"]


@contextmanager
def device_memory(message: str, hint: str = "") -> Iterator[None]:
    """Turn torch's errors about memory inside the block into one of ours.

    Parameters
    ----------
    message : str
        What did not fit.
    hint : str, optional
        What to do about it; see :func:`sfal.errors.worded`.

    Raises
    ------
    MemoryLimitError
        With this message and hint.
    """
    try:
        yield
    except torch.OutOfMemoryError as e:
        raise MemoryLimitError(message, hint=hint) from e
    except RuntimeError as e:
        # The CPU's allocator has no error class of its own.
        if "can't allocate memory" not in str(e):
            raise
        raise MemoryLimitError(message, hint=hint) from e
