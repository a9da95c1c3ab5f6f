"""The memory that is available is what the system and every control group above leave."""

import os

import pytest

from sfal.io import memory

MEMINFO = "MemTotal: 900000 kB\nMemAvailable: 500000 kB\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "cgroup")

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return write


def test_without_groups_it_is_what_the_system_has(place):
    place("proc/meminfo", MEMINFO)
    assert memory.available_memory() == 500_000 * 1024


def test_the_strictest_group_above_the_process_counts_without_its_cache(place):
    place("proc/meminfo", MEMINFO)
    place("proc/self/cgroup", "0::/outer/inner\n")
    place("cgroup/outer/inner/memory.max", "max\n")
    place("cgroup/outer/inner/memory.current", "5000\n")
    place("cgroup/outer/memory.max", "100000\n")
    place("cgroup/outer/memory.current", "60000\n")
    place("cgroup/outer/memory.stat", "anon 50000\nactive_file 1\ninactive_file 10000\n")
    assert memory.available_memory() == 100_000 - (60_000 - 10_000)


def test_in_a_container_the_root_stands_for_a_path_that_only_the_host_sees(place):
    place("proc/meminfo", MEMINFO)
    place("proc/self/cgroup", "0::/system.slice/docker-abc.scope\n")
    place("cgroup/memory.max", "8000\n")
    place("cgroup/memory.current", "9000\n")
    assert memory.available_memory() == 0


def test_groups_of_version_1_count(place):
    place("proc/meminfo", MEMINFO)
    place("proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/a\n")
    place("cgroup/memory/a/memory.limit_in_bytes", "7000\n")
    place("cgroup/memory/a/memory.usage_in_bytes", "6500\n")
    place("cgroup/memory/a/memory.stat", "total_inactive_file 500\n")
    assert memory.available_memory() == 1000


def test_a_system_that_reports_nothing_counts_all_of_its_memory(place):
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert memory.available_memory() == physical
