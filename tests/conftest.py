"""Settings of the whole suite: no network, examples without time limits, Ctrl-C enabled."""

import os
import signal

import hypothesis
import pytest

from tally import Tally

# Threads only slow down models this small, above all beside other processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The hub's client reads this when it is imported, so it is set before any test is imported.
os.environ["HF_HUB_OFFLINE"] = "1"
# Tests that need Neuronpedia's bucket serve one; no other test may reach the real one.
os.environ["SFAL_NEURONPEDIA_URL"] = "http://127.0.0.1:9"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Background jobs of a shell ignore Ctrl-C, and so do the processes they start.
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
        help="rewrite the table in tests/README.md from this run of the whole suite",
    )
    parser.addoption(
        "--heavy",
        action="store_true",
        help="run the tests marked heavy too, which take minutes",
    )


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--heavy"):
        for item in items:
            if item.get_closest_marker("heavy"):
                item.add_marker(pytest.mark.skip(reason="heavy; --heavy runs it"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep tests that share a dear fixture in one process, unless ``--dist`` says otherwise."""
    from scheduling import SharedFixtures

    return SharedFixtures(config, log) if config.getvalue("dist") == "load" else None


def pytest_configure(config):
    config.pluginmanager.register(Tally(config), "tally")


@pytest.fixture(scope="session")
def tally(request):
    """Count a kill, a fault or a hostile input; see :class:`tally.Tally`."""
    return request.config.pluginmanager.get_plugin("tally")


@pytest.fixture(autouse=True)
def _no_data_folder_of_an_earlier_command(monkeypatch):
    """A command run in this process leaves its data folder behind, which hints would name."""
    monkeypatch.setattr("sfal.cli.hints._data_dir", None)
