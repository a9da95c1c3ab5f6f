"""A source that SAELens' registry lacks, named by its Neuronpedia id alone, by the real commands."""

import json

import pytest

import tiny
import tiny_embedders
from collect import oracle
from servers import exports, s3
from servers import hub as hub_server
from servers.launcher import launcher
from sfal.store.manifest import Manifest

NAME = "tiny-model/1-some-saes"
FOLDER = "saes/layer_1"


@pytest.fixture(scope="module")
def sfal(tmp_path_factory):
    root = tmp_path_factory.mktemp("served")
    oracle.write_jsonl(root / "c.jsonl", oracle.texts(30, longest=60))
    about = {"model_name": "someone/tiny-model", "hook_name": "blocks.1.hook_resid_post"}
    tiny.saelens(root / "repository" / FOLDER, "standard", 16, 24, metadata=about)
    records = [exports.record(i, source=NAME) for i in range(24)]
    row = {"modelId": "tiny-model", "hfRepoId": "someone/saes", "hfFolderId": FOLDER}
    objects = exports.export([records], NAME)
    objects[f"v1/{NAME}/source.jsonl"] = json.dumps(row).encode()
    with hub_server.serve() as hub, s3.serve(objects) as bucket:
        hub.add("someone/tiny-model", tiny.llama(root / "model"))
        hub.add("someone/saes", root / "repository")
        home = tmp_path_factory.mktemp("launched")
        environment = hub.environment(home / "hf-home")
        environment["SFAL_NEURONPEDIA_URL"] = bucket.url
        with launcher(home, **environment) as one:
            yield lambda data, *words: one.run(
                *words, "--corpus", str(root / "c.jsonl"), "--k", "8", "--n-docs", "30",
                "--device", "cpu", "--data-dir", str(data), cwd=home,
            )  # fmt: skip


def test_cooc_counts_the_sae_that_neuronpedia_explained(sfal, tmp_path):
    done = sfal(tmp_path, "cooc", "sae", "--source", NAME)
    assert done.returncode == 0, done.stderr
    source = Manifest.load(tmp_path / NAME).source
    assert (source.name, source.neuronpedia_id) == (NAME, NAME)
    assert (source.site, source.layer, source.sae.repo_id) == ("res", 1, "someone/saes")


def test_run_takes_it_from_its_name_to_scores(sfal, tmp_path):
    model = tiny_embedders.embedder(tmp_path / "embedder")
    output = tmp_path / "scores.csv"
    words = ("--embedding-model", str(model), "--output", str(output))
    done = sfal(tmp_path / "data", "run", NAME, *words)
    assert done.returncode == 0, done.stderr
    assert "24 of 24 features explained" in done.stdout
    assert output.exists()
