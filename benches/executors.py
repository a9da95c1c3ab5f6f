"""Whether one driver keeps many devices busy, and what its workers cost.

    python benches/executors.py DIR [--workers 8] [--rate 100000] [--sources 1 5] [--seconds 40]
    python benches/executors.py DIR --overhead

The driver is the real one: it reads a JSONL corpus, hashes it, hands buffers to worker processes,
and writes Parquet parts and manifests. The workers are stand-ins for devices: they find the same
windows in every buffer, and sleep as long as a device of RATE tokens per second would compute. A
real worker tokenises the next buffer while the device works, so its time is the longer of both;
the time to tokenise is measured once, on one core, and a stand-in sleeps no less than that. *Busy*
is the share of the workers' time in which they slept, from the moment all were ready to the end of
the run, the last part and the manifest included. The driver's processor time per buffer says how
many devices it could keep busy if a core were its own.

`--overhead` passes buffers through stand-ins that do not sleep: seconds per buffer and processor
time of the driver in one process, in a worker process and in Ray, and how long they take to start.
"""

import argparse
import json
import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sfal.collect import driver
from sfal.collect.executors.door import open_executor
from sfal.collect.executors.placement import Placement
from sfal.collect.executors.protocol import map_buffers
from sfal.collect.session.loading import SessionFacts, SourceFacts
from sfal.collect.session.session import CollectSpec, Counted
from sfal.collect.settings import CollectSettings
from sfal.collect.shard import BUFFER_DOCUMENTS
from sfal.collect.throughput import Speed
from sfal.sources import SaeRef, Source
from sfal.store.manifest import Counts
from sfal.store.parts import Windows

TOKENS, WINDOWS = 1023, 3
"""Of each document, of which a text has about 4.4 characters a token."""
FEATURES, FIRING = 16_384, 1_500
"""Of each source, and in each window."""


@dataclass(frozen=True)
class StandInSpec(CollectSpec):
    """Loads stand-ins at once."""

    rate: float = 0.0
    least: float = 0.0

    def load(self, device):
        return StandIn(self, device)


class StandIn:
    """A session that finds the same windows in every buffer."""

    def __init__(self, spec, device):
        self.spec = spec
        fact = SourceFacts(FEATURES, {}, {"sha256": "none"}, {}, ())
        names = [source.name for source in spec.sources]
        self.facts = SessionFacts(
            f"stand-in {device}", "m", {}, {"dtype": "float32", "layers_run": 1}, True,
            Speed(device, "float32", 1, len(names)), dict.fromkeys(names, fact),
        )  # fmt: skip
        rng = np.random.default_rng(0)
        n = BUFFER_DOCUMENTS * WINDOWS
        rows = [np.sort(rng.choice(FEATURES, FIRING, replace=False)) for _ in range(n)]
        self._indices = np.concatenate(rows).astype(np.uint32)
        self._indptr = np.arange(n + 1, dtype=np.int64) * FIRING
        self._documents = np.repeat(np.arange(BUFFER_DOCUMENTS, dtype=np.uint64), WINDOWS)
        self._ordinals = np.tile(np.arange(WINDOWS, dtype=np.uint32), BUFFER_DOCUMENTS)

    def plan(self, buffer, wanted):
        return None

    def count(self, buffer, wanted, plans):
        n = len(buffer.texts)
        tokens = n * TOKENS
        if self.spec.rate:
            time.sleep(max(tokens / self.spec.rate, self.spec.least))
        windows = Windows(
            self._documents + np.uint64(buffer.first), self._ordinals, self._indptr, self._indices
        )
        counts = Counts(n, 0, 0, tokens, n * WINDOWS * 256, n * WINDOWS)
        return Counted(tokens, dict.fromkeys(wanted, (windows, counts)))


