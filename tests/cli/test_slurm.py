"""``--slurm FILE``: the tasks of the script, run by bash, count what one run counts."""

import os
import shlex
import subprocess
import sys

import pytest
from click.testing import CliRunner

import tiny
from collect import oracle
from sfal.cli.main import sfal
from sfal.store.manifest import Manifest
from sfal.store.occurrences import read_occurrences
from sfal.store.verify import verify_tree

TASKS = 2


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Model, SAE and text in a folder whose name a shell would take apart."""
    root = tmp_path_factory.mktemp("a folder; $HOME 'quoted'")
    tiny.gemma2(root / "lm", layers=1, d_model=16)
    oracle.write_jsonl(root / "the corpus.jsonl", oracle.texts(300, longest=20))
    tiny.gemma_scope(root / "sae", ".", 16, 24)
    return root


def words(*more):
    return [
        *("cooc", "sae", "--sae", "./sae", "--model", "./lm", "--site", "res", "--layer", "0"),
        *("--corpus", "the corpus.jsonl", "--n_docs", "300", "--k", "8", "--batch-tokens", "512"),
        *("--source", "lm/0-sae-res", "--device", "cpu", *map(str, more)),
    ]


@pytest.fixture
def written(inputs, tmp_path, monkeypatch):
    """The scripts, and what the command said."""
    monkeypatch.chdir(inputs)
    file = tmp_path / "my job.sbatch"
    done = CliRunner().invoke(
        sfal, words("--slurm", file, "--slurm_tasks", TASKS, "--data-dir", tmp_path / "the data")
    )
    assert done.exit_code == 0, done.output
    return file, tmp_path / "my job.merge.sbatch", done.output


def bash(script, cwd, **variables):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}
    return subprocess.run(
        ["bash", str(script)], cwd=cwd, env={**kept, "OMP_NUM_THREADS": "1", **variables},
        capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_the_tasks_count_what_one_run_counts(written, inputs, tmp_path, monkeypatch):
    array, merge, _ = written
    for task in (2, 1):
        done = bash(array, tmp_path, SLURM_ARRAY_TASK_ID=str(task))
        assert done.returncode == 0, done.stderr
        if task == 2:
            lost = bash(merge, tmp_path)
            assert lost.returncode != 0
            assert "shard-1-of-2" in lost.stderr
    done = bash(merge, tmp_path)
    assert done.returncode == 0, done.stderr
    monkeypatch.chdir(inputs)
    one = CliRunner().invoke(sfal, words("--data-dir", tmp_path / "one"))
    assert one.exit_code == 0, one.output
    found = []
    for tree in ("the data", "one"):
        occurrences = read_occurrences(tmp_path / tree / "lm/0-sae-res")
        found.append([a.tolist() for a in occurrences.rows(0, occurrences.n_windows)])
        assert Manifest.load(tmp_path / tree / "lm/0-sae-res").complete
    assert found[0] == found[1]
    assert not [one for one in verify_tree(tmp_path / "the data") if one.problems]


def test_the_scripts_are_an_array_and_a_job_after_it(written):
    array, merge, said = written
    text = array.read_text()
    assert text.startswith("#!/bin/bash\n#SBATCH --job-name=sfal-cooc\n#SBATCH --array=1-2\n")
    assert "--slurm" not in text
    assert text.count("--data-dir") == 1
    assert "gpu" not in text  # --device cpu
    assert "--array" not in merge.read_text()
    for path in (array, merge):
        assert subprocess.run(["bash", "-n", path], check=False).returncode == 0
    submit = next(line for line in said.splitlines() if line.startswith("  sbatch"))
    assert f"--dependency=afterok:$(sbatch --parsable {shlex.quote(str(array))}" in submit
    assert submit.endswith(shlex.quote(str(merge)))
    assert sys.executable in text


def test_the_line_that_submits_them_passes_the_job_on(written, tmp_path):
    *_, said = written
    submit = next(line for line in said.splitlines() if line.startswith("  sbatch"))
    stub = tmp_path / "bin" / "sbatch"
    stub.parent.mkdir()
    stub.write_text('#!/bin/bash\nprintf "%s\\n" "$@" >> "$LOG"\necho "77;cluster"\n')
    stub.chmod(0o755)
    log = tmp_path / "log"
    path = f"{stub.parent}:{os.environ['PATH']}"
    subprocess.run(
        ["bash", "-c", submit], env={"PATH": path, "LOG": str(log)}, check=True, capture_output=True
    )
    assert log.read_text().splitlines() == [
        "--parsable", str(written[0]),
        "--kill-on-invalid-dep=yes", "--dependency=afterok:77", str(written[1]),
    ]  # fmt: skip


def test_a_gpu_is_asked_for_unless_the_device_is_a_cpu(inputs, tmp_path, monkeypatch):
    monkeypatch.chdir(inputs)
    given = [word for word in words() if word not in ("--device", "cpu")]
    done = CliRunner().invoke(sfal, [*given, f"--slurm={tmp_path / 'x.sbatch'}", "--threads", "6"])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "x.sbatch").read_text()
    assert "#SBATCH --gres=gpu:1\n" in text
    assert "#SBATCH --cpus-per-task=6\n" in text
    assert "fewer than 128 documents" in done.output


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--shard", "1/2"], "--shard goes without --slurm"),
        (["--run", "other"], "--run goes without --slurm"),
        (["--examples", "5"], "--examples goes without --slurm"),
        (["--dry-run"], "--dry-run goes without --slurm"),
        (["--devices", "cpu:2"], "--devices goes without --slurm"),
        (["--ray"], "--ray goes without --slurm"),
        (["--histogram", "npz"], "a shard has no histogram of its own"),
    ],
)
def test_what_cannot_be_divided_is_refused(inputs, tmp_path, monkeypatch, more, said):
    monkeypatch.chdir(inputs)
    done = CliRunner().invoke(sfal, words(*more, "--slurm", tmp_path / "x.sbatch"))
    assert done.exit_code != 0
    assert said in str(done.exception) + done.output
    assert not (tmp_path / "x.sbatch").exists()
