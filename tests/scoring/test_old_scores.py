"""Scores of version 0.1.0, which say nothing of chance, labels or precision, in every command."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from scoring.builders import EMBEDDER, write_our_vectors
from scoring.labelled_case import NAME, topical, write_labelled
from sfal.cli.main import sfal
from sfal.scoring.driver import score_selection
from sfal.scoring.selection import Selection
from sfal.store.layout import REPLICATES, SCORES

OTHER = "sentence-transformers/all-MiniLM-L6-v2"
FACTS = ("source", "n_windows", "n_features", "top_n", "counts", "embeddings")
OLD = ("layer", "feature", "embedding", "explainer", "status", "windows", "ndcg", "sfal")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A source scored by two embedders; its file holds what version 0.1.0 wrote."""
    root = tmp_path_factory.mktemp("old")
    folder = write_labelled(root)
    _, _, vectors = topical(seed=0)
    write_our_vectors(folder, range(80), vectors + 0.1, None, embedder=OTHER)
    score_selection(root, Selection())
    (folder / REPLICATES).unlink(missing_ok=True)
    table = pq.read_table(folder / SCORES)
    table = table.select([name for name in OLD if name in table.column_names])
    facts = json.loads(table.schema.metadata[b"sfal"])
    old = json.dumps({name: facts[name] for name in FACTS})
    pq.write_table(table.replace_schema_metadata({b"sfal": old.encode()}), folder / SCORES)
    return root


def run(command, *args, data_dir):
    return CliRunner().invoke(sfal, [command, "--data-dir", str(data_dir), *map(str, args)])


def test_compare(data_dir):
    result = run("compare", NAME, "--embeddings", EMBEDDER, OTHER, data_dir=data_dir)
    assert result.exit_code == 0, result.output
    assert "features scored in all" in result.stdout


def test_validate(data_dir, tmp_path):
    votes = tmp_path / "votes.csv"
    lines = "".join(f"{i},{i % 5}\n" for i in range(60))
    votes.write_text(f"feature,score\n{lines}")
    result = run("validate", NAME, votes, "--embeddings", EMBEDDER, data_dir=data_dir)
    assert result.exit_code == 0, result.output
    assert "features with" in result.stdout


def test_report(data_dir, tmp_path):
    page = tmp_path / "page.html"
    result = run("report", NAME, "-o", page, data_dir=data_dir)
    assert result.exit_code == 0, result.output
    assert page.stat().st_size > 1000


def test_feature(data_dir):
    result = run("feature", NAME, 5, "--embeddings", EMBEDDER, data_dir=data_dir)
    assert result.exit_code == 0, result.output


def test_audit_says_in_one_line_that_new_scores_are_needed(data_dir):
    result = run("audit", NAME, "--embeddings", EMBEDDER, data_dir=data_dir)
    assert result.exit_code != 0
    message = (
        str(result.exception) if not isinstance(result.exception, SystemExit) else result.output
    )
    assert "earlier version" in message
    assert "\n" not in message.strip()


def test_the_columns_are_those_of_the_first_version(data_dir):
    table = pq.read_table(data_dir / NAME / SCORES)
    assert isinstance(table, pa.Table)
    assert not {"label_rank", "p_chance", "se"} & set(table.column_names)
