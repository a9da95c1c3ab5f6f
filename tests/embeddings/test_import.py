"""Import of vectors that were made elsewhere."""

import io
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

import tiny_embedders as models
from embeddings.fixtures import HUB, embed
from explanations.fixtures import QUICK, counted_source, source
from sfal.cli.embeddings import embeddings
from sfal.embeddings.import_vectors import import_embeddings
from sfal.embeddings.vector_files import read_vector_file
from sfal.errors import (
    ArtifactError,
    CorruptError,
    InvalidInputError,
    MissingError,
    SettingsMismatchError,
)
from sfal.explanations.source_explanations import choose_explanations
from sfal.store.embeddings import find_vectors, read_vectors

NAME = "openai/text-embedding-3-large"
VECTORS = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
FEATURES = np.array([4, 0, 5, 1, 3, 2])


def lists(vectors, kind=None):
    return pa.array([None if v is None else list(v) for v in vectors], kind)


def parquet(path, **columns):
    pq.write_table(pa.table(columns), path)


def numbered(path):
    frame = pd.DataFrame(VECTORS, columns=[f"dim_{i}" for i in range(4)])
    frame.assign(feature_id=FEATURES).to_parquet(path)


WRITERS = {
    "plain.npy": lambda p: np.save(p, VECTORS),
    "fortran.npy": lambda p: np.save(p, np.asfortranarray(VECTORS)),
    "double.npy": lambda p: np.save(p, VECTORS.astype(np.float64)),
    "one.npz": lambda p: np.savez(p, VECTORS),
    "texts.npz": lambda p: np.savez(p, e=VECTORS, texts=np.array(["a"] * 6, object)),
    "features.npz": lambda p: np.savez_compressed(p, embeddings=VECTORS, feature=FEATURES),
    "floats.npz": lambda p: np.savez(p, embeddings=VECTORS, indices=FEATURES.astype(float)),
    "plain.safetensors": lambda p: save_file({"x": VECTORS}, p),
    "features.safetensors": lambda p: save_file({"vectors": VECTORS, "feature_ids": FEATURES}, p),
    "lists.parquet": lambda p: parquet(p, embedding=lists(VECTORS)),
    "fixed.parquet": lambda p: parquet(
        p, embedding=lists(VECTORS, pa.list_(pa.float32(), 4)), feature=FEATURES
    ),
    "texts.parquet": lambda p: parquet(
        p, vector=lists(VECTORS, pa.large_list(pa.float64())), latent=[f"{i}.0" for i in FEATURES]
    ),
    "numbered.parquet": numbered,
    "column_features.npz": lambda p: np.savez(p, vectors=VECTORS, features=FEATURES[:, None]),
    "layer_features.npz": lambda p: np.savez(p, vectors=VECTORS, feature=FEATURES, layer=[0] * 6),
    "layer_features.parquet": lambda p: parquet(
        p,
        layer=["1"] * 6 + ["0"] * 6,
        feature=[*FEATURES, *FEATURES],
        vector=lists([*-VECTORS, *VECTORS]),
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_vectors_of_every_format_come_to_the_same(tmp_path, name):
    counted_source(tmp_path, 6)
    WRITERS[name](tmp_path / name)
    has_features = any(w in name for w in ("features", "floats", "fixed", "texts.p", "numbered"))
    order = np.argsort(FEATURES) if has_features else np.arange(6)
    summary = import_embeddings(source(tmp_path).name, tmp_path / name, NAME, tmp_path)
    found = read_vectors(summary.path)
    np.testing.assert_allclose(found.vectors, VECTORS[order], rtol=1e-6)
    assert found.features.tolist() == list(range(6))
    assert found.metadata["imported"] == name
    assert (summary.n_vectors, summary.n_missing, summary.dimension) == (6, 0, 4)
    assert import_embeddings(source(tmp_path).name, tmp_path / name, NAME, tmp_path).unchanged


def test_half_precision_of_pytorch_is_read(tmp_path):
    save_torch({"x": torch.tensor(VECTORS).bfloat16()}, tmp_path / "x.safetensors")
    found = read_vector_file(tmp_path / "x.safetensors").vectors
    np.testing.assert_allclose(found, VECTORS, rtol=1e-2)


def test_zeros_nan_and_nulls_stand_for_no_vector(tmp_path):
    counted_source(tmp_path, 6)
    vectors = VECTORS.copy()
    vectors[2], vectors[4] = 0, np.nan
    np.save(tmp_path / "x.npy", vectors)
    rows = [None, None, *VECTORS[2:]]
    parquet(tmp_path / "x.parquet", embedding=lists(rows))
    for name, features in (("x.npy", [0, 1, 3, 5]), ("x.parquet", [2, 3, 4, 5])):
        summary = import_embeddings(source(tmp_path).name, tmp_path / name, "me/x", tmp_path)
        assert read_vectors(summary.path).features.tolist() == features
        assert summary.n_missing == 2


def test_imported_vectors_belong_to_the_explanations_on_disk(tmp_path, bucket):
    choose_explanations(source(tmp_path), QUICK)
    np.save(tmp_path / "x.npy", np.vstack([VECTORS, VECTORS[:2]]))
    by_model = embed(tmp_path, models.Counting()).path
    path = import_embeddings(source(tmp_path).name, tmp_path / "x.npy", NAME, tmp_path).path
    imported, made = read_vectors(path).metadata, read_vectors(by_model).metadata
    assert path.name == by_model.name
    for key in ("explanations_sha256", "explainer", "type", "source"):
        assert imported[key] == made[key]
    assert {e for e, _ in find_vectors(source(tmp_path).path)} == {NAME, HUB.name}


def test_imported_and_embedded_vectors_do_not_replace_each_other(tmp_path, bucket):
    choose_explanations(source(tmp_path), QUICK)
    np.save(tmp_path / "x.npy", np.vstack([VECTORS, VECTORS[:2]]))
    embed(tmp_path, models.Counting())
    with pytest.raises(SettingsMismatchError, match="was made by an embedding model"):
        import_embeddings(source(tmp_path).name, tmp_path / "x.npy", HUB.name, tmp_path)
    import_embeddings(source(tmp_path).name, tmp_path / "x.npy", "me/x", tmp_path)
    with pytest.raises(SettingsMismatchError, match=r"were imported from x\.npy"):
        embed(tmp_path, models.Counting(), type(HUB)("me/x"))


def npz_bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 30, 64)}
        )
        archive.writestr("x.npy", header.getvalue() + bytes(1 << 20))


