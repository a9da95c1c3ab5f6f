"""A growing run whose last part is replaced each time; test_load.py runs this as a process."""

import sys
import time
from pathlib import Path

import numpy as np

from sfal.io import atomic
from sfal.store import run_writer
from sfal.store.manifest import Counts, Manifest
from sfal.store.parts import Windows
from sfal.store.records import SourceRecord

F = 16
BUFFER = 8
N_BUFFERS = 150


def windows(first, stop):
    """Return one window per document; feature i fires in every (i + 1)-th."""
    ordinals = np.arange(first, stop)
    fired = ordinals[:, None] % np.arange(1, F + 1) == 0
    return Windows(
        ordinals.astype(np.uint64),
        np.zeros(len(ordinals), np.uint32),
        np.concatenate([[0], np.cumsum(fired.sum(1))]).astype(np.int64),
        np.nonzero(fired)[1].astype(np.uint32),
    )


def main(folder):
    atomic.sync = lambda path: None
    # Every buffer is written at once, as if a minute had passed.
    run_writer.CHECKPOINT_SECONDS = 0.0
    manifest = Manifest(SourceRecord("m/s"), F, {"window_size": 4}, n_docs=N_BUFFERS * BUFFER)
    run = run_writer.RunWriter(folder, manifest, BUFFER, part_windows=5 * BUFFER)
    for i in range(N_BUFFERS):
        found = windows(i * BUFFER, (i + 1) * BUFFER)
        counts = Counts(documents=BUFFER, windows=BUFFER, occurrences=len(found.indices))
        run.append(i * BUFFER, (i + 1) * BUFFER, found, counts, "")
        sys.stdout.write(f"{i}\n")
        sys.stdout.flush()
        time.sleep(0.03)  # the reader gets to see many of its states
    run.finish()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
