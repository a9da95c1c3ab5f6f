"""What the suite does to SFAL on purpose, counted; `tests/README.md` says it."""

import os
from collections import Counter
from pathlib import Path

import pytest

README = Path(__file__).with_name("README.md")
_HEADING = "## What was tried, with nothing lost\n"
GROUPS = ("kills", "interruptions", "faults", "hostile inputs")
_MORE_THAN_USUAL = ("SFAL_KILLS", "SFAL_MAX_EXAMPLES")
"""Variables under which the numbers are others than those of the report."""


class Tally:
    """Counts, and the plugin that compares them with the report when a whole run has passed."""

    def __init__(self, config):
        self._write = config.getoption("--write-report")
        self._whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
        self._whole &= not any(name in os.environ for name in _MORE_THAN_USUAL)
        self._whole &= not config.getoption("collectonly")
        self._counting = set()
        self._said = None
        self.counts = Counter()

    def __call__(self, kind, n=1):
        """Count `n` more of a kind, such as ``"kills: sfal cooc"``, once nothing was lost by it.

        A run of the suite must always come to the same number.
        """
        group, colon, what = kind.partition(": ")
        assert group in GROUPS, f"{kind!r}: it begins with {', '.join(GROUPS)} and a colon"
        assert colon, kind
        assert what, kind
        self.counts[group, what] += n

    def section(self):
        """The report: totals, and a row for each kind."""
        totals = Counter()
        for (group, _), n in self.counts.items():
            totals[group] += n
        told = [f"{totals[group]:,} {group}" for group in GROUPS if totals[group]]
        rows = [
            f"| {group} | {what} | {n:,} |"
            for (group, what), n in sorted(
                self.counts.items(), key=lambda item: (GROUPS.index(item[0][0]), item[0][1])
            )
        ]
        return "\n".join(
            [_HEADING, f"{', '.join(told)}.\n", "| | | times |", "|---|---|--:|", *rows, ""]
        )

    def pytest_collection_modifyitems(self, items):
        self._counting = {item.nodeid for item in items if "tally" in item.fixturenames}

    def pytest_deselected(self, items):
        self._whole &= not items

    def pytest_runtest_logreport(self, report):
        self._whole &= not (report.skipped and report.nodeid in self._counting)

    def pytest_sessionfinish(self, session, exitstatus):
        if exitstatus or not self._whole:
            if self._write:
                self._said = f"{README} is left as it was: it tells of whole runs that pass."
                session.exitstatus = exitstatus or pytest.ExitCode.USAGE_ERROR
            return
        before = README.read_text(encoding="utf-8")
        now = before.partition(_HEADING)[0] + self.section()
        if now == before:
            return
        if self._write:
            README.write_text(now, encoding="utf-8")
            self._said = f"{README} rewritten."
            return
        self._said = f"{README} tells of another run than this one; --write-report rewrites it."
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        if self._said is not None:
            terminalreporter.write_line(self._said, yellow=True)
