"""The revision of the language model that SAEs name."""

import pytest

from sfal.collect.session.loading import Reader, _revision
from sfal.collect.settings import ModelConfig
from sfal.errors import InvalidInputError
from sfal.sources import SaeRef, Source
from sfal.sources.configuration.training import Training


def readers(*revisions):
    return [
        Reader(
            Source(f"m/{i}", "m", "res", 0, SaeRef("local"), training=Training(revision=name)),
            sae=None,
        )
        for i, name in enumerate(revisions)
    ]


def test_the_saes_own_revision_is_taken_unless_another_is_requested():
    assert _revision(readers("step9", "step9"), ModelConfig()) == "step9"
    assert _revision(readers("step9"), ModelConfig(revision="main")) == "main"
    assert _revision(readers(None), ModelConfig()) is None


def test_saes_of_different_revisions_are_not_counted_together():
    with pytest.raises(InvalidInputError, match=r"different revisions of m \(none, step9\)"):
        _revision(readers("step9", None), ModelConfig())
    assert _revision(readers("step9", None), ModelConfig(revision="step9")) == "step9"
