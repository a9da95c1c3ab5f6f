"""`sfal export`: what each tool finds in the files, and what is refused."""

import csv
import json
import os
import re

import networkx as nx
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from report.browser import NAME
from report.pages import HOSTILE, add_trust
from scoring.builders import write_our_source, write_our_vectors
from sfal.cli.main import sfal
from sfal.errors import ArtifactError, InvalidInputError
from sfal.report.exports.atlas import write_atlas
from sfal.report.exports.csv_files import write_csv
from sfal.report.exports.exported import read_exported
from sfal.report.exports.graph import write_graph
from sfal.scoring.driver import score_selection
from sfal.scoring.feature import view_feature
from sfal.scoring.selection import Selection, select_sources
from sfal.store.examples import Example, write_examples
from sfal.store.explanations import explanations_sha256, make_table, write_explanations
from sfal.store.layout import SCORES

SELECTION = Selection(sources=(NAME,))


def views(data_dir, n=90):
    (source,) = select_sources(data_dir, SELECTION).sources
    return [view_feature(source, feature, 50) for feature in range(n)]


@pytest.fixture(scope="module")
def hostile_dir(tmp_path_factory):
    """A source with labels that break careless files."""
    folder = tmp_path_factory.mktemp("hostile")
    source, _, vectors = write_our_source(folder, NAME, n_features=40)
    features = [i for i in range(40) if i != 3]
    texts = [(HOSTILE[i % len(HOSTILE)] + f"-{i}", "made", "nobody") for i in features]
    table = make_table(np.array(features, np.uint32), texts)
    write_explanations(source, table, {})
    write_our_vectors(source, features, vectors[features], explanations_sha256(table))
    score_selection(folder, Selection())
    return folder


def run(*words):
    return CliRunner().invoke(sfal, ["export", *map(str, words)])


def test_atlas_finds_rows_neighbours_and_vectors(tmp_path, data_dir):
    exported = read_exported(data_dir, SELECTION, 10)
    assert write_atlas(exported, tmp_path, 10) == [tmp_path / "features.parquet"]
    frame = pd.read_parquet(tmp_path / "features.parquet")
    assert frame["feature"].tolist() == list(range(90))
    assert {"status", "sfal", "p_label", "better_labels"} <= set(frame.columns)
    for view, (_, row) in zip(views(data_dir), frame.iterrows(), strict=True):
        assert row["text"] == view.explanation
        for column, own in (("neighbors", view.functional), ("semantic_neighbors", view.semantic)):
            assert list(row[column]["ids"]) == [one.feature for one in own[:10]]
            distances = [np.float32(1) - np.float32(one.similarity) for one in own[:10]]
            assert list(row[column]["distances"]) == distances
            assert np.all(np.diff(row[column]["distances"]) >= 0)
    vectors = np.stack(frame["vector"])
    np.testing.assert_array_equal(vectors, exported.embeddings.matrix)
    assert not (tmp_path / "windows.parquet").exists()


def test_atlas_gets_the_contexts_that_were_gathered(tmp_path, data_dir):
    import shutil

    shutil.copytree(data_dir, tmp_path / "data")
    examples = [
        Example(feature, rank, 2.0 - rank, 7, 3, f"token{feature}", "before ", " after")
        for feature in (4, 8)
        for rank in range(3)
    ]
    write_examples(tmp_path / "data" / NAME, examples, {})
    paths = write_atlas(read_exported(tmp_path / "data", SELECTION, 3), tmp_path / "out", 3)
    assert [path.name for path in paths] == ["features.parquet", "windows.parquet"]
    rows = pq.read_table(tmp_path / "out" / "windows.parquet").to_pylist()
    assert len(rows) == 6
    assert rows[3] == {
        "feature": 8,
        "label": "sense of 8",
        "rank": 0,
        "activation": 2.0,
        "doc": 7,
        "position": 3,
        "token": "token8",
        "text": "before token8 after",
    }


def test_networkx_reads_the_graph(tmp_path, data_dir):
    edges = write_graph(read_exported(data_dir, SELECTION, 10), tmp_path, 10)
    graph = nx.read_graphml(tmp_path / "graph.graphml", node_type=int)
    assert not graph.is_directed()
    assert not graph.is_multigraph()
    assert sorted(graph) == list(range(90))
    table = pq.read_table(tmp_path / "edges.parquet").to_pylist()
    assert len(table) == len(edges.phi) == graph.number_of_edges()
    expected = {}
    for view in views(data_dir):
        for one in view.functional[:10]:
            pair = tuple(sorted((view.feature, one.feature)))
            match = one.other_rank is not None and one.other_rank < 50
            expected[pair] = (one.similarity, match or expected.get(pair, (0, False))[1])
    assert [(row["source"], row["target"]) for row in table] == sorted(expected)
    vectors = read_exported(data_dir, SELECTION, 10).embeddings.matrix
    for row in table:
        pair = row["source"], row["target"]
        assert pair[0] < pair[1]
        assert (row["phi"], row["matched"]) == expected[pair]
        attributes = graph.edges[pair]
        assert attributes["phi"] == row["phi"]
        assert attributes["weight"] == max(row["phi"], 0)
        assert attributes["matched"] is row["matched"]
        if 3 in pair:
            assert row["cosine"] is None
            assert "cosine" not in attributes
        else:
            one, other = vectors[list(pair)]
            cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
            assert row["cosine"] == pytest.approx(cosine, abs=1e-6)
    assert graph.nodes[4]["label"] == "sense of 4"
    assert graph.nodes[0] == {"label": "sense of 0", "status": "dead", "windows": 0}


