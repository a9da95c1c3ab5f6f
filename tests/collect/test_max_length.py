"""Models that take fewer than 1,024 tokens: the default follows them, and is recorded."""

import json
import shutil

import pytest
from click.testing import CliRunner

from collect import oracle
from collect.fixtures import settings
from sfal.cli.hints import told
from sfal.cli.main import sfal
from sfal.collect.driver import collect
from sfal.errors import InvalidInputError

LIMIT = 40


@pytest.fixture
def small(world, tmp_path):
    """A copy of the model that takes few tokens, with a corpus and a source on it."""
    root, sources, _ = world
    model = tmp_path / "lm"
    shutil.copytree(root / "lm", model)
    config = json.loads((model / "config.json").read_text())
    config["max_position_embeddings"] = LIMIT
    (model / "config.json").write_text(json.dumps(config))
    oracle.write_jsonl(tmp_path / "corpus.jsonl", oracle.texts(40, longest=30))
    return tmp_path, sources[0]


def words(small, *more):
    folder, source = small
    given = (
        "cooc", "sae", "--sae", source.sae.path, "--model", folder / "lm", "--site", source.site,
        "--layer", source.layer, "--source", "mine/0", "--corpus", folder / "corpus.jsonl",
        "--data-dir", folder / "data", "--n-docs", 40, "--device", "cpu",
    )  # fmt: skip
    return CliRunner().invoke(sfal, list(map(str, (*given, *more))))


def test_the_default_is_what_the_model_takes(small):
    done = words(small, "--k", 16)
    assert done.exit_code == 0, (done.output, done.exception)
    assert f"max_length is {LIMIT}, since lm takes at most {LIMIT} tokens" in done.output
    manifest = json.loads((small[0] / "data" / "mine" / "0" / "manifest.json").read_text())
    assert manifest["settings"]["max_length"] == LIMIT
    again = words(small, "--k", 16)
    assert "counted before" in again.output
    assert words(small, "--k", 16, "--max-length", LIMIT).exit_code == 0
    shutil.rmtree(small[0] / "lm")
    (small[0] / "lm").mkdir()  # a complete run needs no model, and its record says what it takes
    unknown = words(small, "--k", 16, "--dry-run")
    assert "max_length was" not in told(unknown.exception or "")


def test_a_length_that_was_asked_for_and_is_too_long_is_an_error(small):
    dry = words(small, "--k", 16, "--max-length", 512, "--dry-run")
    done = words(small, "--k", 16, "--max-length", 512)
    assert dry.exit_code == done.exit_code == 1
    assert "--max-length 40" in told(done.exception)
    assert told(dry.exception).startswith("max_length is 512, but ")
    assert "the run would fail" in dry.output


def test_a_window_larger_than_the_model_takes_is_refused_before_it_is_loaded(small):
    for more in ((), ("--dry-run",)):
        done = words(small, "--k", 41, *more)
        assert done.exit_code == 1
        assert f"window_size is 41, but lm takes at most {LIMIT} tokens" in told(done.exception)


def test_without_a_window_a_size_that_fits_is_advised(small):
    done = words(small, "--k", LIMIT)  # BOS takes one of them
    assert done.exit_code == 1
    assert "long enough for a window of 40 tokens" in told(done.exception)
    assert "use --k 16 or smaller" in told(done.exception)
    assert words(small, "--k", 16).exit_code == 0


def test_a_dry_run_without_a_corpus_fails_as_the_run_does(small):
    (small[0] / "corpus.jsonl").write_text("")
    for more in ((), ("--dry-run",)):
        done = words(small, "--k", 16, *more)
        assert done.exit_code == 1
        assert "has no documents" in told(done.exception)


def test_a_model_that_takes_more_keeps_the_default(world, tmp_path):
    root, sources, _ = world
    (result,) = collect(sources[:1], settings(root, n_docs=40), tmp_path)
    assert result.manifest.settings["max_length"] == 1024
    assert not any("max_length" in str(note) for note in result.notes)
    with pytest.raises(InvalidInputError, match="window_size is 2000"):
        settings(root, window_size=2000)
