"""The server's requests: who is answered, with what, and what changes on disk do."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from report.browser import NAME
from report.pages import Decoded, add_trust
from report.server.running import served
from scoring.builders import write_our_source
from sfal.errors import InvalidInputError, MissingError
from sfal.report.server.library import Library
from sfal.report.server.serve import Server
from sfal.scoring.driver import score_selection
from sfal.scoring.feature import view_feature
from sfal.scoring.selection import Selection, select_sources
from sfal.store.examples import Example, write_examples
from sfal.store.layout import SCORES


def ask(server, path, *, method="GET", host=None, token=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.putrequest(method, f"/{token or server.token}/{path}", skip_host=True)
    if host != "":
        connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


def index_of(server):
    status, _, body = ask(server, "")
    assert status == 200
    return Decoded(body.decode()).index


@pytest.fixture(scope="module")
def server(data_dir):
    with served(data_dir) as running:
        yield running


def test_the_page_has_its_data_at_the_server(server):
    index = index_of(server)
    (source,) = index["sources"]
    assert index["served"]
    assert source["name"] == NAME
    assert "functional" not in source
    labels = source["embeddings"][0]["labels"]
    status, headers, body = ask(server, f"blocks/{labels['block']}")
    assert status == 200
    assert headers["Cache-Control"] == "no-store"
    block = Decoded(
        f'<script type="application/octet-stream" id="block-index">{ask_index(server)}</script>'
        f'<script type="application/octet-stream" id="block-x">{body.decode()}</script>'
    )
    assert len(block.array({**labels, "block": "x"})) == 90


def ask_index(server):
    body = ask(server, "")[2].decode()
    return re.search(r'id="block-index">([^<]*)<', body)[1]


def test_lists_are_whole_and_those_of_sfal_feature(server, data_dir):
    state = index_of(server)["sources"][0]["state"]
    (source,) = select_sources(data_dir, Selection(sources=(NAME,))).sources
    for feature in (0, 1, 3, 4, 89):
        view = view_feature(source, feature, 1023)
        status, _, body = ask(server, f"lists/{state}/0/{feature}")
        assert status == 200
        lists = json.loads(body)
        for kind in ("functional", "semantic"):
            assert lists[kind] == [
                [one.feature, one.similarity, 0 if one.other_rank is None else one.other_rank + 1]
                for one in getattr(view, kind)
            ]
        assert lists["examples"] == []
    assert len(lists["functional"]) > 50


def test_the_worklist_learns_the_nearest_features_of_many(server, data_dir):
    state = index_of(server)["sources"][0]["state"]
    status, _, body = ask(server, f"nearest/{state}/0/0,4,89")
    assert status == 200
    nearest = json.loads(body)
    assert nearest.pop("0") == []
    for feature, found in nearest.items():
        lists = json.loads(ask(server, f"lists/{state}/0/{feature}")[2])
        assert found == [one[0] for one in lists["functional"][:3]]


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        ("", {"token": "x" * 32}, 403),
        ("", {"host": "evil.example"}, 403),
        ("", {"host": "127.0.0.1"}, 403),
        ("", {"host": "127.0.0.1:1"}, 403),
        ("", {"host": ""}, 403),
        ("", {"method": "POST"}, 405),
        ("", {"method": "DELETE"}, 405),
        ("", {"method": "OPTIONS"}, 405),
        ("", {"method": "BREW"}, 405),
        ("../../etc/passwd", {}, 403),
        ("%2e%2e/%2e%2e/etc/passwd", {}, 403),
        ("..%2fscores.parquet", {}, 403),
        ("blocks/", {}, 404),
        ("blocks/" + "0" * 64, {}, 404),
        ("scores", {}, 404),
        ("lists/0123456789abcdef/0/0", {}, 409),
        ("nearest/0123456789abcdef/0/0", {}, 409),
    ],
)
def test_what_is_not_answered(server, path, options, status):
    assert ask(server, path, **options)[0] == status


def test_indices_beyond_the_source_are_refused(server):
    state = index_of(server)["sources"][0]["state"]
    for path in (f"lists/{state}/1/0", f"lists/{state}/0/90", f"nearest/{state}/0/4,90"):
        status, _, body = ask(server, path)
        assert status == 409
        assert json.loads(body) == {"problem": "there is no such feature"}


def test_an_address_without_token_is_refused(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    for path in ("/", "//", f"/{server.token}x/"):
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 403
        assert b"token" in answer.read()
    connection.close()


def test_head_is_get_without_a_body(server):
    status, headers, body = ask(server, "", method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 10_000


def test_headers_defend_the_page(server):
    for path in ("", "nothing"):
        _, headers, _ = ask(server, path)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "connect-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"


def test_only_this_machine_is_listened_to(server):
    assert server.server_address[0] == "127.0.0.1"
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", server.url)


def test_a_taken_port_is_refused(server, data_dir):
    with pytest.raises(InvalidInputError, match=f"port {server.server_port} cannot be used"):
        Server(Library(data_dir, Selection()), server.server_port)


def test_new_scores_and_examples_appear_when_the_page_is_loaded_again(tmp_path, data_dir):
    shutil.copytree(data_dir, tmp_path, dirs_exist_ok=True)
    with served(tmp_path) as server:
        before = index_of(server)
        state = before["sources"][0]["state"]
        add_trust(tmp_path / NAME / SCORES, seed=1)
        example = Example(4, 0, 1.0, 0, 0, "token", "before ", " after")
        write_examples(tmp_path / NAME, [example], {})
        status, _, body = ask(server, f"lists/{state}/0/5")
        assert status == 200  # known from before the change or not, the counts are in memory
        after = index_of(server)
        assert after["sources"][0]["state"] != state
        columns = [one["sources"][0]["embeddings"][0]["columns"] for one in (before, after)]
        assert columns[0]["p_label"] != columns[1]["p_label"]
        assert columns[0]["sfal"] == columns[1]["sfal"]
        status, _, body = ask(server, f"lists/{state}/0/5")
        assert status == 409
        assert "load the page again" in json.loads(body)["problem"]
        lists = json.loads(ask(server, f"lists/{after['sources'][0]['state']}/0/4")[2])
        assert lists["examples"] == [["before ", "token", " after"]]


def test_verdicts_outlive_new_scores(tmp_path, data_dir):
    shutil.copytree(data_dir, tmp_path, dirs_exist_ok=True)
    keys = []
    library = Library(tmp_path, Selection())
    for seed in (1, 2):
        add_trust(tmp_path / NAME / SCORES, seed=seed)
        keys.append(re.search(r'data-key="(\w+)"', library.page())[1])
    assert keys[0] == keys[1]


def test_counts_of_sources_beyond_the_last_two_are_read_again(tmp_path):
    names = [f"gemma-2-2b/{layer}-gemmascope-res-16k" for layer in range(3)]
    for seed, name in enumerate(names):
        write_our_source(tmp_path, name, n_features=30, seed=seed)
    score_selection(tmp_path, Selection())
    library = Library(tmp_path, Selection())
    library.page()
    held = [one._open is not None for one in library._sources.values()]
    assert held == [False, True, True]
    state = next(iter(library._sources.values())).state
    (source,) = select_sources(tmp_path, Selection(sources=(names[0],))).sources
    lists = json.loads(library.lists(state, 0, 4))
    assert [one[0] for one in lists["functional"][:15]] == [
        one.feature for one in view_feature(source, 4).functional
    ]
    assert sum(one._open is not None for one in library._sources.values()) == 2
    library.lists(next(reversed(library._sources.values())).state, 0, 4)
    (tmp_path / names[1] / SCORES).touch()
    with pytest.raises(MissingError, match="load the page again"):
        library.lists(list(library._sources.values())[1].state, 0, 4)


def test_a_folder_without_scores_is_refused(tmp_path):
    write_our_source(tmp_path, NAME, n_features=30)
    with pytest.raises(MissingError, match="no scores yet"):
        Library(tmp_path, Selection()).page()


def test_several_readers_are_answered_at_once(server):
    state = index_of(server)["sources"][0]["state"]
    answers = []

    def read(feature):
        answers.append(ask(server, f"lists/{state}/0/{feature}")[0])

    threads = [threading.Thread(target=read, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 20


def test_the_command_prints_its_address_and_ends_by_ctrl_c(data_dir):
    command = [sys.executable, "-m", "sfal", "browse", "--data-dir", str(data_dir)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        line = process.stdout.readline()
        address = re.fullmatch(r"1 source at (http://127\.0\.0\.1:(\d+)(/[\w-]+/))\n", line)
        assert address, process.stderr.read()
        connection = http.client.HTTPConnection("127.0.0.1", int(address[2]), timeout=30)
        connection.request("GET", address[3])
        assert connection.getresponse().status == 200
        connection.close()
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert time.monotonic() - began < 10
        assert process.returncode == 0
        assert out.endswith("Stopped.\n")
        # The labels are random, which is all that is said.
        assert [line for line in err.splitlines() if "than chance" not in line] == []
    finally:
        process.kill()
        process.wait()


def test_the_command_refuses_what_is_not_there(tmp_path):
    command = [sys.executable, "-m", "sfal", "browse", "--data-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: no data yet in")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", ["plain", "ties", "zeros", "tiny", "few"])
def test_cosines_of_one_row_are_those_of_the_kernel(kind):
    from sfal import _core
    from sfal.report.server.cosines import CosineRows

    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((3000, 24)).astype(np.float32)
    if kind == "ties":
        matrix = np.round(matrix[:, :3])
    elif kind == "zeros":
        matrix[rng.random(3000) < 0.9] = 0
    elif kind == "tiny":
        matrix[5] *= 1e-30
    elif kind == "few":
        matrix = matrix[:40]
    rows = CosineRows(matrix)
    pool = np.flatnonzero(rng.random(len(matrix)) < 0.5)
    for candidates in (None, pool):
        for feature in (0, 5, len(matrix) - 1):
            for top_n in (1, 50, 1023):
                expected = _core.semantic_neighbours(matrix, top_n, np.array([feature]), candidates)
                found = rows.neighbours(feature, top_n, candidates)
                np.testing.assert_array_equal(found[0], expected[0][0])
                np.testing.assert_array_equal(found[1], expected[1][0])
