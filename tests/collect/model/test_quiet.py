"""What other libraries say while a plain model is read."""

import logging

import tiny
from sfal.collect.model.hook_points import HookPoint
from sfal.collect.model.load import load_language_model


def test_padding_without_a_mask_is_not_complained_about(tmp_path):
    load_language_model(str(tiny.gpt2(tmp_path / "gpt2")), [HookPoint(0, "res")])
    theirs = logging.getLogger("transformers.modeling_utils")

    def passes(message):
        record = logging.LogRecord(theirs.name, logging.WARNING, "", 0, message, None, None)
        return bool(theirs.filter(record))

    assert not passes("We strongly recommend passing in an `attention_mask` since …")
    assert passes("Some weights were not used.")
