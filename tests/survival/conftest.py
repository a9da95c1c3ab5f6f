import signal
import time

import pytest

from servers import hub as hub_server
from servers import s3
from servers.launcher import launcher
from survival import world as w

IMPORTS = "sentence_transformers, matplotlib.figure, sfal.scoring.driver, sfal.report.plot"


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    root, home = tmp_path_factory.mktemp("world"), tmp_path_factory.mktemp("home")
    with hub_server.serve() as hub, s3.serve({}) as bucket:
        w.build(root, hub, bucket)
        environment = hub.environment(home) | {"SFAL_NEURONPEDIA_URL": bucket.url}
        with launcher(tmp_path_factory.mktemp("launched"), IMPORTS, **environment) as launched:
            yield w.World(root, hub, bucket, launched)


@pytest.fixture
def unbroken(world, tmp_path_factory):
    """Return what an undisturbed run of a case leaves."""
    return lambda case: world.unbroken(case, tmp_path_factory.mktemp("unbroken") / "data")


@pytest.fixture
def cooc(world):
    return world.cases["sfal cooc"]


@pytest.fixture
def halfway(world, cooc, tmp_path):
    """A run of `sfal cooc` that has just written its first part."""
    data = tmp_path / "data"
    command = world.launched.start(*cooc.words(data), "--n-docs", 3 * w.N_DOCS)
    end = time.monotonic() + 60
    while not list(data.rglob("manifest.json")):
        assert time.monotonic() < end
        time.sleep(0.002)
    yield command, data
    command.send(signal.SIGKILL)
    command.send(signal.SIGCONT)
