"""A process that reads from a hub on request, with pauses shortened a hundredfold.

A request is a line of JSON that names what to read; the reply is a line of JSON with the
content or the error, and with the seconds that an ordinary process would have paused.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

SPEED_UP = 100
READ_SECONDS, RATE_SECONDS = 0.5, 1.0


class Reader:
    """A connection to the process; made by :func:`reader`."""

    def __init__(self, process):
        self._process = process

    def ask(self, what, *names):
        self._process.stdin.write(json.dumps([what, *names]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def reader(environment):
    """Run the process while the block runs."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "SFAL_"))}
    process = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**kept, **environment},
    )
    try:
        yield Reader(process)
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def _read(what, *names):
    from sfal.collect.corpus.open import open_corpus
    from sfal.collect.sae.loaders import _fetch
    from sfal.collect.settings import CorpusConfig
    from sfal.io.hub import list_files

    if what == "corpus":
        return list(open_corpus(CorpusConfig(*names)).documents(0))
    if what == "list":
        return list_files(*names)
    path, _ = _fetch(*names, None)
    return path.read_bytes().hex()


def _serve():
    import datasets  # noqa: F401 - so that its import does not count as the time of a fault
    from huggingface_hub import constants

    from sfal.errors import SfalError
    from sfal.io import hub_timeouts

    hub_timeouts.READ_SECONDS, hub_timeouts.RATE_SECONDS = READ_SECONDS, RATE_SECONDS
    constants.HF_HUB_DOWNLOAD_TIMEOUT = constants.HF_HUB_ETAG_TIMEOUT = READ_SECONDS
    sleep, slept = time.sleep, []

    def shortened(seconds):
        slept.append(seconds)
        sleep(seconds / SPEED_UP)

    time.sleep = shortened
    for line in sys.stdin:
        slept.clear()
        started = time.monotonic()
        try:
            reply = {"got": _read(*json.loads(line))}
        except SfalError as e:
            reply = {"error": f"{type(e).__name__}: {e}"}
        except BaseException as e:
            reply = {"error": f"unexpected {e!r}"}
        reply |= {"slept": sum(slept), "seconds": time.monotonic() - started}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
