"""All three stages, from text on a hub to scores, as a user types them."""

import csv
import os
import subprocess
import sys

import numpy as np
import pytest

from collect import oracle
from scoring.definitions import expected_ndcg
from servers import exports, hub_content, s3
from servers import hub as hub_server
from sfal.store.occurrences import read_occurrences
from sfal.terminal.units import size_text

NAME = "gemma-2-2b/0-gemmascope-res-16k"
DOCUMENTS = oracle.texts(60, seed=3, longest=60)
K = "12"
RECORDS = [exports.record(i) for i in range(hub_content.N_FEATURES) if i != 3]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return an environment in which the hub and the bucket are local servers."""
    root = tmp_path_factory.mktemp("pipeline")
    with hub_server.serve() as hub, s3.serve(exports.export([RECORDS])) as bucket:
        hub_content.gemma(hub, root, DOCUMENTS)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "SFAL_"))}
        yield {
            **kept,
            **hub.environment(root / "hf-home"),
            "SFAL_NEURONPEDIA_URL": bucket.url,
            "OMP_NUM_THREADS": "1",
        }


def sfal(world, folder, *words):
    return subprocess.run(
        [sys.executable, "-m", "sfal", *words],
        cwd=folder, env=world, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


COMMON = ("--n-docs", "60", "--k", K, "--embedding-model", "neuronpedia")


def test_run_does_all_stages_and_the_scores_are_those_of_plain_loops(world, tmp_path):
    done = sfal(world, tmp_path, "run", NAME, *COMMON)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "sfal-data" / NAME
    counted = read_occurrences(folder)
    indptr, features = counted.rows(0, counted.n_windows)
    fired = np.zeros((counted.n_features, counted.n_windows), dtype=bool)
    fired[features, np.repeat(np.arange(counted.n_windows), np.diff(indptr))] = True
    vectors = np.array([exports.vector(i) for i in range(hub_content.N_FEATURES)], dtype=np.float32)
    vectors[3] = 0
    expected = expected_ndcg(fired, vectors, 1023)
    found = rows(tmp_path / "scoring_results.csv")
    assert len(found) == hub_content.N_FEATURES
    scored = 0
    for row, ndcg in zip(found, expected, strict=True):
        if row["status"] == "scored":
            scored += 1
            assert float(row["ndcg_neuronpedia"]) == pytest.approx(ndcg, abs=1e-9)
        else:
            assert row["ndcg_neuronpedia"] == ""
    assert scored > hub_content.N_FEATURES / 2
    assert found[3]["status"] in ("unexplained", "dead", "always_on")

    again = sfal(world, tmp_path, "run", NAME, *COMMON)
    assert again.returncode == 0, again.stderr
    assert "counted before" in again.stdout
    assert "already embedded by neuronpedia" in again.stdout
    assert rows(tmp_path / "scoring_results.csv") == found


def test_an_unknown_source_is_named_and_the_others_are_done(world, tmp_path):
    done = sfal(world, tmp_path, "run", "gemma-2-2b/0-gemmascope-res-17k", NAME, *COMMON)
    assert done.returncode == 1
    assert "'gemma-2-2b/0-gemmascope-res-17k'; perhaps gemma-2-2b/0-gemmascope-res-1" in done.stderr
    assert len(rows(tmp_path / "scoring_results.csv")) == hub_content.N_FEATURES


_PYTHON = """
import sys
import sfal

name, results = sys.argv[1], []
collect = sfal.CollectSettings("auto", n_docs=60, window_size=12)
embed = sfal.EmbedSettings(embedding_models=("neuronpedia",))
done = sfal.run([name, "gemma-2-2b/nothing"], sfal.RunSettings(collect=collect, embed=embed),
                on_result=results.append)
print(*(type(result).__name__ for result in results))
print(done.counted[0].manifest.counts.documents, done.explained[0].chosen.n_chosen,
      done.embedded[0].embedded.n_vectors, len(done.scores.scores))
print(*(type(error).__name__ for error in done.errors))
"""


def test_run_is_a_function_with_typed_results(world, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _PYTHON, NAME],
        cwd=tmp_path, env=world, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    order, numbers, errors = done.stdout.splitlines()
    assert order == "UnknownSaeError CollectResult DownloadResult EmbedResult Outcome"
    assert numbers == f"60 {len(RECORDS)} {len(RECORDS)} 1"
    assert errors == "UnknownSaeError"
    assert not list(tmp_path.glob("*.csv"))


def test_a_dry_run_does_nothing(world, tmp_path):
    done = sfal(world, tmp_path, "run", NAME, *COMMON, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "documents 0 to 59" in done.stdout
    size = size_text(len(exports.batch(RECORDS)))
    assert f"explanations of {NAME}\n  to download  {size}\n" in done.stdout
    assert "scores into scoring_results.csv" in done.stdout
    assert list(tmp_path.iterdir()) == []
