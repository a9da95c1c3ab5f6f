"""Our firing rates beside those of Neuronpedia's dashboards, and other notes of a download."""

import gzip
import json

import numpy as np
import pytest

from explanations.fixtures import QUICK, source
from scoring.builders import write_run
from servers import exports, faults, s3
from sfal.explanations.driver import download_explanations
from sfal.explanations.firing_rates import check_firing_rates
from sfal.store.manifest import Manifest
from sfal.store.records import SourceRecord

N = 60
FEATURES = f"v1/{exports.SOURCE}/features"


def counted(tmp_path, name=exports.SOURCE, n_windows=400):
    """Count 60 features, of which the last fires most often."""
    folder = source(tmp_path, name).path
    rates = np.linspace(0.02, 0.9, N)
    fired = np.random.default_rng(0).random((N, n_windows)) < rates[:, None]
    write_run(folder, fired)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["source"] |= {"name": name, "neuronpedia_id": name}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return rates


def batches(rates, size=15, **fields):
    rows = [
        {"index": str(i), "frac_nonzero": float(r), "activations": ["x"] * 9, **fields}
        for i, r in enumerate(rates)
    ]
    return {
        f"{FEATURES}/batch-{n}.jsonl.gz": gzip.compress(
            "\n".join(map(json.dumps, rows[start : start + size])).encode()
        )
        for n, start in enumerate(range(0, N, size))
    }


def download(tmp_path, monkeypatch, objects, name=exports.SOURCE, bucket_fault=None):
    explained = exports.export([[exports.record(i, source=name) for i in range(N)]], name)
    with s3.serve(explained | objects) as bucket:
        monkeypatch.setenv("SFAL_NEURONPEDIA_URL", bucket.url)
        if bucket_fault:
            bucket.fault(*bucket_fault)
        (result,) = download_explanations(name, QUICK, tmp_path)
    assert result.error is None
    return result.notes, bucket


def test_equal_orders_are_not_worth_a_note_and_are_fetched_once(tmp_path, monkeypatch):
    rates = counted(tmp_path)
    notes, bucket = download(tmp_path, monkeypatch, batches(rates / 50))
    assert notes == ()
    assert sum("features" in key for key in bucket.fetched()) == 4
    notes, bucket = download(tmp_path, monkeypatch, batches(rates / 50))
    assert notes == ()
    assert bucket.requests == ["list"]


def test_another_order_is_noted(tmp_path, monkeypatch):
    rates = counted(tmp_path)
    (note,), _ = download(tmp_path, monkeypatch, batches(rates[::-1]))
    assert "60 features fire in another order of frequency" in note.message
    assert "(rank correlation -1.00)" in note.message
    (again,), _ = download(tmp_path, monkeypatch, {})
    assert again == note


def test_only_a_few_batches_are_fetched(tmp_path, monkeypatch):
    rates = counted(tmp_path)
    _, bucket = download(tmp_path, monkeypatch, batches(rates[::-1], size=2))
    assert sum("features" in key for key in bucket.fetched()) == 4


def test_a_source_that_was_not_counted_is_not_compared(tmp_path, monkeypatch):
    notes, bucket = download(tmp_path, monkeypatch, batches(np.ones(N)))
    assert notes == ()
    assert not any("features" in key for key in bucket.fetched())


@pytest.mark.parametrize(
    "objects",
    [
        {},
        {f"{FEATURES}/batch-0.jsonl.gz": b"not gzip"},
        {f"{FEATURES}/batch-0.jsonl.gz": gzip.compress(bytes(30 << 20))},
        {f"{FEATURES}/batch-0.jsonl.gz": gzip.compress(b"[1]\n{\n\xff\n" + b"[" * 99_999)},
        batches([float("nan")] * N),
        batches([5.0] * N),
        batches(np.linspace(0, 1, N), index=None),
        batches(np.linspace(0, 1, N), frac_nonzero="0.1"),
        batches([0.5] * N),
    ],
    ids=range(9),
)
def test_what_cannot_be_compared_stops_nothing_and_says_nothing(tmp_path, monkeypatch, objects):
    counted(tmp_path)
    assert download(tmp_path, monkeypatch, objects)[0] == ()


def test_a_server_that_fails_stops_nothing(tmp_path, monkeypatch):
    rates = counted(tmp_path)
    key = f"{FEATURES}/batch-0.jsonl.gz"
    fault = (key, faults.status(503), 9)
    notes, _ = download(tmp_path, monkeypatch, batches(rates[::-1]), bucket_fault=fault)
    assert notes == ()


def test_a_handful_of_windows_is_no_ground_for_a_note(tmp_path, monkeypatch):
    rates = counted(tmp_path, n_windows=50)
    assert download(tmp_path, monkeypatch, batches(rates[::-1]))[0] == ()


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"source": 3}', b'{"frac_nonzero": [1]}'])
def test_damaged_rates_on_disk_stop_nothing(tmp_path, monkeypatch, content):
    counted(tmp_path)
    path = source(tmp_path).path / "export" / "firing-rates.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    monkeypatch.setenv("SFAL_NEURONPEDIA_URL", "http://127.0.0.1:9")
    assert check_firing_rates(source(tmp_path), QUICK.patience) is None


def test_transcoders_that_were_explained_on_another_tensor_are_noted(tmp_path, monkeypatch):
    name = "gemma-2-2b/3-gemmascope-transcoder-16k"
    for folder in (tmp_path / "plain", tmp_path / "counted"):
        if folder.name == "counted":
            record = SourceRecord(name, neuronpedia_id=name)
            manifest = Manifest(source=record, n_features=N, settings={}, n_docs=10)
            manifest.save(source(folder, name).path)
        (note,), _ = download(folder, monkeypatch, {}, name)
        assert "explained on another tensor" in note.message
    assert download(tmp_path, monkeypatch, {}, "gemma-2-2b/3-gemmascope-mlp-16k")[0] == ()