def claiming(path):
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        content, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 4)}
    )
    path.write_bytes(content.getvalue() + bytes(64))


BAD = {
    "x.txt": (InvalidInputError, "unknown format", lambda p: p.write_text("1")),
    "gone.npy": (MissingError, "does not exist", lambda p: None),
    "cut.npy": (CorruptError, "cut short", lambda p: p.write_bytes(_saved()[:-8])),
    "claims.npy": (CorruptError, "too many", claiming),
    "noise.npy": (CorruptError, "cannot be read", lambda p: p.write_bytes(b"\x93NUMPY\x01\0zz")),
    "objects.npy": (InvalidInputError, "of object", lambda p: np.save(p, np.array([[{}]]))),
    "flat.npy": (InvalidInputError, "one array of vectors", lambda p: np.save(p, VECTORS[0])),
    "wide.npy": (InvalidInputError, "5 vectors, but", lambda p: np.save(p, VECTORS[:5])),
    "none.npy": (InvalidInputError, "no dimension", lambda p: np.save(p, VECTORS[:, :0])),
    "zeros.npy": (InvalidInputError, "holds no vector", lambda p: np.save(p, VECTORS * 0)),
    "inf.npy": (
        InvalidInputError,
        "feature 0 is not finite",
        lambda p: np.save(p, VECTORS.astype(float) * 1e39),
    ),
    "bomb.npz": (CorruptError, "too many|cut short", npz_bomb),
    "noise.npz": (CorruptError, "cannot be read", lambda p: p.write_bytes(b"PK\x03\x04zzz")),
    "two.npz": (
        InvalidInputError,
        "a .6, 4., b .6, 4.",
        lambda p: np.savez(p, a=VECTORS, b=VECTORS),
    ),
    "odd.npz": (
        InvalidInputError,
        "which of k holds",
        lambda p: np.savez(p, a=VECTORS, k=FEATURES),
    ),
    "twice.npz": (
        InvalidInputError,
        "two vectors of feature 1",
        lambda p: np.savez(p, a=VECTORS, feature=np.ones(6)),
    ),
    "half.npz": (
        InvalidInputError,
        "not a feature number",
        lambda p: np.savez(p, a=VECTORS, feature=FEATURES + 0.5),
    ),
    "beyond.npz": (
        ArtifactError,
        "vectors of another SAE",
        lambda p: np.savez(p, a=VECTORS, feature=FEATURES + 9),
    ),
    "x.safetensors": (CorruptError, "cannot be read", lambda p: p.write_bytes(b"\xff" * 64)),
    "x.parquet": (CorruptError, "cannot be read", lambda p: p.write_bytes(b"PAR1")),
    "none.parquet": (InvalidInputError, "no single column", lambda p: parquet(p, text=["a"])),
    "ragged.parquet": (
        InvalidInputError,
        "vectors of 1 and of 2",
        lambda p: parquet(p, embedding=[[1.0], [1.0, 2.0]]),
    ),
}


