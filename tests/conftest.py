"""Settings of the whole suite: no network, seeded examples without time limits, Ctrl-C heeded."""

import os
import signal

import hypothesis
import pytest

from tally import Tally

# Models this small only lose by threads, most of all where other processes run.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Read by the hub's client when it is imported, so set before any test is.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# A shell's background jobs ignore Ctrl-C, and what they start does as well.
signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile(
    "sfal",
    deadline=None,
    max_examples=int(os.environ.get("SFAL_MAX_EXAMPLES", "50")),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("sfal")


def pytest_addoption(parser):
    parser.addoption(
        "--write-report",
        action="store_true",
        help="rewrite tests/README.md by what this run of the whole suite tried",
    )


def pytest_configure(config):
    config.pluginmanager.register(Tally(config), "tally")


@pytest.fixture(scope="session")
def tally(request):
    """Count a kill, a fault or a hostile input for the report; see :class:`tally.Tally`."""
    return request.config.pluginmanager.get_plugin("tally")
