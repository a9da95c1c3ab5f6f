"""Fetching Neuronpedia's export from a well-behaved server."""

import gzip
from pathlib import Path

import pytest

from servers import exports, faults, s3
from sfal.errors import ArtifactError, DownloadError, InvalidInputError
from sfal.explanations.neuronpedia import cached_export, download_export
from sfal.io.web.http import Patience

QUICK = Patience(rate_seconds=0.5, first_wait=0.01, longest_wait=0.05, attempts=3)


def fetch(monkeypatch, bucket, folder, source=exports.SOURCE):
    monkeypatch.setenv("SFAL_NEURONPEDIA_URL", bucket.url)
    return download_export(source, folder, QUICK)


def key(number, source=exports.SOURCE):
    return f"v1/{source}/explanations/batch-{number}.jsonl.gz"


def test_batches_come_in_numeric_order_over_several_pages(tmp_path, monkeypatch):
    objects = exports.export([[exports.record(n)] for n in range(23)])
    with s3.serve(objects, page_size=5) as bucket:
        export = fetch(monkeypatch, bucket, tmp_path)
    assert bucket.requests.count("list") == 5
    assert [path.read_bytes() for path in export.batches] == [objects[key(n)] for n in range(23)]


def test_what_has_not_changed_is_not_fetched_again(tmp_path, monkeypatch):
    with s3.serve(exports.export([[exports.record(n)] for n in range(5)])) as bucket:
        first = fetch(monkeypatch, bucket, tmp_path)
        bucket.requests.clear()
        second = fetch(monkeypatch, bucket, tmp_path)
    assert bucket.requests == ["list"]
    assert (first.n_fetched, second.n_fetched) == (5, 0)
    assert first.sha256 == second.sha256
    assert cached_export(tmp_path).batches == first.batches


def test_only_a_batch_that_changed_is_fetched_again(tmp_path, monkeypatch):
    with s3.serve(exports.export([[exports.record(n)] for n in range(5)])) as bucket:
        first = fetch(monkeypatch, bucket, tmp_path)
        bucket.objects[key(3)] = exports.batch([exports.record(3, "another text")])
        bucket.requests.clear()
        second = fetch(monkeypatch, bucket, tmp_path)
    assert bucket.fetched() == [key(3)]
    assert first.sha256 != second.sha256
    there = {path.name for path in (tmp_path / "export").glob("batch-*")}
    assert there == {path.name for path in second.batches}


def test_an_interrupted_download_continues_where_it_stopped(tmp_path, monkeypatch):
    with s3.serve(exports.export([[exports.record(n)] for n in range(5)])) as bucket:
        bucket.fault(key(4), faults.status(403))
        with pytest.raises(DownloadError, match="HTTP 403"):
            fetch(monkeypatch, bucket, tmp_path)
        done = len(list((tmp_path / "export").glob("batch-*")))
        assert cached_export(tmp_path) is None
        bucket._faults.clear()
        assert fetch(monkeypatch, bucket, tmp_path).n_fetched == 5 - done


def test_at_most_four_downloads_run_at_a_time(tmp_path, monkeypatch):
    with s3.serve(exports.export([[exports.record(n)] for n in range(16)])) as bucket:
        for n in range(16):
            bucket.fault(key(n), faults.delayed(0.05))
        fetch(monkeypatch, bucket, tmp_path)
    assert 2 <= bucket.most_at_once <= 4


def test_the_error_for_an_unknown_source_names_similar_ones(tmp_path, monkeypatch):
    objects = exports.export([[exports.record(0)]]) | exports.export([[]], "pythia-70m/0-res-sm")
    with s3.serve(objects) as bucket:
        with pytest.raises(DownloadError, match="0-gemmascope-res-16k"):
            fetch(monkeypatch, bucket, tmp_path, "gemma-2-2b/0-gemmascope-res-16")
        with pytest.raises(DownloadError, match="it has no model gemma-2; it has gemma-2-2b"):
            fetch(monkeypatch, bucket, tmp_path, "gemma-2/0-res")
    with s3.serve({}) as bucket, pytest.raises(DownloadError, match="nothing at all"):
        fetch(monkeypatch, bucket, tmp_path)


@pytest.mark.parametrize(
    "source", ["gemma-2-2b", "a/b/c", "../x", "gemma-2-2b/..", "/etc/x", "a/\0"]
)
def test_an_invalid_id_is_refused_before_any_request(tmp_path, monkeypatch, source):
    with s3.serve({}) as bucket, pytest.raises(InvalidInputError):
        fetch(monkeypatch, bucket, tmp_path, source)
    assert bucket.requests == []


@pytest.mark.parametrize("url", ["file:///etc", "ftp://x", "nonsense", "http://", "http://x:y"])
def test_a_base_address_of_another_kind_is_refused(tmp_path, monkeypatch, url):
    monkeypatch.setenv("SFAL_NEURONPEDIA_URL", url)
    with pytest.raises(InvalidInputError, match="not a base address"):
        download_export(exports.SOURCE, tmp_path, QUICK)


def test_no_network_is_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.setenv("SFAL_NEURONPEDIA_URL", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="cannot fetch the list of"):
        download_export(exports.SOURCE, tmp_path, QUICK)


def test_a_redirect_within_the_host_is_followed(tmp_path, monkeypatch):
    objects = exports.export([[exports.record(0)]])
    objects["moved.gz"] = objects[key(0)]
    with s3.serve(objects) as bucket:
        bucket.fault(key(0), faults.redirect("{url}/moved.gz"))
        fetch(monkeypatch, bucket, tmp_path)
    assert bucket.fetched() == [key(0), "moved.gz"]


def test_a_missing_batch_is_named(tmp_path, monkeypatch):
    with s3.serve(exports.export([[exports.record(0)]])) as bucket:
        export = fetch(monkeypatch, bucket, tmp_path)
    export.batches[0].unlink()
    with pytest.raises(ArtifactError, match=export.batches[0].name):
        cached_export(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"batches": 3}', '{"batches": ["../../secret"], "source": "a/b"}']
)
def test_a_damaged_listing_on_disk_is_refused(tmp_path: Path, text):
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "listing.json").write_text(text)
    with pytest.raises(ArtifactError, match="damaged"):
        cached_export(tmp_path)


def test_concatenated_gzip_files_are_read_completely(tmp_path, monkeypatch):
    both = gzip.compress(b"a\nb") + gzip.compress(b"c\nd\n")
    with s3.serve(exports.export([both])) as bucket:
        export = fetch(monkeypatch, bucket, tmp_path)
    from sfal.io.gzip_lines import ExpansionLimits, lines

    assert list(lines(export.batches[0], ExpansionLimits())) == [b"a", b"bc", b"d"]