def _saved():
    content = io.BytesIO()
    np.save(content, VECTORS)
    return content.getvalue()


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_refused_in_one_line_and_leaves_nothing(tmp_path, name):
    kind, words, write = BAD[name]
    counted_source(tmp_path, 6)
    write(tmp_path / name)
    with pytest.raises(kind, match=words) as e:
        import_embeddings(source(tmp_path).name, tmp_path / name, "me/x", tmp_path)
    assert "\n" not in str(e.value)
    assert name in str(e.value)
    assert not (source(tmp_path).path / "me").exists() or not list(
        (source(tmp_path).path / "me").rglob("*.parquet")
    )


@pytest.mark.parametrize("name", ["neuronpedia", "../x", "a b"])
def test_names_that_cannot_be_an_embedders_are_refused(tmp_path, name):
    np.save(tmp_path / "x.npy", VECTORS)
    with pytest.raises(InvalidInputError):
        import_embeddings(source(tmp_path).name, tmp_path / "x.npy", name, tmp_path)


def test_the_command_says_what_was_imported(tmp_path, monkeypatch):
    monkeypatch.setenv("SFAL_DATA", str(tmp_path))
    counted_source(tmp_path, 6)
    np.save(tmp_path / "x.npy", VECTORS)
    words = [str(tmp_path / "x.npy"), "--source", source(tmp_path).name, "--embedding-name", NAME]
    result = CliRunner().invoke(embeddings, ["import", *words])
    assert result.exit_code == 0, result.output
    assert f"6 vectors of 4 numbers imported as {NAME}" in result.output
    assert "unchanged" in CliRunner().invoke(embeddings, ["import", *words]).output


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"features": FEATURES.astype(str)}, "features holds texts or objects"),
        ({"feature": FEATURES.astype(object)}, "feature holds texts or objects"),
        ({"features": FEATURES[:4]}, r"features has the shape \(4,\), but there are 6"),
        ({"features": FEATURES.reshape(2, 3)}, "features has the shape"),
        ({"feature": FEATURES, "layer": np.full(6, 7)}, r"no vector of layer 0.*has 7"),
    ],
    ids=["texts", "objects", "fewer", "table", "another layer"],
)
def test_features_that_cannot_be_used_are_not_ignored(tmp_path, arrays, message):
    counted_source(tmp_path, 6)
    np.savez(tmp_path / "x.npz", vectors=VECTORS, **arrays)
    with pytest.raises(InvalidInputError, match=message):
        import_embeddings(source(tmp_path).name, tmp_path / "x.npz", NAME, tmp_path)


def test_a_column_that_may_number_the_features_is_not_ignored(tmp_path):
    counted_source(tmp_path, 6)
    parquet(tmp_path / "x.parquet", key=FEATURES, embedding=lists(VECTORS))
    with pytest.raises(InvalidInputError, match="whether 'key' holds the features"):
        import_embeddings(source(tmp_path).name, tmp_path / "x.parquet", NAME, tmp_path)
    parquet(tmp_path / "y.parquet", tokens=[3] * 6, key=range(6), embedding=lists(VECTORS))
    summary = import_embeddings(source(tmp_path).name, tmp_path / "y.parquet", NAME, tmp_path)
    np.testing.assert_array_equal(read_vectors(summary.path).vectors, VECTORS)