def test_graphml_holds_hostile_labels(tmp_path, hostile_dir):
    exported = read_exported(hostile_dir, SELECTION, 5)
    write_graph(exported, tmp_path, 5)
    graph = nx.read_graphml(tmp_path / "graph.graphml", node_type=int)
    for i, label in enumerate(exported.labels):
        if label:
            assert graph.nodes[i]["label"] == label.replace("\x00", "\ufffd")


def test_csv_has_all_columns_and_no_formulas(tmp_path, hostile_dir):
    table = add_trust(hostile_dir / NAME / SCORES)
    exported = read_exported(hostile_dir, SELECTION, 50)
    write_csv(exported, tmp_path, 50)
    with (tmp_path / "features.csv").open(newline="", encoding="utf-8") as file:
        features = list(csv.DictReader(file))
    assert set(features[0]) == {*table.column_names, "label"}
    with (tmp_path / "neighbours.csv").open(newline="", encoding="utf-8") as file:
        neighbours = list(csv.DictReader(file))
    for i, row in enumerate(features):
        assert int(row["feature"]) == i
        assert row["label"].removeprefix("'") == exported.labels[i].replace("\x00", "\ufffd")
        known = table.column("sfal")[i].as_py()
        assert row["sfal"] == ("" if known is None else repr(known))
    assert any(row["label"].startswith("'=") for row in features)
    better = json.loads(next(row for row in features if row["better_labels"])["better_labels"])
    assert set(better[0]) == {"feature", "sfal"}
    for rows in (features, neighbours):
        for row in rows:
            for value in row.values():
                assert not re.match(r"[=+@\t\r]|-(?!\d)", value)
    expected = [
        (view.feature, kind, place + 1, one.feature, one.similarity, one.other_rank)
        for view in views(hostile_dir, 40)
        for kind in ("functional", "semantic")
        for place, one in enumerate(getattr(view, kind))
    ]
    assert [
        (
            int(row["feature"]),
            row["list"],
            int(row["place"]),
            int(row["neighbour"]),
            float(row["similarity"]),
            int(row["place_in_other_list"]) - 1 if row["place_in_other_list"] else None,
        )
        for row in neighbours
    ] == expected


def test_the_command_says_what_it_wrote_and_how_to_open_it(tmp_path, data_dir):
    common = [NAME, "--data-dir", data_dir, "-o", tmp_path / "out dir"]
    done = run("atlas", *common)
    assert done.exit_code == 0, done.output
    command = (
        f"  embedding-atlas '{tmp_path}/out dir/features.parquet' "
        "--vector vector --text text --neighbors neighbors\n"
    )
    assert done.stdout.endswith(command)
    done = run("graph", *common, "--neighbours", 3)
    assert done.exit_code == 0
    assert re.search(r"90 features and \d+ edges in", done.output)
    done = run("csv", *common)
    assert done.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out dir").iterdir()) == [
        "edges.parquet",
        "features.csv",
        "features.parquet",
        "graph.graphml",
        "neighbours.csv",
    ]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["atlas", "gemma-2-2b/none"], 1, "no data yet for gemma-2-2b/none"),
        (["atlas", NAME, "--embeddings", "none"], 1, "has no embeddings none"),
        (["atlas", NAME, "--neighbours", "51"], 2, "51 is not in the range"),
        (["pdf", NAME], 2, "'pdf' is not one of"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_line(tmp_path, data_dir, words, code, message):
    done = run(*words, "--data-dir", data_dir, "-o", tmp_path / "out")
    assert done.exit_code == code
    assert message in str(done.exception) + done.output
    assert not (tmp_path / "out").exists()


def test_a_source_without_scores_is_refused(tmp_path):
    write_our_source(tmp_path, NAME, n_features=30)
    with pytest.raises(ArtifactError, match="no scores yet"):
        read_exported(tmp_path, SELECTION, 10)
    with pytest.raises(InvalidInputError, match="neighbours is 0"):
        read_exported(tmp_path, SELECTION, 0)


@pytest.mark.parametrize("write", [write_atlas, write_graph, write_csv])
def test_files_are_whole_or_absent(tmp_path, data_dir, write, monkeypatch):
    exported = read_exported(data_dir, SELECTION, 5)
    kept = [tmp_path / name for name in ("features.parquet", "graph.graphml", "features.csv")]
    for path in kept:
        path.write_text("before")

    def full(*_, **__):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    monkeypatch.setattr("csv.writer", full)
    with pytest.raises(ArtifactError, match="the disk is full"):
        write(exported, tmp_path, 5)
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    assert {path.read_text() for path in kept} == {"before"}
