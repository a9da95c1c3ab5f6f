"""Scores from our own tree: occurrences, explanations and embeddings."""

import json
import subprocess
import sys

import numpy as np
import pytest

from scoring.builders import write_our_source, write_our_vectors, write_run, write_texts
from scoring.definitions import expected_ndcg
from scoring.published_cases import histogram, read_csv, write_npz
from scoring.test_score_command import MODULES, run
from sfal.errors import MissingError, SfalError
from sfal.scoring.driver import score_selection
from sfal.scoring.selection import Selection

ALL = Selection()


def test_scores_from_occurrences_equal_plain_loops(tmp_path):
    _, fired, vectors = write_our_source(tmp_path)
    (scores,) = score_selection(tmp_path, Selection(model="gemma")).scores
    np.testing.assert_allclose(
        scores.embeddings[0].ndcg, expected_ndcg(fired, vectors, 1023), rtol=1e-9
    )
    assert scores.read == "occurrences of 40 windows"
    assert scores.explanations[2] == "sense of 2"


def test_occurrences_take_precedence_over_a_histogram(tmp_path):
    folder, fired, _ = write_our_source(tmp_path)
    (before,) = score_selection(tmp_path, ALL).scores
    write_npz(folder, histogram(~fired), 40)
    (scores,) = score_selection(tmp_path, ALL).scores
    assert scores.read == before.read
    np.testing.assert_array_equal(scores.windows, before.windows)


def test_a_histogram_gives_the_same_bits_as_its_occurrences(tmp_path):
    folder, fired, _ = write_our_source(tmp_path)
    (before,) = score_selection(tmp_path, ALL).scores
    (folder / "manifest.json").unlink()
    write_npz(folder, histogram(fired), 40)
    (scores,) = score_selection(tmp_path, ALL).scores
    assert "cooccurrences.npz" in scores.read
    np.testing.assert_array_equal(scores.embeddings[0].ndcg, before.embeddings[0].ndcg)


def test_an_incomplete_run_is_scored_and_reported_as_incomplete(tmp_path):
    folder, fired, _ = write_our_source(tmp_path)
    write_run(folder, fired, n_docs=1000)
    (scores,) = score_selection(tmp_path, ALL).scores
    assert scores.read == "occurrences of 40 windows, not yet complete"


def test_a_run_without_windows_has_no_counts_yet(tmp_path):
    folder, _, _ = write_our_source(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["parts"] = []
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(MissingError, match=r"no counts yet; sfal\.collect\(\)"):
        score_selection(tmp_path, ALL)


def test_nothing_heavy_is_imported(tmp_path):
    write_our_source(tmp_path)
    words = ["score", "--data-dir", str(tmp_path), "--output", str(tmp_path / "o.csv")]
    done = subprocess.run(
        [sys.executable, "-c", MODULES, *words], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr
    assert (tmp_path / "o.csv").exists()


def refusal(data_dir):
    with pytest.raises(SfalError) as caught:
        score_selection(data_dir, ALL)
    return str(caught.value)


def test_a_damaged_part_is_named(tmp_path):
    folder, _, _ = write_our_source(tmp_path)
    part = folder / "occurrences" / "part-000001.parquet"
    content = bytearray(part.read_bytes())
    content[100] ^= 1
    part.write_bytes(content)
    assert str(part) in refusal(tmp_path)


def test_embeddings_of_another_source_are_refused(tmp_path):
    folder, _, vectors = write_our_source(tmp_path)
    other = "gemma-2-2b/5-gemmascope-res-16k"
    path = write_our_vectors(folder, range(12), vectors, None, source=other)
    message = refusal(tmp_path)
    assert str(path) in message
    assert f"another source, {other}" in message


def test_embeddings_of_the_same_layer_of_another_model_are_refused(tmp_path):
    folder, _, vectors = write_our_source(tmp_path)
    write_our_vectors(folder, range(12), vectors, None, source="gemma-2-9b/0-gemmascope-res-16k")
    assert "another source" in refusal(tmp_path)


def test_embeddings_that_are_out_of_date_are_used_with_a_note(tmp_path):
    folder, _, _ = write_our_source(tmp_path)
    write_texts(folder, range(12), word="meaning")
    notes = [str(note) for note in score_selection(tmp_path, ALL).notes]
    assert any("made from other explanations" in note for note in notes)


def test_explanations_that_cannot_be_read_do_not_stop_the_scores(tmp_path):
    folder, _, _ = write_our_source(tmp_path)
    (folder / "explanations.parquet").write_bytes(b"broken")
    outcome = score_selection(tmp_path, ALL)
    assert not outcome.scores[0].explanations
    assert any("explanations.parquet" in str(note) for note in outcome.notes)


def test_the_csv_distinguishes_two_sites_of_one_layer(tmp_path):
    write_our_source(tmp_path)
    write_our_source(tmp_path, "gemma-2-2b/0-gemmascope-mlp-16k", seed=1)
    output = tmp_path / "o.csv"
    result = run("--model", "gemma", "--output", output, data_dir=tmp_path)
    assert result.exit_code == 0
    rows = read_csv(output)
    names = list(rows[0])
    assert names[names.index("status") + 1] == "source"
    assert {row["source"] for row in rows} == {
        "gemma-2-2b/0-gemmascope-res-16k",
        "gemma-2-2b/0-gemmascope-mlp-16k",
    }


def test_a_further_run_keeps_its_scores_in_its_own_folder(tmp_path):
    folder, fired, _ = write_our_source(tmp_path)
    write_run(folder / "runs" / "k512", ~fired)
    (scores,) = score_selection(tmp_path, Selection(run="k512")).scores
    np.testing.assert_array_equal(scores.windows, (~fired).sum(axis=1))
    assert (folder / "runs" / "k512" / "scores.parquet").exists()
    assert not (folder / "scores.parquet").exists()
