"""Reads from a hub what it is told to, in a process of its own, where time passes quickly.

A line of JSON names what to read; the answer is a line of JSON that says what came, or the
error, and for how many seconds a process without haste would have waited between attempts.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

HASTE = 100
READ_SECONDS, RATE_SECONDS = 0.5, 1.0


class Reader:
    """Asks the process; made by :func:`reader`."""

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
    import datasets  # noqa: F401 - not to be counted as time that a fault takes
    from huggingface_hub import constants

    from sfal.errors import SfalError
    from sfal.io import hub_timeouts

    hub_timeouts.READ_SECONDS, hub_timeouts.RATE_SECONDS = READ_SECONDS, RATE_SECONDS
    constants.HF_HUB_DOWNLOAD_TIMEOUT = constants.HF_HUB_ETAG_TIMEOUT = READ_SECONDS
    sleep, slept = time.sleep, []

    def hasty(seconds):
        slept.append(seconds)
        sleep(seconds / HASTE)

    time.sleep = hasty
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
