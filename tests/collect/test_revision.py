"""The revision of the language model that SAEs name."""

import pytest

from sfal.collect.inputs import _revision
from sfal.collect.run import Run
from sfal.collect.settings import CollectSettings, ModelConfig
from sfal.errors import InvalidInputError
from sfal.sources import SaeRef, Source
from sfal.sources.training import Training


@pytest.fixture
def runs(tmp_path):
    def of(*revisions):
        settings = CollectSettings("c.jsonl")
        return [
            Run(
                Source(f"m/{i}", "m", "res", 0, SaeRef("local"), training=Training(revision=name)),
                tmp_path,
                settings,
            )
            for i, name in enumerate(revisions)
        ]

    return of


def test_the_saes_own_revision_is_taken_unless_another_is_requested(runs):
    assert _revision(runs("step9", "step9"), ModelConfig()) == "step9"
    assert _revision(runs("step9"), ModelConfig(revision="main")) == "main"
    assert _revision(runs(None), ModelConfig()) is None


def test_saes_of_different_revisions_are_not_counted_together(runs):
    with pytest.raises(InvalidInputError, match=r"different revisions of m \(none, step9\)"):
        _revision(runs("step9", None), ModelConfig())
    assert _revision(runs("step9", None), ModelConfig(revision="step9")) == "step9"
