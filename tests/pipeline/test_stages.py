"""Which sources each stage of a run passes on to the next one."""

import pytest

import sfal
from sfal.collect.driver import CollectResult
from sfal.embeddings.driver import EmbedResult
from sfal.errors import ArtifactError, InvalidInputError
from sfal.explanations.driver import DownloadResult
from sfal.pipeline import run as pipeline
from sfal.pipeline.settings import RunSettings
from sfal.scoring.driver import Outcome
from sfal.sources import Source
from sfal.sources.source import SaeRef
from sfal.store.layout import source_dir

GEMMA = ("gemma/0-a-res", "gemma/1-a-res", "gemma/2-a-res", "gemma/3-a-res")
LLAMA = "llama/0-a-res"


def source(name):
    model = "google/gemma-2-2b" if name in GEMMA else "meta-llama/Llama-3.1-8B"
    return Source(name, model, "res", 0, SaeRef("local", path="x"))


@pytest.fixture
def stages(monkeypatch, tmp_path):
    """Replace the stages: what each is called with is recorded, and some sources fail."""
    calls = []

    def error(stage, name):
        return ArtifactError(f"{stage} {name}") if (stage, name) in FAILING else None

    def collect(sources, settings, data_dir):
        calls.append((settings.corpus, [s.name for s in sources]))
        return [
            CollectResult(s, data_dir / s.name, None, error("count", s.name), 0, None, None)
            for s in sources
        ]

    def download(sources, settings, data_dir, *, on_result):
        calls.append(("download", [s.name for s in sources]))
        return [DownloadResult(s.name, error=error("download", s.name)) for s in sources]

    def embed(names, settings, data_dir, *, on_result):
        calls.append(("embed", list(names)))
        for name in names:
            if error("embed", name) is None:
                path = source_dir(data_dir, name) / "a" / "b" / "mixed_embeddings.parquet"
                path.parent.mkdir(parents=True)
                path.touch()
        return [EmbedResult(name, "a/b", error=error("embed", name)) for name in names]

    def score(data_dir, selection, settings, *, output):
        calls.append(("score", list(selection.sources)))
        return Outcome([], [], [])

    for name, stage in {
        "collect": collect,
        "download_explanations": download,
        "embed_explanations": embed,
        "score_selection": score,
    }.items():
        monkeypatch.setattr(pipeline, name, stage)
    return calls


FAILING = {("count", GEMMA[1]), ("download", GEMMA[2]), ("embed", GEMMA[3])}


def test_a_source_that_fails_is_left_out_of_later_stages(stages, tmp_path):
    result = sfal.run([*map(source, (*GEMMA, LLAMA))], data_dir=tmp_path)
    assert stages == [
        ("auto", list(GEMMA)),
        ("auto", [LLAMA]),
        ("download", [GEMMA[0], GEMMA[2], GEMMA[3], LLAMA]),
        ("embed", [GEMMA[0], GEMMA[3], LLAMA]),
        ("score", [GEMMA[0], LLAMA]),
    ]
    assert [str(error) for error in result.errors] == [
        f"{stage} {name}" for stage, name in sorted(FAILING)
    ]


def test_embeddings_of_an_earlier_run_are_scored_though_the_download_fails(stages, tmp_path):
    path = tmp_path / GEMMA[2] / "a" / "b" / "mixed_embeddings.parquet"
    path.parent.mkdir(parents=True)
    path.touch()
    sfal.run(source(GEMMA[2]), data_dir=tmp_path)
    assert stages[-1] == ("score", [GEMMA[2]])
    assert ("embed", [GEMMA[2]]) not in stages


def test_without_a_counted_source_later_stages_are_not_called(stages, tmp_path):
    result = sfal.run(source(GEMMA[1]), data_dir=tmp_path)
    assert [name for name, _ in stages] == ["auto"]
    assert result.scores is None


def test_a_given_corpus_holds_for_all_models_and_a_shard_is_refused(stages, tmp_path):
    settings = RunSettings(collect=sfal.CollectSettings("text.jsonl"))
    sfal.run([source(GEMMA[0]), source(LLAMA)], settings, tmp_path)
    assert [corpus for corpus, _ in stages[:2]] == ["text.jsonl"] * 2
    from sfal.collect.settings import Shard

    with pytest.raises(InvalidInputError, match="a shard cannot be scored"):
        RunSettings(collect=sfal.CollectSettings("text.jsonl", shard=Shard(1, 2)))


def test_an_unusable_embedder_is_refused_before_anything_is_counted(stages, tmp_path):
    settings = RunSettings(embed=sfal.EmbedSettings(embedding_models=("./nothing",)))
    with pytest.raises(InvalidInputError, match="there is no model"):
        sfal.run(source(GEMMA[0]), settings, tmp_path)
    assert stages == []
