"""`sfal score` as users call it."""

import errno
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from scoring.published_cases import (
    EMBEDDER,
    STEM,
    histogram,
    read_csv,
    write_golden,
    write_npz,
    write_source,
)
from sfal.cli.main import sfal
from sfal.io.atomic import write_error

MODULES = """
import sys
from sfal.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print([m for m in ("torch", "pandas", "sae_lens", "transformers", "datasets") if m in sys.modules])
"""


def run(*args, data_dir):
    return CliRunner().invoke(sfal, ["score", "--data-dir", str(data_dir), *map(str, args)])


def test_the_golden_case_needs_no_flag_but_the_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data_dir = tmp_path / "data"
    write_golden(data_dir, save=np.savez_compressed)
    result = run("--model", "gemma", data_dir=data_dir)
    assert result.exit_code == 0, result.output
    head, line = result.stdout.splitlines()[:2]
    columns = "layer embedding explainer scored sfal corrected halves best 1 % ndcg chance coverage source"
    assert head.split() == columns.split()
    assert line.split()[:4] == ["0", "Qwen/Qwen3-Embedding-0.6B", "gpt-4o-mini", "1,167"]
    assert "98.0%" in line
    assert "cooccurrences.npz (2,500 windows); no standard errors: a histogram" in result.stdout
    rows = read_csv(tmp_path / "scoring_results.csv")
    assert len(rows) == 1200
    assert rows[0]["description"] == "dates related to topic 27 variant 0"
    again = run("--model", "gemma", "--published", data_dir=data_dir)
    assert again.exit_code == 0, again.output
    published = read_csv(tmp_path / "scoring_results.csv")
    assert float(published[0][f"ndcg_{EMBEDDER}"]) == pytest.approx(0.6257181439913058)
    assert rows[0][f"ndcg_{EMBEDDER}"] != published[0][f"ndcg_{EMBEDDER}"]


@pytest.mark.parametrize(
    ("missing", "top_n", "noted"),
    [
        ([], 1023, None),
        ([5, 6], 1023, "10 of 12 features are explained ({0}, {1}), so that the 11 semantic"),
        ([5, 6, 7], 10, "9 of 12 features are explained ({0}, {1}), so that the 10 semantic"),
        ([5, 6], 10, None),
        ([5, 6, 7], 8, None),
    ],
)
def test_lists_filled_up_with_unexplained_features_are_noted(tmp_path, missing, top_n, noted):
    write_source(tmp_path, missing=missing)
    words = ["--top-n", top_n, "--output", tmp_path / "o.csv"]
    result = run(*words, "--candidates", "all", data_dir=tmp_path)
    assert result.exit_code == 0, result.output
    assert "coverage: share of the features that fire" in result.stdout
    if noted is None:
        assert "Note" not in result.stderr
    else:
        name = "gemmascope-res-16k/0-gemmascope-res-16k"
        assert f"Note: {name}: {noted.format(EMBEDDER, STEM)}" in result.stderr
        assert "leave out --candidates all to rank the comparable features alone" in result.stderr
    assert "Note" not in run(*words, data_dir=tmp_path).stderr


def test_nothing_heavy_is_imported(tmp_path):
    write_source(tmp_path)
    words = ["score", "--data-dir", str(tmp_path), "--output", str(tmp_path / "o.csv")]
    done = subprocess.run(
        [sys.executable, "-c", MODULES, *words], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr
    assert (tmp_path / "o.csv").exists()


@pytest.mark.parametrize("layers", [["0", "8"], ["0,8"], ["0-8"]])
def test_layers_may_be_spelled_in_every_way(tmp_path, layers):
    for layer in (0, 8, 17):
        write_source(tmp_path, layer=layer)
    output = tmp_path / "o.csv"
    result = run("--layers", *layers, "--output", output, data_dir=tmp_path)
    assert {row["layer"] for row in read_csv(output)} == {"0", "8"}
    assert result.exit_code == (1 if layers == ["0-8"] else 0)


def test_a_refused_source_gives_one_line_and_exit_code_1(tmp_path):
    write_source(tmp_path, layer=0)
    folder, _, _ = write_source(tmp_path, layer=8)
    (npz,) = folder.glob("*.npz")
    npz.write_bytes(b"broken")
    output = tmp_path / "o.csv"
    result = run("--model", "gemma", "--output", output, data_dir=tmp_path)
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error")]
    assert npz.name in line
    assert {row["layer"] for row in read_csv(output)} == {"0"}


def test_hints_of_a_refused_source_name_flags(tmp_path):
    write_source(tmp_path, layer=0)
    folder, fired, _ = write_source(tmp_path, layer=8)
    write_npz(folder, histogram(fired), None, layer=8)
    result = run("--output", tmp_path / "o.csv", data_dir=tmp_path)
    assert result.exit_code == 1
    assert "does not state how many windows it counts; give --n-windows" in result.stderr


def test_the_flags_of_the_published_script_are_understood(tmp_path):
    folder, _, _ = write_source(tmp_path)
    output = tmp_path / "o.csv"
    words = ["--top_n", 5, "--n_windows", 40, "--embeddings", "Qwen/Qwen3-Embedding-0.6B"]
    result = run(*words, "--output", output, data_dir=tmp_path)
    assert result.exit_code == 0, result.output
    assert (folder / "scores.parquet").exists()


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (errno.EROFS, 0, "Note: no scores.parquet for"),
        (errno.ENOSPC, 1, "Error: no scores.parquet"),
    ],
)
def test_a_folder_that_cannot_be_written_still_gives_the_csv(
    tmp_path, monkeypatch, number, code, said
):
    write_source(tmp_path)

    def refuse(scores):
        error = OSError(number, "refused by the system")
        raise write_error(tmp_path / "scores.parquet", error) from error

    monkeypatch.setattr("sfal.scoring.driver.write_scores", refuse)
    output = tmp_path / "o.csv"
    result = run("--output", output, data_dir=tmp_path)
    assert result.exit_code == code
    assert said in result.stderr
    assert output.exists()
