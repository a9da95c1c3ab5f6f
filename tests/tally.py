"""Counts of what the suite does to SFAL on purpose, for the terminal and `tests/README.md`."""

import os
from collections import Counter
from pathlib import Path

import pytest

README = Path(__file__).with_name("README.md")
_HEADING = "## What was tried, with nothing lost\n"
GROUPS = ("kills", "interruptions", "faults", "hostile inputs")
_MORE_THAN_USUAL = ("SFAL_KILLS", "SFAL_MAX_EXAMPLES")
"""Variables that change how much is tried, and with it the counts."""


class Tally:
    """Counts, and the plugin that shows them after a run.

    Under pytest-xdist every worker has its own, and sends it to the controller.
    """

    def __init__(self, config):
        self._config = config
        self._write = config.getoption("--write-report")
        self._whole = not config.getoption("collectonly")
        if not self._is_worker():  # workers are given paths even if the user gave none
            self._whole &= config.args_source is pytest.Config.ArgsSource.TESTPATHS
            self._whole &= not any(name in os.environ for name in _MORE_THAN_USUAL)
        self._counting = set()
        self._message = None
        self.counts = Counter()

    def __call__(self, kind, n=1):
        """Count `n` more of a kind, such as ``"kills: sfal cooc"``, after a check that nothing was lost."""
        group, colon, what = kind.partition(": ")
        assert group in GROUPS, f"{kind!r}: it begins with {', '.join(GROUPS)} and a colon"
        assert colon, kind
        assert what, kind
        self.counts[group, what] += n

    def totals(self):
        """Return the totals of all groups in one line."""
        totals = Counter()
        for (group, _), n in self.counts.items():
            totals[group] += n
        return ", ".join(f"{totals[group]:,} {group}" for group in GROUPS if totals[group])

    def section(self):
        """Return the report: totals, and one row per kind."""
        rows = [
            f"| {group} | {what} | {n:,} |"
            for (group, what), n in sorted(
                self.counts.items(), key=lambda item: (GROUPS.index(item[0][0]), item[0][1])
            )
        ]
        return "\n".join(
            [_HEADING, f"{self.totals()}.\n", "| | | times |", "|---|---|--:|", *rows, ""]
        )

    def _is_worker(self):
        return hasattr(self._config, "workerinput")

    def pytest_collection_modifyitems(self, items):
        self._counting = {
            item.nodeid
            for item in items
            if "tally" in item.fixturenames and not item.get_closest_marker("heavy")
        }

    def pytest_deselected(self, items):
        self._whole &= not items

    def pytest_runtest_logreport(self, report):
        self._whole &= not (report.skipped and report.nodeid in self._counting)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node, error):
        """Add a worker's counts to the controller's."""
        sent = getattr(node, "workeroutput", {}).get("tally", {"counts": [], "whole": False})
        self._whole &= sent["whole"]
        for group, what, n in sent["counts"]:
            self.counts[group, what] += n

    # The controller's workers must have ended, so its own part of this comes last.
    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session, exitstatus):
        if self._is_worker():
            counts = [[group, what, n] for (group, what), n in self.counts.items()]
            self._config.workeroutput["tally"] = {"counts": counts, "whole": self._whole}
            return
        if exitstatus or not self._whole:
            if self._write:
                self._message = f"{README} is left as it was, as it describes whole runs that pass."
                session.exitstatus = exitstatus or pytest.ExitCode.USAGE_ERROR
            return
        before = README.read_text(encoding="utf-8")
        now = before.partition(_HEADING)[0] + self.section()
        if self._write and now != before:
            README.write_text(now, encoding="utf-8")
            self._message = f"{README} rewritten."

    def pytest_terminal_summary(self, terminalreporter):
        if self.counts:
            terminalreporter.section("tried, with nothing lost")
            terminalreporter.write_line(self.totals())
            if terminalreporter.verbosity > 0:
                for (group, what), n in sorted(self.counts.items()):
                    terminalreporter.write_line(f"{n:>7,} {group}: {what}")
        if self._message is not None:
            terminalreporter.write_line(self._message, yellow=True)
