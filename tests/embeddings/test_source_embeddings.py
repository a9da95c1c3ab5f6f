"""Embeddings of one source: what is written, skipped, repeated and refused."""

from dataclasses import replace

import numpy as np
import pytest

import tiny_embedders as models
from embeddings.fixtures import HUB, embed, never
from explanations.fixtures import QUICK, folder, source, texts
from servers import exports
from sfal.embeddings.embedders import NEURONPEDIA, EmbedderRef, resolve_embedder
from sfal.embeddings.source_embeddings import embed_source
from sfal.errors import ArtifactError, InvalidInputError, LockedError, SettingsMismatchError
from sfal.explanations.source_explanations import choose_explanations, explanations_of
from sfal.io.lock import folder_lock
from sfal.store.embeddings import find_vectors, read_vectors


def test_each_vector_belongs_to_its_explanation(tmp_path, bucket):
    bucket.objects.update(
        exports.export(
            [[exports.record(i, "the same" if i % 2 else f"{'x' * i} text") for i in range(9)], []]
        )
    )
    choose_explanations(source(tmp_path), QUICK)
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


def test_embedded_explanations_are_skipped_until_they_change(tmp_path, bucket):
    choose_explanations(source(tmp_path), QUICK)
    path = embed(tmp_path, models.Counting()).path
    assert path.name == "mixed_embeddings.parquet"
    table = explanations_of(source(tmp_path))
    assert embed_source(source(tmp_path), table, HUB, never).skipped
    bucket.objects.update(exports.export([[exports.record(0, "new words")]]))
    choose_explanations(source(tmp_path), QUICK)
    counting = models.Counting()
    assert not embed(tmp_path, counting).skipped
    assert "new words" in counting.seen


def test_a_damaged_file_is_made_again(tmp_path, bucket):
    choose_explanations(source(tmp_path), QUICK)
    path = embed(tmp_path, models.Counting()).path
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    assert not embed(tmp_path, models.Counting()).skipped
    assert path.read_bytes() == whole


def test_an_interrupted_run_ends_with_the_same_bytes(tmp_path, bucket):
    bucket.objects.update(exports.export([[exports.record(i) for i in range(1300)]]))
    choose_explanations(source(tmp_path), QUICK)
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


def test_pieces_left_beside_a_complete_file_are_removed(tmp_path, bucket):
    choose_explanations(source(tmp_path), QUICK)
    table, ref = explanations_of(source(tmp_path)), EmbedderRef("a/b")
    path = embed_source(source(tmp_path), table, ref, models.Counting).path
    left = path.parent / ".pieces-0123" / "000000.npy"
    left.parent.mkdir()
    left.touch()
    assert embed_source(source(tmp_path), table, ref, models.Counting).skipped
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_local_model_that_was_replaced_in_place_is_noticed(tmp_path, bucket):
    choose_explanations(source(tmp_path), QUICK)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text("{}")
    ref = resolve_embedder(str(tmp_path / "m"))
    embed(tmp_path, models.Counting(ref.fingerprint), ref)
    assert embed(tmp_path, models.Counting(), ref).skipped
    (tmp_path / "m" / "config.json").write_text('{"other": 1}')
    exchanged = resolve_embedder(str(tmp_path / "m"))
    with pytest.raises(SettingsMismatchError, match="embedding_name"):
        embed(tmp_path, models.Counting(exchanged.fingerprint), exchanged)
    renamed = resolve_embedder(str(tmp_path / "m"), "local/m2")
    assert not embed(tmp_path, models.Counting(renamed.fingerprint), renamed).skipped


def test_another_revision_under_the_same_name_is_refused(tmp_path, bucket):
    choose_explanations(source(tmp_path), QUICK)
    embed(tmp_path, models.Counting())
    with pytest.raises(SettingsMismatchError, match="revision"):
        embed(tmp_path, models.Counting(), replace(HUB, revision="abc"))


def test_a_model_that_gives_no_numbers_is_refused_and_nothing_is_written(tmp_path, bucket):
    choose_explanations(source(tmp_path), QUICK)

    class Broken(models.Counting):
        def encode(self, given):
            return super().encode(given) * np.float32("nan")

    with pytest.raises(InvalidInputError, match="not finite"):
        embed(tmp_path, Broken())
    assert find_vectors(folder(tmp_path)) == {}


def test_two_processes_do_not_write_at_once(tmp_path, bucket):
    choose_explanations(source(tmp_path), QUICK)
    with folder_lock(folder(tmp_path) / "export"), pytest.raises(LockedError, match="process"):
        choose_explanations(source(tmp_path), QUICK)
    with folder_lock(folder(tmp_path) / "someone" / "model"), pytest.raises(LockedError):
        embed(tmp_path, models.Counting())


def test_the_exports_own_vectors_need_no_model(tmp_path, bucket):
    choose_explanations(source(tmp_path), QUICK)
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
    choose_explanations(source(tmp_path), QUICK)
    summary = embed(tmp_path, None, EmbedderRef(NEURONPEDIA))
    assert (summary.n_vectors, summary.n_missing) == (2, len(bad) + 1)
    bucket.objects.update(exports.export([bad, []]))
    choose_explanations(source(tmp_path), QUICK)
    with pytest.raises(ArtifactError, match="has no vectors"):
        embed(tmp_path, None, EmbedderRef(NEURONPEDIA))


def test_the_exports_vectors_need_the_export(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("feature,explanation\n4,four\n")
    choose_explanations(source(tmp_path), replace(QUICK, explanations_file=path))
    with pytest.raises(ArtifactError, match=r"sfal\.download_explanations"):
        embed(tmp_path, None, EmbedderRef(NEURONPEDIA))
