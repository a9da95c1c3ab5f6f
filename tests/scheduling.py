"""Which tests pytest-xdist runs in one process."""

from xdist.scheduler import LoadScopeScheduling

_INDEPENDENT = ("test_misbehaving_servers.py", "test_load.py")
"""Modules whose tests share no dear fixture: any process takes the next one."""
_ONE_WORLD = "tests/survival/"
"""Folder whose modules share a session's fixture that takes as long as many of their tests."""


class SharedFixtures(LoadScopeScheduling):
    """A scheduler that keeps the tests of a module together, and those of `survival/`.

    The mark ``xdist_group`` would say the same, but pytest-xdist 3.8 passes it on in
    a field that pytest 9.2 no longer reads.
    """

    def _split_scope(self, nodeid):
        path = nodeid.partition("::")[0]
        if path.endswith(_INDEPENDENT):
            return nodeid
        return _ONE_WORLD if path.startswith(_ONE_WORLD) else path
