"""The memory that this process may still allocate."""

import os

import pytest

from sfal import _core
from sfal.errors import MemoryLimitError


def test_available_memory_is_a_positive_number_within_the_physical_memory():
    available = _core.available_memory()
    assert isinstance(available, int)
    assert 0 < available <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_the_default_memory_limit_is_a_share_of_the_available_memory():
    n_features = int(_core.available_memory() ** 0.5)
    with pytest.raises(MemoryLimitError, match="limit is") as refused:
        _core.Histogram(n_features)
    limit = int(str(refused.value).split("limit is ")[1].split()[0])
    assert limit <= 0.8 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
