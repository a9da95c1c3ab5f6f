"""Tiny models of every family, each made once."""

import pytest

import tiny


@pytest.fixture(scope="package")
def folders(tmp_path_factory):
    """One folder of each family, made when first asked for."""
    root = tmp_path_factory.mktemp("models")
    made = {}

    def folder(family, **options):
        key = (family, *sorted(options.items()))
        if key not in made:
            made[key] = str(getattr(tiny, family)(root / str(len(made)), **options))
        return made[key]

    return folder
