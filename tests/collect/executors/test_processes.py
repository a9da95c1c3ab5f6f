"""Workers that are processes: answers in order, whatever dies."""

import os
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from collect.executors import fakes
from collect.executors.fakes import Deadly, Square
from sfal.collect.executors import pool as pools
from sfal.collect.executors.inline import Inline
from sfal.collect.executors.pool import Pool
from sfal.collect.executors.processes import Processes
from sfal.collect.executors.protocol import map_buffers
from sfal.errors import ArtifactError, CombinedError, InvalidInputError, WorkerError


@contextmanager
def pool(folder, n=2, **spec):
    with Pool(Processes(fakes.Spec(folder, **spec), [f"d{i}" for i in range(n)], 1)) as made:
        yield made


def found(executor, tasks, lookahead=None):
    return [answer.found for answer in map_buffers(executor, tasks, lookahead)]


def gather(executor, tasks, answers):
    """Append what is found to a list, until an error ends it."""
    for answer in map_buffers(executor, tasks):
        answers.append(answer.found)


def pids(executor):
    return [worker.pid for worker in executor._by_slot.values()]


def gone(pid):
    """Whether a process has ended; it may be a zombie for a moment."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_answers_come_in_order_and_are_those_of_one_process(tmp_path):
    tasks = [Square(n, seconds=0.01 * (n % 3)) for n in range(12)]
    expected = found(Inline(fakes.Spec(tmp_path).load("d0")), tasks)
    with pool(tmp_path) as executor:
        assert executor.facts.device == fakes.DEVICE
        assert found(executor, tasks) == expected == [n**2 for n in range(12)]
        # It serves a whole run: a second pass, and one that is left early.
        answers = map_buffers(executor, tasks)
        assert next(answers).found == 0
        answers.close()
        assert found(executor, tasks) == expected
        workers = pids(executor)
    assert all(map(gone, workers))


def test_what_libraries_print_does_not_reach_the_answers(tmp_path):
    with pool(tmp_path, 1) as executor:
        assert found(executor, [fakes.Printing(3), Square(4)]) == [9, 16]


def test_at_most_so_many_are_in_flight_while_the_disk_is_slow(tmp_path):
    read = []

    def tasks():
        for n in range(40):
            read.append(n)
            yield Square(n, payload=bytes(1 << 16))

    most = 0
    with pool(tmp_path) as executor:
        for number, _ in enumerate(map_buffers(executor, tasks(), lookahead=4)):
            time.sleep(0.02)  # the disk
            # However busy the machine is, the first wait is long enough to read all that may be.
            end = time.monotonic() + (30 if number == 0 else 0)
            while len(read) < 1 + 4 and time.monotonic() < end:
                time.sleep(0.02)
            most = max(most, len(read) - number - 1)
    # Besides those in flight, the thread that reads holds one, and reads another.
    assert 4 <= most <= 4 + 2


@pytest.mark.parametrize("task", [fakes.Refused(7), fakes.Unprepared(7)])
def test_an_error_of_ours_is_an_answer(tmp_path, task):
    answers = []
    with pool(tmp_path) as executor:
        workers = pids(executor)
        with pytest.raises((CombinedError, InvalidInputError)) as e:
            gather(executor, [Square(1), Square(2), task, Square(3)], answers)
        assert pids(executor) == workers
    assert answers == [1, 4]
    assert type(e.value) is (
        CombinedError if isinstance(task, fakes.Refused) else InvalidInputError
    )
    if isinstance(e.value, CombinedError):
        assert e.value.errors[0].hint == "use $dtype(float32)"
        assert "dtype=float32" in str(e.value)


def test_an_error_while_reading_comes_after_what_was_read(tmp_path):
    def tasks():
        yield from (Square(n) for n in range(5))
        raise InvalidInputError("the corpus ends here")

    answers = []
    with pool(tmp_path) as executor, pytest.raises(InvalidInputError, match="ends here"):
        gather(executor, tasks(), answers)
    assert answers == [0, 1, 4, 9, 16]


def test_the_tasks_of_a_worker_that_dies_go_to_another(tmp_path, tally):
    tasks = [Square(n) if n != 5 else Deadly(5, folder=tmp_path, times=2) for n in range(12)]
    with pool(tmp_path) as executor:
        assert found(executor, tasks) == [n**2 for n in range(12)]
        assert executor.notes == []
    assert len(list(tmp_path.glob("died-*"))) == 2
    tally("kills: workers", 2)


@pytest.mark.parametrize("n", [1, 2])
def test_a_task_that_kills_three_workers_ends_the_run(tmp_path, tally, n):
    tasks = [Square(0), Square(1), Deadly(2, folder=tmp_path), *map(Square, range(3, 9))]
    answers = []
    with pool(tmp_path, n) as executor, pytest.raises(WorkerError) as e:
        gather(executor, tasks, answers)
    assert answers == [0, 1]
    assert e.value.message.startswith("3 workers died of number 2 (")
    assert e.value.message.count("SIGKILL, as the system kills when memory runs out") == 3
    assert "$do_again" in e.value.hint
    tally("kills: workers", 3)


def test_a_bug_in_a_task_is_reported_like_a_death(tmp_path):
    with pool(tmp_path) as executor, pytest.raises(WorkerError, match="ZeroDivisionError: a bug"):
        found(executor, [Square(1), fakes.Broken(2)])


def test_a_worker_that_is_killed_from_outside_is_replaced(tmp_path, tally):
    killed = 0
    with pool(tmp_path) as executor:
        for number, answer in enumerate(
            map_buffers(executor, (Square(n, seconds=0.05) for n in range(40)))
        ):
            assert answer.found == number**2
            if number in (3, 10, 25):
                os.kill(pids(executor)[number % 2], signal.SIGKILL)
                killed += 1
        assert number == 39
    tally("kills: workers", killed)


def test_a_device_that_does_not_work_is_left_out(tmp_path):
    with pool(tmp_path, 3, deadly=("d1",), refused=("d2",)) as executor:
        deadline = time.monotonic() + 60
        while len(executor.notes) < 2:
            assert time.monotonic() < deadline
            assert found(executor, [Square(n, seconds=0.02) for n in range(9)])[-1] == 64
        assert found(executor, map(Square, range(9)))[-1] == 64
    told = sorted(note.message for note in executor.notes)
    assert "d1 could not be started (SIGKILL" in told[0]
    assert "d2 could not be started (d2 is refused; use device=cpu)" in told[1]


def test_no_worker_at_all_is_an_error(tmp_path):
    with pytest.raises(WorkerError, match=r"no worker could be started \(SIGKILL"):
        Pool(Processes(fakes.Spec(tmp_path, deadly=("d0", "d1")), ["d0", "d1"], 1))
    with pytest.raises(InvalidInputError, match="is refused"):
        Pool(Processes(fakes.Spec(tmp_path, refused=("d0", "d1")), ["d0", "d1"], 1))


def test_a_worker_that_computes_something_else_is_refused(tmp_path, monkeypatch):
    # The second worker joins while the first one works.
    tasks = [Square(n, seconds=0.05) for n in range(600)]
    with pool(tmp_path, 2, other=("yes",)) as executor, pytest.raises(ArtifactError) as e:
        found(executor, tasks)
    assert "differs from the first worker, on " in e.value.message
    # On a busy machine the second may be the first to be ready.
    assert e.value.message.endswith((": model other, not m", ": model m, not other"))
    mine = pools.own_versions()
    monkeypatch.setattr(pools, "own_versions", lambda: {**mine, "sfal": "0.0.1"})
    with (
        pytest.raises(ArtifactError, match=f"from this process: sfal {mine['sfal']}, not 0.0.1"),
        pool(tmp_path, 1),
    ):
        pass


def test_ctrl_c_ends_the_workers_at_once(tmp_path, tally):
    def press():
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    with pool(tmp_path) as executor:
        workers = pids(executor)
        for pid in workers:  # the whole group of processes gets it
            os.kill(pid, signal.SIGINT)
        thread = threading.Thread(target=press)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            found(executor, [Square(n, seconds=1000) for n in range(4)])
        started = time.monotonic()
        assert pids(executor) == workers  # its own Ctrl-C ended none of them
    assert time.monotonic() - started < 1
    assert all(map(gone, workers))
    thread.join()
    tally("interruptions: a pool of workers")
