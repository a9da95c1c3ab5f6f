"""A run of a few buffers that can be counted anywhere, and what kills its workers."""

import os
import random
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass

import tiny
from collect import oracle
from collect.fixtures import snapshot
from sfal.collect.executors.processes import _Process
from sfal.collect.session.session import CollectSpec
from sfal.collect.settings import CollectSettings
from sfal.collect.shard import BUFFER_DOCUMENTS
from sfal.sources import SaeRef, Source

BUFFERS = 8
EXAMPLES = 2 * BUFFER_DOCUMENTS + 20
POISON = "a document that no worker survives"


def make(root):
    tiny.gemma2(root / "lm", layers=2)
    for layer in (0, 1):
        tiny.gemma_scope(root / f"sae-{layer}", ".", 16, 64, seed=layer)
    documents = oracle.texts(BUFFERS * BUFFER_DOCUMENTS + EXAMPLES, longest=30)
    oracle.write_jsonl(root / "corpus.jsonl", documents)
    documents[5 * BUFFER_DOCUMENTS + 7] = POISON
    oracle.write_jsonl(root / "poisoned.jsonl", documents)
    return root


def sources(root):
    return [
        Source(f"lm/{layer}", model=str(root / "lm"), site="res", layer=layer,
               sae=SaeRef("local", path=str(root / f"sae-{layer}")),
               prepend_bos=None if layer else True)
        for layer in (0, 1)
    ]  # fmt: skip


def settings(root, **other):
    facts = {
        "corpus": str(root / "corpus.jsonl"),
        "n_docs": BUFFERS * BUFFER_DOCUMENTS - 30,  # the last buffer is cut short
        "window_size": 8,
        "batch_tokens": 2048,
        "part_windows": 500,
    }
    return CollectSettings(**{**facts, **other})


def snapshots(results):
    assert [result.error for result in results] == [None] * len(results)
    return [snapshot(result.folder) for result in results]


@dataclass(frozen=True)
class PoisonedSpec(CollectSpec):
    """Loads sessions that die of one document, as some do of its length."""

    def load(self, device):
        session = super().load(device)
        count = session.count

        def dying(buffer, *rest):
            if POISON in buffer.texts:
                os.kill(os.getpid(), signal.SIGKILL)
            return count(buffer, *rest)

        session.count = dying
        return session


@contextmanager
def killing(seed, pause, most):
    """Kill a worker process at random moments, `most` times at most; yields those killed."""
    moments, killed, ended = random.Random(seed), [], threading.Event()
    started, made = [], _Process.__init__

    def keeping(self, *arguments):
        made(self, *arguments)
        started.append(self)

    def kill():
        while len(killed) < most and not ended.wait(moments.uniform(0, pause)):
            alive = [one for one in started if one._process.poll() is None]
            if alive:
                victim = moments.choice(alive)
                killed.append(victim.pid)
                victim.kill()

    _Process.__init__ = keeping
    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        ended.set()
        thread.join()
        _Process.__init__ = made
