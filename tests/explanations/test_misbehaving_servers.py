"""Misbehaving servers: success after bounded retries, or one clear error, and soon."""

import gzip
import http.server
import threading
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from servers import exports, faults, s3
from sfal.errors import DownloadError, SfalError
from sfal.explanations.neuronpedia import download_export
from sfal.io.gzip_lines import ExpansionLimits
from sfal.io.web.http import Patience

PATIENCE = Patience(
    rate_seconds=0.4, first_wait=0.01, longest_wait=0.1, attempts=3, give_up_seconds=10
)
LIMITS = ExpansionLimits(max_bytes=50 << 20)
KEY = f"v1/{exports.SOURCE}/explanations/batch-0.jsonl.gz"
OBJECTS = exports.export([[exports.record(n) for n in range(40)], [exports.record(41)]])


@pytest.fixture(autouse=True)
def _nothing_is_written_elsewhere(tmp_path, monkeypatch, tally):
    """Check that every test writes only in the source's folder, and ends in time."""
    source_dir = tmp_path / "data" / "m" / "s"
    source_dir.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 20
    assert [p.name for p in tmp_path.iterdir()] == ["data"]
    assert {p.relative_to(source_dir).parts[0] for p in source_dir.rglob("*")} <= {"export"}
    assert not list(source_dir.rglob(".tmp-*"))
    tally("faults: explanations' server")


def fetch(monkeypatch, bucket, tmp_path):
    monkeypatch.setenv("SFAL_NEURONPEDIA_URL", bucket.url)
    return download_export(exports.SOURCE, tmp_path / "data" / "m" / "s", PATIENCE, LIMITS)


TEMPORARY = {
    "429": faults.status(429),
    "429 with Retry-After in seconds": faults.status(429, "3600"),
    "429 with Retry-After as a date": faults.status(
        429, formatdate(time.time() + 9999, usegmt=True)
    ),
    "429 with an unreadable Retry-After": faults.status(429, "soon"),
    "500": faults.status(500),
    "503": faults.status(503, "-1"),
    "reset halfway": faults.reset_halfway,
    "trickle": faults.trickle(),
    "trickling headers": faults.trickle_headers(),
    "silence": faults.silence,
    "too short": faults.replaced(lambda body: body[:-1]),
    "too long": faults.replaced(lambda body: body + b"x"),
    "length too great": faults.announced_length(10**6),
    "length too small": faults.announced_length(10),
}
DAMAGED = {
    "wrong ETag": faults.replaced(lambda body: body, {"ETag": '"0"'}),
    "corrupt": faults.replaced(lambda body: body[:20] + bytes(20) + body[40:]),
    "not gzip": faults.replaced(lambda body: b"x" * len(body)),
    "empty": faults.replaced(b""),
}


@pytest.mark.parametrize(
    ("name", "where"),
    [
        *((name, KEY) for name in TEMPORARY),
        # The length of a listing is not announced.
        *((name, "list") for name in TEMPORARY if name not in ("too long", "length too small")),
    ],
)
def test_a_temporary_fault_is_waited_for(tmp_path, monkeypatch, name, where):
    with s3.serve(OBJECTS) as bucket:
        bucket.fault(where, TEMPORARY[name], times=1)
        export = fetch(monkeypatch, bucket, tmp_path)
    assert [path.read_bytes() for path in export.batches] == [
        OBJECTS[KEY],
        OBJECTS[KEY.replace("-0.", "-1.")],
    ]
    assert bucket.requests.count(where) == 2


def test_a_body_that_ends_with_its_connection_is_accepted(tmp_path, monkeypatch):
    with s3.serve(OBJECTS) as bucket:
        bucket.fault(KEY, faults.announced_length(""))
        export = fetch(monkeypatch, bucket, tmp_path)
    assert export.batches[0].read_bytes() == OBJECTS[KEY]


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_transfer_is_repeated(tmp_path, monkeypatch, name):
    with s3.serve(OBJECTS) as bucket:
        bucket.fault(KEY, DAMAGED[name], times=1)
        export = fetch(monkeypatch, bucket, tmp_path)
    assert export.batches[0].read_bytes() == OBJECTS[KEY]


@pytest.mark.parametrize("name", [*TEMPORARY, *DAMAGED])
def test_a_permanent_fault_is_one_error_that_names_the_batch(tmp_path, monkeypatch, name):
    with s3.serve(OBJECTS) as bucket:
        bucket.fault(KEY, (TEMPORARY | DAMAGED)[name])
        with pytest.raises(DownloadError, match=r"batch-0\.jsonl\.gz.*\(attempt 3\)"):
            fetch(monkeypatch, bucket, tmp_path)
    assert bucket.requests.count(KEY) == 3


@pytest.mark.parametrize("name", ["429", "500", "reset halfway", "trickle", "silence"])
def test_a_listing_that_never_arrives_is_one_error(tmp_path, monkeypatch, name):
    with s3.serve(OBJECTS) as bucket:
        bucket.fault("list", TEMPORARY[name])
        with pytest.raises(DownloadError, match="cannot fetch the list of"):
            fetch(monkeypatch, bucket, tmp_path)
    assert bucket.requests == ["list"] * 3


