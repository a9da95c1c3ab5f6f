"""Sources as stage 2 finds them on disk."""

import json

import pytest

from sfal.errors import InvalidInputError
from sfal.store.targets import ExplainedSource, named_source, sources_on_disk


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
