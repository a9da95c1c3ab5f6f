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
    """A copy of the world, in which inputs can be replaced."""
    root = tmp_path / "world"
    shutil.copytree(world[0], root)
    return root