def test_the_pause_before_a_retry_follows_the_server_up_to_a_limit(tmp_path, monkeypatch):
    patience = Patience(first_wait=0.01, longest_wait=0.5, attempts=2)
    monkeypatch.setenv("SFAL_NEURONPEDIA_URL", "")
    with s3.serve(OBJECTS) as bucket:
        monkeypatch.setenv("SFAL_NEURONPEDIA_URL", bucket.url)
        bucket.fault("list", faults.status(429, "3600"), times=1)
        started = time.monotonic()
        download_export(exports.SOURCE, tmp_path / "data" / "m" / "s", patience, LIMITS)
    assert 0.5 <= time.monotonic() - started < 5


def test_no_retry_starts_after_the_time_limit(tmp_path, monkeypatch):
    patience = Patience(first_wait=0.01, attempts=1000, give_up_seconds=0.3, longest_wait=0.05)
    with s3.serve(OBJECTS) as bucket:
        monkeypatch.setenv("SFAL_NEURONPEDIA_URL", bucket.url)
        bucket.fault("list", faults.status(500))
        with pytest.raises(DownloadError, match="HTTP 500"):
            download_export(exports.SOURCE, tmp_path / "data" / "m" / "s", patience, LIMITS)
    assert len(bucket.requests) < 100


def test_with_the_default_patience_a_dead_server_costs_less_than_two_minutes():
    p = Patience()
    pauses = [min(p.longest_wait, p.first_wait * 2**n) for n in range(p.attempts - 1)]
    assert p.attempts * p.rate_seconds + sum(pauses) < 110
    # Whatever the server asks for, the last attempt starts within give_up_seconds of the first.
    assert p.give_up_seconds + p.longest_wait + p.rate_seconds < 120


@pytest.mark.parametrize("code", [400, 401, 403, 410, 204, 304])
def test_a_final_answer_is_not_asked_for_again(tmp_path, monkeypatch, code):
    with s3.serve(OBJECTS) as bucket:
        bucket.fault(KEY, faults.status(code))
        with pytest.raises(DownloadError, match=f"HTTP {code}"):
            fetch(monkeypatch, bucket, tmp_path)
    assert bucket.requests.count(KEY) == 1


def test_an_object_that_is_listed_but_gone_is_named(tmp_path, monkeypatch):
    with s3.serve(OBJECTS) as bucket:
        bucket.fault(KEY, faults.status(404))
        with pytest.raises(DownloadError, match=r"batch-0.jsonl.gz is listed but not there"):
            fetch(monkeypatch, bucket, tmp_path)


@pytest.mark.parametrize(
    "bomb",
    [
        gzip.compress(bytes(60 << 20)),  # beyond the size
        gzip.compress(bytes(20 << 20)),  # within the size, beyond the ratio
        gzip.compress(b"{}\n" * (8 << 20)),
        gzip.compress(bytes(600 << 10)) * 40,  # joined from many small ones
    ],
    ids=["size", "ratio", "short lines", "joined"],
)
def test_a_gzip_bomb_is_refused_at_once(tmp_path, monkeypatch, bomb):
    with (
        s3.serve(exports.export([bomb])) as bucket,
        pytest.raises(DownloadError, match="it expands"),
    ):
        fetch(monkeypatch, bucket, tmp_path)
    assert bucket.requests.count(KEY) == 1


@pytest.mark.parametrize(
    "key",
    [
        f"v1/{exports.SOURCE}/explanations/../../../../../escaped.jsonl.gz",
        f"v1/{exports.SOURCE}/explanations/../batch-7.jsonl.gz",
        f"v1/{exports.SOURCE}/explanations/batch-7/../../x.jsonl.gz",
        f"v1/{exports.SOURCE}/explanations//etc/passwd",
        "/etc/passwd",
        "../../../outside/batch-7.jsonl.gz",
        f"v1/{exports.SOURCE}/explanations/batch-007.jsonl.gz",
        f"v1/{exports.SOURCE}/explanations/batch--7.jsonl.gz",
        f"v1/{exports.SOURCE}/explanations/batch-٧.jsonl.gz",
        f"v1/{exports.SOURCE}/explanations/batch-{'9' * 400}.jsonl.gz",
        f"v1/{exports.SOURCE}/explanations/batch-7.jsonl.gz.exe",
        f"v1/{exports.SOURCE}/explanations/batch-7.jsonl.gz\n",
        "v1/other-model/other/explanations/batch-7.jsonl.gz",
    ],
)
def test_keys_that_are_not_batches_are_skipped_and_counted(tmp_path, monkeypatch, key):
    with s3.serve(OBJECTS) as bucket:
        right = s3.listing(bucket, {"prefix": f"v1/{exports.SOURCE}/explanations/"})
        hostile = s3.listing(bucket, {"prefix": key}, extra=[key])
        entry = hostile.partition(b"<Contents>")[2].partition(b"</Contents>")[0]
        page = right.replace(b"<Contents>", b"<Contents>" + entry + b"</Contents><Contents>", 1)
        bucket.fault("list", faults.replaced(page))
        export = fetch(monkeypatch, bucket, tmp_path)
    assert (len(export.batches), export.n_ignored) == (2, 1)
    assert len(bucket.fetched()) == 2


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"<html>not here</html>",
        b"<ListBucketResult><Contents><Key>a\0b</Key></Contents></ListBucketResult>",
        b"<ListBucketResult><Contents><Key>&#0;</Key></Contents></ListBucketResult>",
        b"\xff\xfe\xfd" * 40,
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaa">]><ListBucketResult>&a;</ListBucketResult>',
        b"<ListBucketResult>" * 100_000,
        b"<ListBucketResult/>" + b" " * (9 << 20),
        b"<ListBucketResult><Contents><Key>v1/a</Key></Contents></ListBucketResult>",
        b"<ListBucketResult><Contents><Key>v1/a</Key><ETag>x</ETag><Size>-1</Size></Contents>"
        b"</ListBucketResult>",
    ],
)
def test_a_malformed_listing_is_one_error(tmp_path, monkeypatch, page):
    with s3.serve(OBJECTS) as bucket:
        bucket.fault("list", faults.replaced(page))
        with pytest.raises(DownloadError):
            fetch(monkeypatch, bucket, tmp_path)
    assert len(bucket.requests) <= 3


