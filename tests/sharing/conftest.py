import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from servers import hub_uploads
from servers.hub_uploads import Uploads
from servers.launcher import Done, Launcher, launcher
from sharing.trees import REPO, SOURCE, write_tree

IMPORTS = "pyarrow.parquet, huggingface_hub, sfal.cli.share, sfal.sharing.push, sfal.sharing.pull"


@dataclass
class World:
    """A hub to which commands of another process may write."""

    hub: Uploads
    launched: Launcher
    original: Path
    """A data tree with a complete source; not to be changed."""
    environment: dict
    """Environment variables with which other processes use the hub."""

    def __call__(self, *words, cwd=None):
        return self.launched.run(*words, cwd=cwd)

    def push(self, data, *words, repo=REPO, source=SOURCE) -> Done:
        return self("push", source, "--repo", repo, "--data-dir", data, *words)

    def pull(self, data, *words, repo=REPO, source=SOURCE) -> Done:
        return self("pull", source, "--repo", repo, "--data-dir", data, *words)


@pytest.fixture(scope="session")
def shared_world(tmp_path_factory):
    root, home = tmp_path_factory.mktemp("hub"), tmp_path_factory.mktemp("home")
    original = write_tree(tmp_path_factory.mktemp("original") / "data")
    with (
        hub_uploads.serve(root) as hub,
        launcher(
            tmp_path_factory.mktemp("launched"), IMPORTS, models=False, **hub.environment(home)
        ) as launched,
    ):
        yield World(hub, launched, original, hub.environment(home))


@pytest.fixture
def world(shared_world):
    """The world, its hub emptied."""
    hub = shared_world.hub
    shutil.rmtree(hub.root, ignore_errors=True)
    fresh = Uploads(hub.root)
    for name in (
        "objects",
        "stored",
        "commits",
        "repositories",
        "private",
        "requests",
        "pretended",
    ):
        setattr(hub, name, getattr(fresh, name))
    hub.pause, hub.token, hub.before_commit = 0.0, fresh.token, None
    return shared_world


@pytest.fixture
def data(world, tmp_path):
    """A data tree of this test's own."""
    return shutil.copytree(world.original, tmp_path / "data")


@pytest.fixture
def pushed(world):
    """The world, with the source in the repository."""
    done = world.push(world.original)
    assert done.returncode == 0, done.stderr
    return world
