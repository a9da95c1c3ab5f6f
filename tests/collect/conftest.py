"""Fixtures of more than one module."""

import shutil

import pytest

from collect import fixtures


@pytest.fixture(scope="package")
def world(tmp_path_factory):
    """See :func:`fixtures.make`."""
    return fixtures.make(tmp_path_factory.mktemp("world"))


@pytest.fixture
def copy(world, tmp_path):
    """A world of one's own, to exchange things in."""
    root = tmp_path / "world"
    shutil.copytree(world[0], root)
    return root
