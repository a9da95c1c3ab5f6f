"""A server that runs while a test asks it."""

import threading
from contextlib import contextmanager

from sfal.report.server.library import Library
from sfal.report.server.serve import Server
from sfal.scoring.selection import Selection


@contextmanager
def served(data_dir):
    """Yield a server of all sources of a folder."""
    with Server(Library(data_dir, Selection())) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
