"""Commands killed at random moments: the same command then produces the same bytes."""

import os
import random
import shutil
import signal
import time

import pytest

SHARES = {
    "sfal cooc": 14,
    "sfal cooc, streaming": 6,
    "sfal embeddings": 10,
    "sfal merge": 14,
    "sfal score": 10,
}
"""Kills per command; `SFAL_KILLS` sets their sum, divided in these proportions."""
TOTAL = sum(SHARES.values())
KILLS = int(os.environ.get("SFAL_KILLS", TOTAL))


@pytest.mark.parametrize("name", SHARES)
def test_after_kills_the_same_command_produces_the_same_bytes(
    world, unbroken, tmp_path, tally, name
):
    case = world.cases[name]
    expected = unbroken(case)
    wanted = max(1, round(KILLS * SHARES[name] / TOTAL))
    moments = random.Random(name)
    data = tmp_path / "data"
    killed, latest = 0, 1.0
    while killed < wanted:
        if not data.exists():
            case.prepare(data)
        command = world.launched.start(*case.words(data))
        time.sleep(moments.uniform(0, latest) * expected.seconds)
        command.send(signal.SIGKILL)
        done = command.wait()
        if done.returncode == -signal.SIGKILL:
            killed += 1
        else:
            assert done.returncode == 0, done.stderr
            # It had less to do than a whole run.
            latest *= 0.9
        if done.returncode == 0 or moments.random() < 0.15:
            world.finishes(case, data, expected)
            shutil.rmtree(data)
    if data.exists():
        world.finishes(case, data, expected)
    tally(f"kills: {name}", killed)
