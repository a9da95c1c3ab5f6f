"""Settings of the whole suite: no network, seeded examples, no time limit on one example."""

import os

import hypothesis
import pytest

from tally import Tally

# Read by the hub's client when it is imported, so set before any test is.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

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