def corpus(path, n_docs):
    """Write documents of random words, unless they are there."""
    words = [f"w{random.Random(i).randrange(1 << 14):x}" for i in range(4096)]
    chosen = random.Random(0)
    marker = path.with_suffix(".n")
    if marker.exists() and int(marker.read_text()) >= n_docs:
        return
    with path.open("w") as file:
        for _ in range(n_docs):
            text = " ".join(chosen.choices(words, k=TOKENS * 4 // 5))
            file.write(json.dumps({"text": text}) + "\n")
    marker.write_text(str(n_docs))


def tokenising(path):
    """Seconds that one core takes to tokenise a buffer, with a tokenizer trained on the corpus."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    with path.open() as file:
        texts = [json.loads(next(file))["text"] for _ in range(BUFFER_DOCUMENTS)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=8000, show_progress=False)
    tokenizer.train_from_iterator(texts[:32], trainer)
    spent = []
    for _ in range(3):
        start = time.process_time()
        tokens = sum(len(one.ids) for one in tokenizer.encode_batch(texts))
        spent.append((time.process_time() - start) * BUFFER_DOCUMENTS * TOKENS / tokens)
    return min(spent)


def sources(n):
    """Sources that nobody loads."""
    return [Source(f"m/{i}", "m", "res", i, SaeRef("local", path="none")) for i in range(n)]


def settings(path, n_docs, **other):
    """Settings of a run whose device is a stand-in."""
    return CollectSettings(str(path), n_docs=n_docs, device="cpu", histogram="none", **other)


def busy(folder, workers, rate, n_sources, seconds):
    """Count with stand-ins; print the share of time that they were busy."""
    path = folder / "corpus.jsonl"
    rounds = max(round(seconds * rate / TOKENS / BUFFER_DOCUMENTS), 4)
    buffers = rounds * workers
    corpus(path, buffers * BUFFER_DOCUMENTS)
    least = tokenising(path)
    driver.CollectSpec = lambda *arguments: StandInSpec(*arguments, rate=rate, least=least)
    begun = []

    def all_ready(*arguments):
        executor = open_executor(*arguments)
        while any(worker.hello is None for worker in executor._by_slot.values()):
            executor._handle_next()
        begun.append((time.perf_counter(), time.process_time()))
        return executor

    driver.open_executor = all_ready
    data = folder / "data"
    shutil.rmtree(data, ignore_errors=True)
    chosen = settings(path, buffers * BUFFER_DOCUMENTS, devices=f"cpu:{workers}")
    try:
        results = driver.collect(sources(n_sources), chosen, data)
    finally:
        driver.open_executor = open_executor
    for result in results:
        if result.error is not None:
            raise result.error
    wall, processor = time.perf_counter() - begun[0][0], time.process_time() - begun[0][1]
    each = max(BUFFER_DOCUMENTS * TOKENS / rate, least)
    share = buffers * each / (workers * wall)
    print(
        f"{workers} devices of {rate:,.0f} tokens/s, {n_sources} sources: {buffers} buffers, "
        f"{buffers * BUFFER_DOCUMENTS * TOKENS / wall:,.0f} tokens/s, busy {share:.1%}; driver "
        f"{1000 * processor / buffers:.1f} ms of processor time a buffer, enough for "
        f"{each * buffers / processor:.0f} devices; tokenising {1000 * least:.0f} ms a buffer"
    )
    shutil.rmtree(data)


def overhead(folder):
    """Print what a buffer costs in each executor, and how long it takes to start."""
    from sfal.collect.batching import Buffer
    from sfal.collect.session.session import CountTask

    path = folder / "corpus.jsonl"
    corpus(path, BUFFER_DOCUMENTS)
    with path.open() as file:
        texts = [json.loads(next(file))["text"] for _ in range(BUFFER_DOCUMENTS)]
    few = sources(1)
    spec = StandInSpec(tuple(few), settings(path, 1))
    for name, placement in (
        ("inline", Placement()),
        ("processes", Placement(devices="cpu:1")),
        ("ray", Placement(ray="local")),
    ):
        begun = time.perf_counter()
        with open_executor(spec, placement, "cpu") as executor:
            ready = time.perf_counter() - begun
            tasks = (CountTask(Buffer(n, texts), (few[0].name,)) for n in range(200))
            wall, processor = time.perf_counter(), time.process_time()
            found = sum(1 for _ in map_buffers(executor, tasks))
            wall = (time.perf_counter() - wall) / found
            processor = (time.process_time() - processor) / found
        print(
            f"{name}: ready after {ready:.1f} s; {1000 * wall:.2f} ms a buffer, "
            f"{1000 * processor:.2f} ms of the driver's processor time"
        )


def main():
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--workers", type=int, nargs="+", default=[8])
    parser.add_argument("--rate", type=float, default=100_000)
    parser.add_argument("--sources", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--overhead", action="store_true")
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    if options.overhead:
        overhead(options.directory)
        return
    for workers in options.workers:
        for n in options.sources:
            busy(options.directory, workers, options.rate, n, options.seconds)


if __name__ == "__main__":
    # Under its own name, by which workers find what it defines.
    import executors

    executors.main()
