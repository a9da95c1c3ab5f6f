"""Feeds damaged files to every reader and reports; test_fuzz.py runs this as a process.

    python run.py FOLDER REPORT INPUTS SECONDS [TARGET …]

Each target gets INPUTS files, or as many as fit in SECONDS if that is not 0.
"""

import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

CORPUS = Path(__file__).parents[1] / "data" / "fuzz"
LONGEST = 10
"""Seconds allowed for one input."""
ADDRESS_SPACE = 8 << 30


class TooLong(BaseException):
    """An input took longer than allowed."""


def _stop(*_):
    raise TooLong


def fuzz(name, read, work, inputs, seconds):
    """Feed one target; return counts and failures."""
    from fuzz.mutate import mutated
    from sfal.errors import SfalError

    folder = work / name
    shutil.copytree(CORPUS / name, folder)
    seeds = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    read(folder)  # the corpus itself must be readable
    rng = random.Random(name)
    found = {"read": 0, "refused": 0, "longest": 0.0, "wrong": []}
    end = time.monotonic() + seconds
    while time.monotonic() < end if seconds else found["read"] + found["refused"] < inputs:
        path = rng.choice(list(seeds))
        data = mutated(rng, path.name, seeds[path], list(seeds.values()))
        path.write_bytes(data)
        started = time.monotonic()
        signal.alarm(LONGEST)
        try:
            read(folder)
            found["read"] += 1
        except SfalError as e:
            found["refused"] += 1
            if not str(e):
                found["wrong"].append(_wrong(work, path, data, e))
        except BaseException as e:
            found["refused"] += 1
            found["wrong"].append(_wrong(work, path, data, e))
        finally:
            signal.alarm(0)
        found["longest"] = max(found["longest"], time.monotonic() - started)
        path.write_bytes(seeds[path])
    return found


def _wrong(work, path, data, error):
    kept = work / f"{path.parent.name}-{abs(hash(data)):x}-{path.name}"
    kept.write_bytes(data)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{kept}: {type(error).__name__}: {error}"[:400] + f" at {last.filename}:{last.lineno}"


def main():
    from fuzz.targets import SLOW, TARGETS
    from peak_memory import peak_memory

    work, report = Path(sys.argv[1]), Path(sys.argv[2])
    inputs, seconds = int(sys.argv[3]), float(sys.argv[4])
    names = sys.argv[5:] or [name for name in TARGETS if seconds or name not in SLOW]
    os.chdir(work)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    signal.signal(signal.SIGALRM, _stop)
    before = peak_memory()
    found = {name: fuzz(name, TARGETS[name], work, inputs, seconds) for name in names}
    taken = peak_memory() - before
    report.write_text(json.dumps({"targets": found, "taken": taken}))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