@pytest.mark.parametrize("new_keys", [True, False])
@pytest.mark.parametrize("new_token", [True, False])
def test_an_endless_listing_is_abandoned(tmp_path, monkeypatch, new_token, new_keys):
    with s3.serve(OBJECTS) as bucket:
        bucket.fault("list", s3.endless_pages(new_token=new_token, new_keys=new_keys))
        with pytest.raises(DownloadError, match="does not end"):
            fetch(monkeypatch, bucket, tmp_path)
    assert len(bucket.requests) <= 200


def test_absurd_sizes_are_refused_before_anything_is_fetched(tmp_path, monkeypatch):
    with s3.serve(OBJECTS) as bucket:
        page = s3.listing(bucket, {"prefix": f"v1/{exports.SOURCE}/explanations/"})
        size = f"<Size>{len(OBJECTS[KEY])}</Size>".encode()
        bucket.fault("list", faults.replaced(page.replace(size, b"<Size>99999999999</Size>")))
        with pytest.raises(DownloadError, match="99999999999 bytes"):
            fetch(monkeypatch, bucket, tmp_path)
    assert bucket.fetched() == []


@pytest.mark.parametrize("where", ["list", KEY])
@pytest.mark.parametrize(
    "target",
    ["file:///etc/passwd", "ftp://127.0.0.1/x", "https://127.0.0.1/x", "http://[", "//x/y"],
)
def test_a_redirect_to_another_scheme_is_refused(tmp_path, monkeypatch, target, where):
    with s3.serve(OBJECTS) as bucket:
        bucket.fault(where, faults.redirect(target))
        with pytest.raises(DownloadError, match="redirects to"):
            fetch(monkeypatch, bucket, tmp_path)
    assert bucket.requests.count(where) == 1


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_is_refused_and_never_followed(tmp_path, monkeypatch, code):
    with s3.serve(OBJECTS) as bucket, s3.serve(OBJECTS) as other:
        bucket.fault(KEY, faults.redirect(other.url + "/" + KEY, code))
        with pytest.raises(DownloadError, match="redirects to another host"):
            fetch(monkeypatch, bucket, tmp_path)
    assert other.requests == []


def test_the_body_of_a_redirect_or_an_error_is_never_read(tmp_path, monkeypatch):
    sent = []

    def endless(code):
        def answer(handler, body, headers):
            handler.send_response(code)
            handler.send_header("Location", f"{handler.world.url}/{KEY}")
            handler.end_headers()
            for _ in range(500):
                handler.wfile.write(bytes(1 << 20))
                sent.append(1)

        return answer

    with s3.serve(OBJECTS) as bucket:
        bucket.fault(KEY, endless(307), times=1)
        bucket.fault(KEY, endless(500), times=1)
        fetch(monkeypatch, bucket, tmp_path)
    assert len(sent) < 100


def test_a_circle_of_redirects_ends(tmp_path, monkeypatch):
    with s3.serve(OBJECTS) as bucket:
        bucket.fault(KEY, faults.redirect("{url}/" + KEY))
        with pytest.raises(DownloadError, match="redirects without end"):
            fetch(monkeypatch, bucket, tmp_path)
    assert bucket.requests.count(KEY) <= 4


def test_a_server_that_does_not_speak_http_is_one_error(tmp_path, monkeypatch):
    class NotHttp(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.wfile.write(b"\0\1\2 220 smtp ready\r\n" * 10)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), NotHttp)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("SFAL_NEURONPEDIA_URL", f"http://127.0.0.1:{server.server_port}")
    try:
        with pytest.raises(SfalError):
            download_export(exports.SOURCE, Path("data/m/s"), PATIENCE, LIMITS)
    finally:
        server.shutdown()
        server.server_close()
