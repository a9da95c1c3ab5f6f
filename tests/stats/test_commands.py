"""`sfal compare`, `validate` and `controls` as users call them."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from scoring.builders import EMBEDDER, write_our_source, write_our_vectors, write_texts
from scoring.published_cases import read_csv
from sfal.cli.main import sfal
from sfal.scoring.driver import score_selection
from sfal.scoring.reliability.replicate_tables import HalfScores, write_replicates
from sfal.scoring.selection import Selection
from sfal.stats.source_controls import read_planted
from sfal.store.scores import read_scores

SOURCE = "gemma-2-2b/0-gemmascope-res-16k"
OTHER = "sentence-transformers/all-MiniLM-L6-v2"


def run(command, *args, data_dir):
    return CliRunner().invoke(sfal, [command, "--data-dir", str(data_dir), *map(str, args)])


@pytest.fixture
def scored(tmp_path):
    """A source with two sets of embeddings, scored."""
    folder, _, vectors = write_our_source(tmp_path, n_features=24)
    features = [i for i in range(24) if i != 3]
    rng = np.random.default_rng(1)
    others = vectors + 0.5 * rng.standard_normal(vectors.shape).astype(np.float32)
    sha256 = write_texts(folder, features)
    write_our_vectors(folder, features, others[features], sha256, embedder=OTHER)
    score_selection(tmp_path, Selection())
    return tmp_path


def test_two_embedders_are_compared(scored):
    output = scored / "pairs.csv"
    result = run(
        "compare",
        SOURCE,
        "--embeddings",
        "all-MiniLM-L6-v2",
        EMBEDDER,
        "--output",
        output,
        data_dir=scored,
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("21 features scored in all; sfal\n")
    assert OTHER in result.stdout
    (row,) = read_csv(output)
    assert (row["a"], row["b"], row["n"]) == (OTHER, EMBEDDER, "21")
    assert row["se_documents"] == ""
    assert float(row["low"]) <= float(row["difference"]) <= float(row["high"])


def test_without_options_all_sets_are_compared_with_their_replicates(scored):
    sets = read_scores(scored / SOURCE)
    assert [one.embedding for one in sets] == [EMBEDDER, OTHER]
    rng = np.random.default_rng(0)
    kept = [
        HalfScores(one.embedding, one.explainer, one.stem, rng.random((8, 2, 24))) for one in sets
    ]
    write_replicates(scored / SOURCE, kept, {})
    result = run("compare", SOURCE, "--output", scored / "pairs.parquet", data_dir=scored)
    assert result.exit_code == 0, result.output
    (row,) = pq.read_table(scored / "pairs.parquet").to_pylist()
    assert row["a"].startswith(EMBEDDER)
    assert row["se_documents"] > 0


def test_two_sources_and_several_measures(scored):
    write_our_source(scored, "gemma-2-2b/1-gemmascope-res-16k", n_features=24, seed=5)
    other = "gemma-2-2b/1-gemmascope-res-16k"
    score_selection(scored, Selection(sources=(other,)))
    result = run("compare", SOURCE, other, "--embeddings", EMBEDDER, data_dir=scored)
    assert result.exit_code == 0, result.output
    assert result.stdout.count(other) == 2
    result = run(
        "compare",
        SOURCE,
        "--measure",
        "phi",
        "jaccard",
        "lift",
        "--embeddings",
        EMBEDDER,
        data_dir=scored,
    )
    assert result.exit_code == 0, result.output
    assert "group" in result.stdout.splitlines()[1]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([SOURCE, "--embeddings", "nomic"], "has no set of scores of the kind wanted; there are"),
        ([SOURCE, "--embeddings", "a", "b"], "has no set of scores of the kind wanted; there are"),
        ([SOURCE, "--embeddings", "a", "b", "--explainer", "c", "d"], "compare one at a time"),
        (["m/1-x", "m/2-y"], "no scores yet in"),
        ([SOURCE, "--run", "x"], "has 2 sets of scores of the kind wanted; there are"),
        ([SOURCE, "--metric", "f1"], "has no column f1"),
        ([SOURCE, "--output", "x.txt"], "give a file that ends in .csv or .parquet"),
        ([SOURCE, "--measure", "phi", "jaccard"], "choose one with embeddings or explainers"),
        ([SOURCE, "--measure", "phi", "x", "--embeddings", EMBEDDER], "measure"),
        ([SOURCE, "--measure", "phi"], "one measure alone, phi, has nothing"),
        ([SOURCE, "another/source", "--measure", "phi"], "name several as measure, or none"),
    ],
)
def test_what_cannot_be_compared_is_refused(scored, args, said):
    result = run("compare", *args, data_dir=scored)
    assert result.exit_code == 1
    assert said in str(result.exception), result.output


def test_votes_are_correlated(scored):
    votes = scored / "votes.csv"
    rng = np.random.default_rng(2)
    rows = "".join(
        f"{i},{rater},{rng.integers(1, 6)},{rng.random():.3f}\n"
        for i in range(24)
        for rater in "ab"
    )
    votes.write_text("feature,rater,score,gpt\n" + rows)
    result = run(
        "validate",
        SOURCE,
        votes,
        "--embeddings",
        EMBEDDER,
        "--metrics",
        "sfal",
        "gpt",
        "--output",
        scored / "metrics.csv",
        data_dir=scored,
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("21 features with 42 votes by 2 raters\n")
    assert "Williams t" in result.stdout
    assert "ordinal" in result.stdout
    assert "3 of 24 features with votes have no sfal and gpt" in result.stderr
    assert [row["metric"] for row in read_csv(scored / "metrics.csv")] == [
        "sfal",
        "gpt",
    ]


def test_neuronpedias_scores_of_other_explanations_do_not_count(scored):
    records = [
        {
            "index": str(i),
            "explanations": [
                {
                    "explanationModelName": explainer,
                    "scores": [{"value": i / 24 + at, "explanationScoreTypeName": "eleuther_fuzz"}],
                }
                for at, explainer in enumerate(["gpt-4o-mini", "other"])
            ],
        }
        for i in range(24)
    ]
    path = scored / "scores.json"
    path.write_text(json.dumps(records))
    result = run("validate", SOURCE, path, "--embeddings", EMBEDDER, data_dir=scored)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("21 features with 21 votes")


def test_controls_of_a_source(scored):
    output = scored / "controls.csv"
    result = run("controls", SOURCE, "--share", "0.2", "--output", output, data_dir=scored)
    assert result.exit_code == 0, result.output
    first, second = read_csv(output)
    assert first["labels"].startswith(EMBEDDER)
    assert (first["n"], first["n_wrong"]) == ("21", "4")
    assert second["labels"].startswith(OTHER)
    assert "taken for right" in result.stdout


def test_controls_are_kept_and_shown_with_the_scores(scored):
    result = run("controls", SOURCE, "--embeddings", EMBEDDER, "--share", "0.3", data_dir=scored)
    assert result.exit_code == 0, result.output
    ((one,),) = (read_planted(scored / SOURCE),)
    assert (one.embedding, one.share) == (EMBEDDER, 0.3)
    result = run("score", "--output", scored / "x.csv", data_dir=scored)
    assert result.exit_code == 0, result.output
    assert "planted" in result.stdout
    assert f"{one.auc:.3f}" in result.stdout
    result = run("score", "--top-n", 5, "--output", scored / "x.csv", data_dir=scored)
    assert "planted" not in result.stdout
