"""A device that runs out of memory, said in a way that helps."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sfal.errors import MemoryLimitError


@contextmanager
def device_memory(what: str) -> Iterator[None]:
    """Turn torch's errors about memory inside the block into one of ours.

    Parameters
    ----------
    what : str
        What did not fit, and what to do.

    Raises
    ------
    MemoryLimitError
        With `what` as its message.
    """
    try:
        yield
    except torch.OutOfMemoryError as e:
        raise MemoryLimitError(what) from e
    except RuntimeError as e:
        # The CPU's allocator has no class of its own.
        if "can't allocate memory" not in str(e):
            raise
        raise MemoryLimitError(what) from e
