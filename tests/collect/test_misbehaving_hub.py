"""A misbehaving hub: every document or file arrives unchanged, or there is one clear error, soon."""

import gzip
import itertools
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from servers import faults, hub_reader
from servers import hub as hub_server

_rng = random.Random(5)
TEXTS = [f"document {i} {_rng.random()}" for i in range(400)]
LINES = [json.dumps({"text": text}).encode() + b"\n" for text in TEXTS]
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with hub_server.serve() as hub:
        hub.root = tmp_path_factory.mktemp("hub")
        yield hub


@pytest.fixture(scope="module")
def reader(hub, tmp_path_factory):
    with hub_reader.reader(hub.environment(tmp_path_factory.mktemp("home"))) as reader:
        yield reader


@pytest.fixture(autouse=True)
def _counted(tally):
    yield
    tally("faults: model hub")


def add_corpus(hub, ending="jsonl.zst", data=None):
    """Add a corpus of two files under a new name; the content of the first may be given."""
    name = f"who/corpus-{next(NUMBERS)}"
    folder = hub.root / name
    folder.mkdir(parents=True)
    for part, lines in enumerate((LINES[:200], LINES[200:])):
        path = folder / f"train-{part}.{ending}"
        if ending == "parquet":
            texts = [json.loads(line)["text"] for line in lines]
            pq.write_table(pa.table({"text": texts}), path, row_group_size=50)
        else:
            pack = {"zst": zstandard.compress, "gz": gzip.compress}.get(ending[6:], bytes)
            path.write_bytes(pack(b"".join(lines)))
    if data is not None:
        (folder / f"train-0.{ending}").write_bytes(data)
    hub.add(name, folder, "datasets")
    return name


def add_file(hub):
    name = f"who/model-{next(NUMBERS)}"
    folder = hub.root / name
    folder.mkdir(parents=True)
    (folder / "params.npz").write_bytes(_rng.randbytes(50_000))
    hub.add(name, folder)
    return name, (folder / "params.npz").read_bytes()


FAULTS = {
    "429 for an hour": faults.status(429, "3600"),
    "429 with an unreadable Retry-After": faults.status(429, "soon"),
    "429 for ages": faults.status(429, "9" * 400),
    "503 for an hour": faults.status(503, "3600"),
    "500": faults.status(500),
    "reset halfway": faults.reset_halfway,
    "silence": faults.silence,
    "announced length too great": faults.announced_length(10**6),
}
NOT_REPEATED = {
    "trickle": faults.trickle(0.1),
    "redirect to a file": faults.redirect("file:///etc/passwd"),
    "redirect in a circle": faults.redirect("{url}/circle"),
}


def assert_soon(answer):
    assert answer["slept"] < 70, answer
    assert answer["seconds"] < 30, answer


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        *((name, "jsonl.zst") for name in FAULTS),
        *itertools.product(["500", "reset halfway"], ["jsonl.gz", "jsonl", "parquet"]),
    ],
)
def test_a_temporary_fault_in_a_corpus_loses_no_document(hub, reader, name, ending):
    corpus = add_corpus(hub, ending)
    hub.fault(f"GET {corpus}/train-1.{ending}", FAULTS[name], times=2)
    answer = reader.ask("corpus", corpus)
    assert answer.get("got") == TEXTS, answer
    assert_soon(answer)


@pytest.mark.parametrize("name", [*FAULTS, *NOT_REPEATED])
def test_a_permanent_fault_in_a_corpus_is_one_error_that_names_it(hub, reader, name):
    corpus = add_corpus(hub)
    hub.fault(f"GET {corpus}/train-1.jsonl.zst", (FAULTS | NOT_REPEATED)[name])
    answer = reader.ask("corpus", corpus)
    assert answer["error"].startswith(f"DownloadError: cannot fetch corpus {corpus}: "), answer
    assert_soon(answer)


@pytest.mark.parametrize("name", ["429 for an hour", "500", "reset halfway", "silence"])
def test_a_permanent_fault_of_the_hubs_api_is_one_error(hub, reader, name):
    corpus = add_corpus(hub)
    hub.fault(f"GET /api/datasets/{corpus}", FAULTS[name])
    answer = reader.ask("corpus", corpus)
    assert answer["error"].startswith(f"DownloadError: cannot fetch corpus {corpus}: "), answer
    assert_soon(answer)


@pytest.mark.parametrize("name", [name for name in FAULTS if name[0] != "5"])
def test_a_file_arrives_whole_after_a_temporary_fault(hub, reader, name):
    model, data = add_file(hub)
    hub.fault(f"GET {model}/params.npz", FAULTS[name], times=2)
    answer = reader.ask("file", model, "params.npz")
    assert answer.get("got") == data.hex(), answer
    assert_soon(answer)


@pytest.mark.parametrize("name", [*FAULTS, *NOT_REPEATED])
def test_a_file_that_never_arrives_is_one_error_and_is_not_cached(hub, reader, name):
    model, data = add_file(hub)
    hub.fault(f"GET {model}/params.npz", (FAULTS | NOT_REPEATED)[name])
    answer = reader.ask("file", model, "params.npz")
    assert answer.get("error", "").startswith(
        f"DownloadError: cannot fetch params.npz of {model}: "
    ), answer
    assert_soon(answer)
    hub._faults.clear()
    assert reader.ask("file", model, "params.npz").get("got") == data.hex()


def in_pieces(lines, flush=zstandard.COMPRESSOBJ_FLUSH_BLOCK):
    """Return compressed lines that end with a line but inside a frame."""
    packer = zstandard.ZstdCompressor().compressobj()
    return packer.compress(b"".join(lines)) + packer.flush(flush)


def test_a_file_truncated_after_a_line_does_not_end_the_corpus(hub, reader):
    corpus = add_corpus(hub, data=in_pieces(LINES[:100]))
    answer = reader.ask("corpus", corpus)
    assert answer["error"].startswith(f"CorruptError: corpus {corpus} cannot be read at document ")
    whole = add_corpus(hub, data=in_pieces(LINES[:200], zstandard.COMPRESSOBJ_FLUSH_FINISH))
    assert reader.ask("corpus", whole)["got"] == TEXTS


def test_all_frames_of_a_file_are_read(hub, reader):
    frames = [zstandard.compress(b"".join(LINES[n : n + 20])) for n in range(0, 200, 20)]
    assert reader.ask("corpus", add_corpus(hub, data=b"".join(frames)))["got"] == TEXTS


@pytest.mark.parametrize(
    ("ending", "data"),
    [
        ("jsonl.gz", gzip.compress(b"".join(LINES[:200]))[:-9]),
        ("jsonl.gz", b"no gzip"),
        ("jsonl.zst", b"no zstd"),
        ("jsonl", b"".join(LINES[:200])[:-9]),
        ("jsonl", b"".join([*LINES[:20], b"\xff\xfe\n"])),
        ("parquet", b"PAR1" + bytes(100) + b"PAR1"),
    ],
)
def test_a_damaged_file_is_one_error(hub, reader, ending, data):
    corpus = add_corpus(hub, ending, data)
    answer = reader.ask("corpus", corpus)
    assert answer.get("error", "").startswith(("CorruptError: ", "InvalidInputError: ")), answer
    assert corpus in answer["error"]
