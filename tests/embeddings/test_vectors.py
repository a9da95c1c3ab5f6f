"""Files of explanations and vectors: what goes in comes out, what is damaged is named."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sfal.errors import ArtifactError, InvalidInputError
from sfal.store import embeddings as store_vectors
from sfal.store import explanations as store
from sfal.store.embeddings import find_vectors, read_vectors, read_vectors_metadata, write_vectors


def some(n=5, width=3):
    features = np.arange(n, dtype=np.uint32) * 2
    rows = np.random.default_rng(0).normal(size=(n, width)).astype(np.float32)
    return features, rows


def table(features=(1, 4), texts=("a", "b"), kind=("t", "e")):
    return store.make_table(np.array(features, dtype=np.uint32), [(text, *kind) for text in texts])


def test_vectors_come_back_as_they_were(tmp_path, monkeypatch):
    monkeypatch.setattr(store_vectors, "_ROWS", 2)
    features, rows = some()
    path = tmp_path / "a" / "b_embeddings.parquet"
    write_vectors(path, features, rows, {"embedder": "x/ü"})
    found = read_vectors(path)
    np.testing.assert_array_equal(found.features, features)
    np.testing.assert_array_equal(found.vectors, rows)
    assert found.vectors.dtype == np.float32
    assert found.metadata == read_vectors_metadata(path) == {"embedder": "x/ü"}
    schema = pq.read_schema(path)
    assert schema.names == ["feature", "embedding"]
    assert schema.field("embedding").type == pa.list_(pa.float32(), 3)


def test_equal_vectors_give_equal_bytes(tmp_path):
    features, rows = some()
    write_vectors(tmp_path / "a_embeddings.parquet", features, rows, {"b": 1, "a": 2})
    write_vectors(tmp_path / "b_embeddings.parquet", features, rows.copy("F"), {"a": 2, "b": 1})
    a, b = (tmp_path / f"{n}_embeddings.parquet" for n in "ab")
    assert a.read_bytes() == b.read_bytes()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_not_finite_is_never_written(tmp_path, value):
    features, rows = some()
    rows[3, 1] = value
    with pytest.raises(InvalidInputError, match="feature 6"):
        write_vectors(tmp_path / "x_embeddings.parquet", features, rows, {})
    assert list(tmp_path.iterdir()) == []


def test_arrays_that_do_not_fit_are_refused(tmp_path):
    features, rows = some()
    for bad in (rows[:-1], rows.ravel(), rows[:, :0]):
        with pytest.raises(InvalidInputError, match="do not fit each other"):
            write_vectors(tmp_path / "x_embeddings.parquet", features, bad, {})


def _write(path, feature, embedding):
    pq.write_table(pa.table({"feature": feature, "embedding": embedding}), path)


FIXED = pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2))
BAD_FILES = {
    "no column": lambda p: pq.write_table(pa.table({"feature": pa.array([1], pa.uint32())}), p),
    "feature of another type": lambda p: _write(p, pa.array([1, 2], pa.int64()), FIXED),
    "lists of any length": lambda p: _write(
        p, pa.array([1, 2], pa.uint32()), pa.array([[1.0], [2.0]], pa.list_(pa.float32()))
    ),
    "float64": lambda p: _write(
        p, pa.array([1], pa.uint32()), pa.array([[1.0]], pa.list_(pa.float64(), 1))
    ),
    "unsorted": lambda p: _write(p, pa.array([2, 1], pa.uint32()), FIXED),
    "repeated": lambda p: _write(p, pa.array([2, 2], pa.uint32()), FIXED),
    "missing feature": lambda p: _write(p, pa.array([2, None], pa.uint32()), FIXED),
    "missing vector": lambda p: _write(
        p, pa.array([1, 2], pa.uint32()), pa.array([[1.0], None], pa.list_(pa.float32(), 1))
    ),
    "missing number": lambda p: _write(
        p, pa.array([1], pa.uint32()), pa.array([[1.0, None]], pa.list_(pa.float32(), 2))
    ),
    "not finite": lambda p: _write(
        p, pa.array([1], pa.uint32()), pa.array([[np.inf]], pa.list_(pa.float32(), 1))
    ),
    "no parquet": lambda p: p.write_bytes(b"PAR1 nonsense PAR1"),
    "empty": lambda p: p.write_bytes(b""),
    "a folder": lambda p: p.mkdir(),
    "not there": lambda p: None,
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_of_vectors_that_is_none_is_named(tmp_path, name):
    path = tmp_path / "x_embeddings.parquet"
    BAD_FILES[name](path)
    with pytest.raises(ArtifactError, match=r"x_embeddings\.parquet"):
        read_vectors(path)


def test_a_flipped_byte_among_the_vectors_is_noticed(tmp_path):
    path = tmp_path / "x_embeddings.parquet"
    write_vectors(path, *some(2000, 16), {})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"x_embeddings\.parquet"):
        read_vectors(path)


def test_vectors_are_found_by_embedder_and_stem(tmp_path):
    for name in ("Qwen/Qwen3/a_b", "local/m/mixed", "neuronpedia/a_b", "runs/r/x/a_b", ".t/x/a_b"):
        write_vectors(tmp_path / f"{name}_embeddings.parquet", *some(), {})
    (tmp_path / "Qwen" / "Qwen3" / ".tmp-9-a_b_embeddings.parquet").write_bytes(b"")
    assert find_vectors(tmp_path) == {
        ("Qwen/Qwen3", "a_b"): tmp_path / "Qwen/Qwen3/a_b_embeddings.parquet",
        ("local/m", "mixed"): tmp_path / "local/m/mixed_embeddings.parquet",
        ("neuronpedia", "a_b"): tmp_path / "neuronpedia/a_b_embeddings.parquet",
    }


def test_explanations_come_back_as_they_were(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_ROWS", 2)
    features, texts = tuple(range(0, 10, 2)), ("a", "ü 日本", "c\nd", "'e'", "f")
    store.write_explanations(tmp_path, table(features, texts), {"n": 1})
    found = store.read_explanations(tmp_path)
    assert found.schema.names == ["feature", "explanation", "explainer", "type"]
    assert found.column("feature").to_pylist() == list(features)
    assert found.column("explanation").to_pylist() == list(texts)
    assert store.explanations_metadata(found) == {"n": 1}


def test_the_digest_follows_the_content_alone():
    one = table()
    again = pa.concat_tables([table((1,), ("a",)), table((4,), ("b",))])
    assert store.explanations_sha256(one) == store.explanations_sha256(again)
    others = [table((1, 5)), table(texts=("a", "c")), table(kind=("t", "f")), table((1,), ("a",))]
    assert len({store.explanations_sha256(t) for t in (one, *others)}) == 5


def test_the_stem_names_the_kind_or_says_that_there_are_several():
    assert store.embeddings_stem(table(kind=("oai_token-act-pair", "gpt-4o-mini"))) == (
        "oai_token-act-pair_gpt-4o-mini"
    )
    assert store.embeddings_stem(table(kind=("t", "openai/gpt 4"))) == "t_openai-gpt-4"
    both = pa.concat_tables([table((1,), ("a",)), table((4,), ("b",), ("t", "f"))])
    assert store.embeddings_stem(both) == "mixed"


BAD_TABLES = {
    "no column": lambda t: t.drop_columns("type"),
    "another type": lambda t: t.set_column(0, "feature", pa.array([1, 4], pa.int8())),
    "missing value": lambda t: t.set_column(1, "explanation", pa.array(["a", None])),
    "unsorted": lambda t: t.take([1, 0]),
    "no row": lambda t: t.slice(0, 0),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_file_of_explanations_that_is_none_is_named(tmp_path, name):
    pq.write_table(BAD_TABLES[name](table()), tmp_path / "explanations.parquet")
    with pytest.raises(ArtifactError, match=r"explanations\.parquet"):
        store.read_explanations(tmp_path)


def test_a_small_file_that_says_a_long_text_very_often_is_refused_in_little_memory(tmp_path):
    n = 300_000
    one = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), ["x" * 20_000])
    often = pa.table(
        [pa.array(np.arange(n, dtype=np.uint32)), one, one, one], store.explanations_schema().names
    )
    path = tmp_path / "explanations.parquet"
    pq.write_table(often, path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 2 << 20
    before = pa.total_allocated_bytes()
    for read in (store.read_explanations, store.count_explanations):
        with pytest.raises(ArtifactError, match=r"explanations\.parquet holds more than"):
            read(tmp_path)
    assert pa.default_memory_pool().max_memory() - before < 1 << 30


def test_no_explanations_yet_says_what_to_do(tmp_path):
    with pytest.raises(ArtifactError, match=r"sfal\.download_explanations"):
        store.read_explanations(tmp_path)
