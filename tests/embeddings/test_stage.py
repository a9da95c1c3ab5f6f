"""Explanations chosen and embedded for a source: what is written, skipped, redone, refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

import tiny_embedders as models
from servers import exports, faults, s3
from sfal.embeddings.build import embed_explanations
from sfal.embeddings.choose import (
    DownloadSettings,
    choose_explanations,
    explanations_of,
)
from sfal.embeddings.embedders import NEURONPEDIA, EmbedderRef, resolve_embedder
from sfal.embeddings.explanations import Preferences
from sfal.embeddings.targets import ExplainedSource, named_source, sources_on_disk
from sfal.embeddings.transfer import Patience
from sfal.errors import (
    ArtifactError,
    DownloadError,
    InvalidInputError,
    LockedError,
    SettingsMismatchError,
)
from sfal.store.explanations import explanations_metadata, read_explanations
from sfal.store.lock import folder_lock
from sfal.store.vectors import find_vectors, read_vectors

SOURCE = ExplainedSource(exports.SOURCE, exports.SOURCE)
QUICK = DownloadSettings(patience=Patience(rate_seconds=0.5, first_wait=0.01, attempts=2))
HUB = EmbedderRef("someone/model")


def export(n=6, **fields):
    """Two batches: n features of the published kind, and two further of another."""
    return exports.export(
        [
            [exports.record(i, **fields) for i in range(n)],
            [exports.newer_record(i) for i in range(n + 2)],
        ]
    )


@pytest.fixture
def bucket(monkeypatch):
    with s3.serve(export()) as bucket:
        monkeypatch.setenv("SFAL_NEURONPEDIA_URL", bucket.url)
        yield bucket


def folder(tmp_path):
    return tmp_path / exports.SOURCE


def texts(tmp_path):
    table = read_explanations(folder(tmp_path))
    return dict(
        zip(
            table.column("feature").to_pylist(),
            table.column("explanation").to_pylist(),
            strict=True,
        )
    )


def embed(tmp_path, embedder, ref=HUB, source=SOURCE):
    table = explanations_of(source, tmp_path)
    return embed_explanations(source, tmp_path, table, ref, lambda: embedder)


def never():
    raise AssertionError("the model was loaded though nothing was to be embedded")


def test_a_download_that_fails_leaves_no_folder_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("SFAL_NEURONPEDIA_URL", "http://127.0.0.1:9")
    with pytest.raises(DownloadError):
        choose_explanations(SOURCE, tmp_path, QUICK)
    assert list(tmp_path.iterdir()) == []


def test_the_choice_is_written_with_where_it_comes_from(tmp_path, bucket):
    summary = choose_explanations(SOURCE, tmp_path, QUICK)
    assert (summary.n_chosen, summary.n_features, summary.n_missing) == (8, 8, 0)
    assert summary.kinds == (
        ("oai_token-act-pair", "gpt-4o-mini", 6),
        ("np_max-act-logits", "gemini-2.0-flash", 2),
    )
    assert texts(tmp_path) == {i: f"words about topic {i}" for i in range(8)}
    metadata = explanations_metadata(read_explanations(folder(tmp_path)))
    assert metadata["source"] == exports.SOURCE
    assert metadata["origin"]["neuronpedia"] == exports.SOURCE


def test_a_second_call_asks_for_the_list_alone_and_writes_nothing(tmp_path, bucket):
    choose_explanations(SOURCE, tmp_path, QUICK)
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in _files(tmp_path)}
    bucket.requests.clear()
    summary = choose_explanations(SOURCE, tmp_path, QUICK)
    assert summary.unchanged
    assert bucket.requests == ["list"]
    assert before == {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in _files(tmp_path)}


def _files(tmp_path):
    return sorted(p for p in tmp_path.rglob("*") if p.is_file())


def test_a_changed_export_changes_the_choice(tmp_path, bucket):
    choose_explanations(SOURCE, tmp_path, QUICK)
    bucket.objects.update(exports.export([[exports.record(0, "new words")]]))
    assert not choose_explanations(SOURCE, tmp_path, QUICK).unchanged
    assert texts(tmp_path)[0] == "new words"


def test_known_width_says_how_many_are_missing_and_leaves_out_what_is_beyond(tmp_path, bucket):
    bucket.objects.update(
        exports.export([[exports.record(i) for i in range(500)] + [exports.record(5000)]])
    )
    source = replace(SOURCE, n_features=1000)
    summary = choose_explanations(source, tmp_path, QUICK)
    assert (summary.n_chosen, summary.n_missing) == (500, 500)
    assert summary.left_out == {"index beyond the SAE's width": 1}


def test_explanations_of_another_width_are_refused(tmp_path, bucket):
    with pytest.raises(ArtifactError, match="another SAE"):
        choose_explanations(replace(SOURCE, n_features=3), tmp_path, QUICK)


def test_explanations_of_another_source_are_refused(tmp_path, bucket):
    bucket.objects.update(export(modelId="gemma-2-9b"))
    prefix = f"v1/{exports.SOURCE}/explanations/batch-1"
    del bucket.objects[f"{prefix}.jsonl.gz"]
    with pytest.raises(ArtifactError, match=r"6 of another source.*of another source"):
        choose_explanations(SOURCE, tmp_path, QUICK)
    assert not (folder(tmp_path) / "explanations.parquet").exists()


def test_a_damaged_batch_on_disk_is_fetched_again(tmp_path, bucket):
    choose_explanations(SOURCE, tmp_path, QUICK)
    path = next((folder(tmp_path) / "export").glob("batch-0-*"))
    path.write_bytes(bytes(len(path.read_bytes())))
    (folder(tmp_path) / "explanations.parquet").unlink()
    bucket.requests.clear()
    choose_explanations(SOURCE, tmp_path, QUICK)
    assert len(bucket.fetched()) == 1
    assert len(texts(tmp_path)) == 8


def test_what_a_killed_process_left_is_swept_away(tmp_path, bucket):
    (folder(tmp_path) / "export").mkdir(parents=True)
    names = ("export/.tmp-999999999-batch-0.jsonl.gz", ".tmp-999999999-explanations.parquet")
    left = [folder(tmp_path) / name for name in names]
    for path in left:
        path.write_bytes(b"half")
    choose_explanations(SOURCE, tmp_path, QUICK)
    assert not any(path.exists() for path in left)


def test_a_source_that_is_not_on_neuronpedia_needs_a_file(tmp_path):
    with pytest.raises(InvalidInputError, match="--explanations FILE"):
        choose_explanations(ExplainedSource("my-model/3-sae-res", None), tmp_path, QUICK)
    path = tmp_path / "mine.csv"
    path.write_text("feature,explanation\n4,four\n")
    source = ExplainedSource("my-model/3-sae-res", None)
    summary = choose_explanations(source, tmp_path, replace(QUICK, file=path))
    assert summary.kinds == (("custom", "mine", 1),)
    assert choose_explanations(source, tmp_path, replace(QUICK, file=path)).unchanged
    path.write_text("feature,explanation\n4,five\n")
    assert not choose_explanations(source, tmp_path, replace(QUICK, file=path)).unchanged


def test_a_file_of_more_features_than_the_sae_has_is_refused(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("feature,explanation\n4,four\n70,x\n")
    source = ExplainedSource("my-model/3-sae-res", None, n_features=8)
    with pytest.raises(ArtifactError, match="another SAE"):
        choose_explanations(source, tmp_path, replace(QUICK, file=path))


def test_what_is_asked_for_is_chosen_anew_from_what_lies_there(tmp_path, bucket):
    choose_explanations(SOURCE, tmp_path, QUICK)
    bucket.requests.clear()
    table = explanations_of(SOURCE, tmp_path, Preferences(explainers=("gemini-2.0-flash",)))
    assert set(table.column("explainer").to_pylist()) == {"gemini-2.0-flash"}
    assert len(table) == 8
    assert bucket.requests == []
    with pytest.raises(InvalidInputError, match=r"gemini-2\.0-flash"):
        explanations_of(SOURCE, tmp_path, Preferences(types=("eleuther_acts_top20",)))
    assert len(explanations_of(SOURCE, tmp_path)) == 8


def test_explanations_of_a_file_are_filtered_only_if_all_fit(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("feature,explanation\n4,four\n")
    source = ExplainedSource("my-model/3-sae-res", None)
    choose_explanations(source, tmp_path, replace(QUICK, file=path))
    assert len(explanations_of(source, tmp_path, Preferences(("mine",), ("custom",)))) == 1
    with pytest.raises(InvalidInputError, match="custom by mine"):
        explanations_of(source, tmp_path, Preferences(("gpt-4o-mini",)))


def test_vectors_are_of_their_explanations(tmp_path, bucket):
    bucket.objects.update(
        exports.export(
            [[exports.record(i, "the same" if i % 2 else f"{'x' * i} text") for i in range(9)], []]
        )
    )
    choose_explanations(SOURCE, tmp_path, QUICK)
    counting = models.Counting()
    summary = embed(tmp_path, counting)
    assert summary.n_vectors == 9
    assert sorted(counting.seen) == sorted(set(texts(tmp_path).values()))
    found = read_vectors(summary.path)
    plain = models.Counting()
    for feature, vector in zip(found.features, found.vectors, strict=True):
        np.testing.assert_array_equal(vector, plain.encode([texts(tmp_path)[feature]])[0])
    assert find_vectors(folder(tmp_path)) == {
        ("someone/model", "oai_token-act-pair_gpt-4o-mini"): summary.path
    }
    assert found.metadata["embedder"] == "someone/model"
    assert found.metadata["explainer"] == "gpt-4o-mini"
    assert found.metadata["source"] == exports.SOURCE
    assert {p.name for p in summary.path.parent.iterdir()} == {summary.path.name}


def test_what_is_embedded_is_skipped_until_the_explanations_change(tmp_path, bucket):
    choose_explanations(SOURCE, tmp_path, QUICK)
    path = embed(tmp_path, models.Counting()).path
    assert path.name == "mixed_embeddings.parquet"
    table = explanations_of(SOURCE, tmp_path)
    assert embed_explanations(SOURCE, tmp_path, table, HUB, never).skipped
    bucket.objects.update(exports.export([[exports.record(0, "new words")]]))
    choose_explanations(SOURCE, tmp_path, QUICK)
    counting = models.Counting()
    assert not embed(tmp_path, counting).skipped
    assert "new words" in counting.seen


def test_a_damaged_file_is_made_again(tmp_path, bucket):
    choose_explanations(SOURCE, tmp_path, QUICK)
    path = embed(tmp_path, models.Counting()).path
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    assert not embed(tmp_path, models.Counting()).skipped
    assert path.read_bytes() == whole


def test_a_run_that_was_stopped_ends_in_the_same_bytes(tmp_path, bucket):
    bucket.objects.update(exports.export([[exports.record(i) for i in range(1300)]]))
    choose_explanations(SOURCE, tmp_path, QUICK)
    path = embed(tmp_path, models.Counting()).path
    whole = path.read_bytes()
    path.unlink()
    with pytest.raises(KeyboardInterrupt):
        embed(tmp_path, models.Counting(fail_after=1))
    assert not path.exists()
    rest = models.Counting()
    embed(tmp_path, rest)
    assert 0 < len(rest.seen) < 1300
    assert path.read_bytes() == whole


def test_pieces_that_outlived_their_file_are_swept_away(tmp_path, bucket):
    choose_explanations(SOURCE, tmp_path, QUICK)
    table, ref = explanations_of(SOURCE, tmp_path), EmbedderRef("a/b")
    path = embed_explanations(SOURCE, tmp_path, table, ref, models.Counting).path
    left = path.parent / ".pieces-0123" / "000000.npy"
    left.parent.mkdir()
    left.touch()
    assert embed_explanations(SOURCE, tmp_path, table, ref, models.Counting).skipped
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_local_model_exchanged_in_place_is_noticed(tmp_path, bucket):
    choose_explanations(SOURCE, tmp_path, QUICK)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text("{}")
    ref = resolve_embedder(str(tmp_path / "m"))
    embed(tmp_path, models.Counting(ref.fingerprint), ref)
    assert embed(tmp_path, models.Counting(), ref).skipped
    (tmp_path / "m" / "config.json").write_text('{"other": 1}')
    exchanged = resolve_embedder(str(tmp_path / "m"))
    with pytest.raises(SettingsMismatchError, match="--embedding-name"):
        embed(tmp_path, models.Counting(exchanged.fingerprint), exchanged)
    renamed = resolve_embedder(str(tmp_path / "m"), "local/m2")
    assert not embed(tmp_path, models.Counting(renamed.fingerprint), renamed).skipped


def test_another_revision_under_the_same_name_is_refused(tmp_path, bucket):
    choose_explanations(SOURCE, tmp_path, QUICK)
    embed(tmp_path, models.Counting())
    with pytest.raises(SettingsMismatchError, match="revision"):
        embed(tmp_path, models.Counting(), replace(HUB, revision="abc"))


def test_a_model_that_gives_no_numbers_is_refused_and_nothing_is_written(tmp_path, bucket):
    choose_explanations(SOURCE, tmp_path, QUICK)

    class Broken(models.Counting):
        def encode(self, given):
            return super().encode(given) * np.float32("nan")

    with pytest.raises(InvalidInputError, match="not finite"):
        embed(tmp_path, Broken())
    assert find_vectors(folder(tmp_path)) == {}


def test_two_processes_do_not_write_at_once(tmp_path, bucket):
    choose_explanations(SOURCE, tmp_path, QUICK)
    with folder_lock(folder(tmp_path) / "export"), pytest.raises(LockedError, match="process"):
        choose_explanations(SOURCE, tmp_path, QUICK)
    with folder_lock(folder(tmp_path) / "someone" / "model"), pytest.raises(LockedError):
        embed(tmp_path, models.Counting())


def test_the_exports_own_vectors_need_no_model(tmp_path, bucket):
    choose_explanations(SOURCE, tmp_path, QUICK)
    bucket.requests.clear()
    summary = embed(tmp_path, None, EmbedderRef(NEURONPEDIA))
    found = read_vectors(summary.path)
    assert (summary.n_vectors, summary.n_missing) == (8, 0)
    np.testing.assert_array_equal(found.vectors, [exports.vector(i) for i in range(8)])
    assert summary.path.relative_to(folder(tmp_path)).parts[0] == "neuronpedia"
    assert bucket.requests == []
    assert embed(tmp_path, None, EmbedderRef(NEURONPEDIA)).skipped


BAD_VECTORS = [
    None,
    "",
    "[1, 2",
    "[" * 5000,
    [],
    [*[1.0] * 255, "1"],
    [*[1.0] * 255, None],
    [*[1.0] * 255, True],
    [*[1.0] * 255, float("nan")],
    [*[1.0] * 255, 1e300],
    [*[1.0] * 255, 10**400],
    [[1.0] * 256],
    [0.0] * 256,
    {"a": 1},
    7,
    "[" + "1," * 300_000 + "1]",
]


def test_explanations_without_a_usable_vector_are_counted(tmp_path, bucket):
    bad = [exports.record(i, embedding=v) for i, v in enumerate(BAD_VECTORS)]
    odd = exports.record(len(bad), embedding=[1.0] * 255)
    good = [exports.record(len(bad) + n) for n in (1, 2)]
    bucket.objects.update(exports.export([[odd, *bad, *good], []]))
    choose_explanations(SOURCE, tmp_path, QUICK)
    summary = embed(tmp_path, None, EmbedderRef(NEURONPEDIA))
    assert (summary.n_vectors, summary.n_missing) == (2, len(bad) + 1)
    bucket.objects.update(exports.export([bad, []]))
    choose_explanations(SOURCE, tmp_path, QUICK)
    with pytest.raises(ArtifactError, match="carries no vectors"):
        embed(tmp_path, None, EmbedderRef(NEURONPEDIA))


def test_the_exports_vectors_need_the_export(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("feature,explanation\n4,four\n")
    choose_explanations(SOURCE, tmp_path, replace(QUICK, file=path))
    with pytest.raises(ArtifactError, match="sfal embeddings download"):
        embed(tmp_path, None, EmbedderRef(NEURONPEDIA))


def test_a_failed_download_leaves_what_was_there(tmp_path, bucket):
    choose_explanations(SOURCE, tmp_path, QUICK)
    before = texts(tmp_path)
    bucket.objects.update(exports.export([[exports.record(0, "new words")]]))
    bucket.fault(f"v1/{exports.SOURCE}/explanations/batch-0.jsonl.gz", faults.status(500))
    with pytest.raises(DownloadError):
        choose_explanations(SOURCE, tmp_path, QUICK)
    assert texts(tmp_path) == before


def test_a_source_knows_what_its_run_says(tmp_path):
    place = tmp_path / "my-model" / "3-sae-res"
    place.mkdir(parents=True)
    assert named_source(tmp_path, "my-model/3-sae-res").neuronpedia_id == "my-model/3-sae-res"
    manifest = {"source": {"neuronpedia_id": None}, "n_features": 64}
    (place / "manifest.json").write_text(json.dumps(manifest))
    assert named_source(tmp_path, "my-model/3-sae-res") == ExplainedSource(
        "my-model/3-sae-res", None, 64
    )
    (place / "manifest.json").write_text("{")
    assert named_source(tmp_path, "my-model/3-sae-res").n_features is None
    with pytest.raises(InvalidInputError):
        named_source(tmp_path, "../my-model")


def test_sources_on_disk_are_those_with_a_run_or_explanations(tmp_path):
    for name in (
        "m/0-a/manifest.json",
        "m/1-b/explanations.parquet",
        "m/2-c/export/listing.json",
        "m/3-d/x_cooccurrences.npz",
        "m/4-e/runs/r/manifest.json",
        "m/5-f/other.txt",
        "own/manifest.json",
        ".hidden/0-a/manifest.json",
        "gemmascope-res-16k/0-gemmascope-res-16k/x_cooccurrences.npz",
        "m/0-a/Qwen/Qwen3/mixed_embeddings.parquet",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert sources_on_disk(tmp_path) == ["m/0-a", "m/1-b", "m/2-c", "m/3-d", "m/4-e", "own"]
    assert sources_on_disk(tmp_path / "nothing") == []
