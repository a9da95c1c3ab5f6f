"""``sfal embeddings`` as it is typed."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import tiny_embedders as models
from servers import exports, faults, hub, s3
from sfal.cli import embeddings as commands
from sfal.cli.embeddings import embeddings
from sfal.cli.hints import told
from sfal.io.web.http import Patience
from sfal.store.embeddings import find_vectors, read_vectors
from sfal.store.explanations import read_explanations

OTHER = "gemma-2-2b/5-gemmascope-res-16k"


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    objects = exports.export(
        [
            [exports.record(i) for i in range(6)],
            [exports.newer_record(i) for i in range(8)] + [b"{", exports.record(1)],
        ]
    )
    objects |= exports.export([[exports.record(i, source=OTHER) for i in range(4)]], OTHER)
    with s3.serve(objects) as bucket:
        monkeypatch.setenv("SFAL_NEURONPEDIA_URL", bucket.url)
        monkeypatch.setenv("SFAL_DATA", str(tmp_path / "data"))
        yield bucket


def run(*words):
    return CliRunner().invoke(embeddings, [str(w) for w in words])


def test_download_says_what_was_chosen_what_is_missing_and_what_was_left_out(bucket, tmp_path):
    result = run("download", "--source", exports.SOURCE)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "gemma-2-2b/0-gemmascope-res-16k: 8 of 8 features explained, 0 not "
        "(oai_token-act-pair by gpt-4o-mini 6; np_max-act-logits by gemini-2.0-flash 2)",
        "  1 record repeats another",
        "  left out: 1 invalid JSON",
    ]
    assert "unchanged" in run("download", "--source", exports.SOURCE).output


def test_several_sources_are_given_in_any_of_the_usual_ways(bucket, tmp_path):
    for words in (
        ("--source", exports.SOURCE, OTHER),
        ("--source", f"{exports.SOURCE},{OTHER}"),
        ("--source", exports.SOURCE, "--source", OTHER),
        ("--model", "gemma", "--layers", "0", "5"),
        ("--model", "google/gemma-2-2b", "--layers=0,5", "--sae_type", "res"),
        (),
    ):
        result = run("download", *words)
        assert result.exit_code == 0, result.output
        assert [line.split(":")[0] for line in result.output.splitlines() if line[0] != " "] == [
            exports.SOURCE,
            OTHER,
        ]


def test_without_data_on_disk_the_preset_is_used(bucket, tmp_path):
    result = run("download")
    assert result.exit_code == 1
    there = sorted(p.parent.name for p in (tmp_path / "data").rglob("explanations.parquet"))
    assert there == ["0-gemmascope-res-16k", "5-gemmascope-res-16k"]
    for layer in (10, 15, 25):
        assert f"has no explanations of gemma-2-2b/{layer}-gemmascope-res-16k" in result.output


def test_an_error_shared_by_all_layers_is_printed_once(monkeypatch, tmp_path):
    monkeypatch.setenv("SFAL_NEURONPEDIA_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SFAL_DATA", str(tmp_path))
    settings = commands.download_settings
    monkeypatch.setattr(
        commands,
        "download_settings",
        lambda *words, **more: replace(settings(*words, **more), patience=Patience(attempts=1)),
    )
    result = run("download")
    assert result.exit_code == 1
    first, rest = result.stderr.splitlines()
    assert "0-gemmascope-res-16k" in first
    assert rest == "Error: the same for " + ", ".join(
        f"gemma-2-2b/{layer}-gemmascope-res-16k" for layer in (5, 10, 15, 25)
    )


def test_a_source_that_fails_does_not_stop_the_others_and_sets_the_exit_code(bucket, tmp_path):
    result = run("all", "--source", "gemma-2-2b/nothing", OTHER, "--embedding-model", "neuronpedia")
    assert result.exit_code == 1
    assert "Error: Neuronpedia's export has no explanations of gemma-2-2b/nothing" in result.stderr
    assert f"{OTHER}: 4 embedded by neuronpedia" in result.stdout


def test_all_embeds_what_it_fetched_and_skips_it_the_next_time(bucket, tmp_path):
    folder = models.embedder(tmp_path / "m")
    words = ("all", "--source", exports.SOURCE, "--embedding-model", folder, "neuronpedia")
    result = run(*words)
    assert result.exit_code == 0, result.output
    found = find_vectors(tmp_path / "data" / exports.SOURCE)
    assert sorted(found) == [("local/model", "mixed"), ("neuronpedia", "mixed")]
    assert read_vectors(found["local/model", "mixed"]).vectors.shape == (8, 32)
    again = run(*words)
    assert again.stdout.count("already embedded") == 2
    assert run("embed", "--embedding_model", folder).stdout.count("already embedded") == 1


def test_a_requested_explainer_is_a_filter(bucket, tmp_path):
    result = run("all", "--source", exports.SOURCE, "--explainer", "gemini-2.0-flash",
                 "--embedding-model", "neuronpedia")  # fmt: skip
    assert result.exit_code == 0, result.output
    run("embed", "--explainer", "gpt-4o-mini", "--embedding-model", "neuronpedia")
    assert sorted(find_vectors(tmp_path / "data" / exports.SOURCE)) == [
        ("neuronpedia", "np_max-act-logits_gemini-2.0-flash"),
        ("neuronpedia", "oai_token-act-pair_gpt-4o-mini"),
    ]
    result = run("download", "--source", exports.SOURCE, "--explainer", "gpt-5")
    assert result.exit_code == 1
    assert "oai_token-act-pair by gpt-4o-mini (6)" in result.stderr


def test_a_users_file_is_read_and_its_explanations_are_kept(bucket, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("index,description\n3,three\n4, four \n")
    words = (
        "all",
        "--source",
        "my-model/3-sae-res",
        "--embedding-model",
        models.embedder(tmp_path),
    )
    result = run(*words, "--explanations", path)
    assert result.exit_code == 0, result.output
    place = tmp_path / "data" / "my-model" / "3-sae-res"
    assert read_explanations(place).column("explanation").to_pylist() == ["three", "four"]
    assert list(find_vectors(place)) == [("local/model", "custom_mine")]
    assert "are kept" in run(*words).stdout
    assert bucket.requests == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("download", "--source", "a/b", "--model", "gemma"), "not both"),
        (("download", "--source", "a/b", "--sae-type", "mlp"), "give --source or --sae-type"),
        (("download", "--source", "../x"), "cannot be a folder name"),
        (("download", "--model", "gpt2"), "presets for gemma and llama"),
        (
            ("download", "--model", "gemma", "--explanations", "x.csv"),
            "5 are given; name the one with --source",
        ),
        (
            ("all", "--embedding-model", "a", "b", "--embedding-name", "c"),
            "2 are given; give one --embedding-model",
        ),
        (("all", "--embedding-model", "./nothing"), "there is no model"),
    ],
)
def test_contradictory_options_are_refused(bucket, words, message):
    result = run(*words)
    assert result.exit_code != 0
    assert message in told(result.exception)
    assert bucket.requests == []


def test_embedding_before_the_download_says_what_to_do(bucket):
    result = run("embed", "--source", exports.SOURCE, "--embedding-model", "neuronpedia")
    assert result.exit_code == 1
    assert "`sfal embeddings download` fetches them" in result.stderr


def command(*words, environment):
    return [sys.executable, "-m", "sfal", "embeddings", *map(str, words)], {
        "env": {**os.environ, **environment},
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }


def finish(*words, environment):
    args, options = command(*words, environment=environment)
    return subprocess.run(args, timeout=200, **options)


def test_all_without_options_uses_the_default_embedder_from_the_hub(bucket, tmp_path):
    with hub.serve() as served:
        served.add("Qwen/Qwen3-Embedding-0.6B", models.qwen3_embedder(tmp_path / "m"))
        environment = served.environment(tmp_path / "home")
        finish("download", "--source", OTHER, environment=environment)
        result = finish("all", environment=environment)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"{OTHER}: 4 embedded by Qwen/Qwen3-Embedding-0.6B" in result.stdout
    ((name, path),) = find_vectors(tmp_path / "data" / OTHER).items()
    assert name == ("Qwen/Qwen3-Embedding-0.6B", "oai_token-act-pair_gpt-4o-mini")
    found = read_vectors(path)
    assert found.metadata["fingerprint"] == served.commit("models", "Qwen/Qwen3-Embedding-0.6B")
    assert found.metadata["dtype"] == "float32"
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-5)


def test_fetching_and_choosing_import_neither_torch_nor_pandas(bucket):
    script = (
        "import sys; from sfal.cli.embeddings import embeddings;"
        f"embeddings(['all', '--source', '{OTHER}', '--embedding-model', 'neuronpedia'],"
        "standalone_mode=False); print(*sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "4 embedded" in result.stdout
    heavy = {"torch", "pandas", "transformers", "sentence_transformers", "datasets", "sae_lens"}
    assert heavy.isdisjoint(result.stdout.split())


def test_an_error_is_a_line_without_a_traceback(bucket, tmp_path):
    result = finish("download", "--source", "gemma-2-2b/nothing", environment={})
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("Error: Neuronpedia's export has no explanations of")


def test_an_interrupted_download_ends_soon_and_leaves_no_partial_file(bucket, tmp_path, tally):
    bucket.fault(f"v1/{OTHER}/explanations/batch-0.jsonl.gz", faults.silence)
    args, options = command("download", "--source", OTHER, environment={})
    process = subprocess.Popen(args, **options)
    while not bucket.fetched():
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert time.monotonic() - started < 3
    assert f"Stopped at {OTHER}; the same command" in stderr
    left = [p.name for p in (tmp_path / "data").rglob("*") if p.is_file()]
    assert left == []
    tally("interruptions: sfal embeddings download")


def test_a_download_killed_at_any_moment_is_completed_by_the_next(bucket, tmp_path, tally):
    objects = exports.export([[exports.record(i * 10 + n) for n in range(10)] for i in range(30)])
    bucket.objects.update(objects)
    for n in range(30):
        bucket.fault(f"v1/{exports.SOURCE}/explanations/batch-{n}.jsonl.gz", faults.delayed(0.05))
    for wanted in (0, 5, 17, 28):
        args, options = command("download", "--source", exports.SOURCE, environment={})
        process = subprocess.Popen(args, **options)
        while len(set(bucket.fetched())) < wanted and process.poll() is None:
            time.sleep(0.005)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    result = finish("download", "--source", exports.SOURCE, environment={})
    assert (result.returncode, result.stderr) == (0, "")
    place = tmp_path / "data" / exports.SOURCE
    killed = (place / "explanations.parquet").read_bytes()
    assert not [p for p in place.rglob(".tmp-*") if p.is_file()]
    whole = finish(
        "download", "--source", exports.SOURCE, "--data-dir", tmp_path / "whole", environment={}
    )
    assert whole.returncode == 0
    assert killed == (tmp_path / "whole" / exports.SOURCE / "explanations.parquet").read_bytes()
    assert json.loads((place / "export" / "listing.json").read_text())["source"] == exports.SOURCE
    tally("kills: sfal embeddings download", 4)
