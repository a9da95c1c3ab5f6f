"""`sfal score --plot`: what is drawn, how it is written, and what is refused."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.patches import Rectangle

from scoring.builders import write_our_source
from scoring.labelled_case import write_labelled
from sfal import _core
from sfal.cli.main import sfal
from sfal.errors import ArtifactError, InvalidInputError, MissingDependencyError
from sfal.report import plot
from sfal.scoring.driver import score_selection
from sfal.scoring.feature_scores import FeatureScores
from sfal.scoring.reliability.medians import median_reliability
from sfal.scoring.score import EmbeddingScores, SourceScores
from sfal.scoring.selection import Selection, SourceInput


def embedding_scores(values, embedder="Qwen/Qwen3-Embedding-0.6B"):
    values = np.array(values, dtype=float)
    status = np.isnan(values).astype(np.uint8)
    n = len(values)
    ranks, better = np.ones(n, np.uint32), np.zeros((n, 0), np.uint32)
    p = (values, values, ranks, values, values, values)
    features = FeatureScores(
        status, 0.02, values, values, *p, better, better.astype(np.float32), values, values
    )
    return EmbeddingScores(embedder, "type_explainer", "explainer", Path("x"), n, features)


def source_scores(*embeddings, windows=None, name="model/0-res"):
    n = len(embeddings[0].sfal)
    source = SourceInput(name, "model", 0, Path(), Path())
    windows = np.arange(1, n + 1, dtype=np.uint64) if windows is None else windows
    return SourceScores(source, "counts", 5000, windows, {}, embeddings)


def random_scores(n=400, seed=0, **names):
    return embedding_scores(np.random.default_rng(seed).normal(0.3, 0.2, n).clip(-0.02, 1), **names)


def run(data_dir, *words):
    return CliRunner().invoke(sfal, ["score", "--data-dir", str(data_dir), *map(str, words)])


@pytest.mark.parametrize("name", ["scores.png", "new/scores.SVG"])
def test_the_command_draws_what_it_scored(tmp_path, name):
    write_our_source(tmp_path / "data")
    path = tmp_path / name
    result = run(tmp_path / "data", "--output", tmp_path / "o.csv", "--plot", path)
    assert result.exit_code == 0, result.output
    assert f"Plot: {path}" in result.stdout
    if path.suffix == ".png":
        assert path.read_bytes().startswith(b"\x89PNG")
    else:
        assert ET.parse(path).getroot().tag.endswith("svg")
    assert [p.name for p in path.parent.iterdir() if p.name.startswith(".tmp")] == []


@pytest.mark.parametrize("name", ["scores.pdf", "scores", "png"])
def test_other_endings_are_refused_before_anything_is_scored(tmp_path, name):
    folder, _, _ = write_our_source(tmp_path / "data")
    result = run(tmp_path / "data", "--output", tmp_path / "o.csv", "--plot", tmp_path / name)
    assert isinstance(result.exception, InvalidInputError)
    assert re.search(r"must end in \.png or \.svg", str(result.exception))
    assert not (tmp_path / "o.csv").exists()
    assert not (folder / "scores.parquet").exists()


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, monkeypatch):
    write_our_source(tmp_path / "data")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    words = ["--output", tmp_path / "o.csv", "--plot", tmp_path / "s.png"]
    result = run(tmp_path / "data", *words)
    assert isinstance(result.exception, MissingDependencyError)
    assert "pip install '.[plot]'" in str(result.exception)
    assert not (tmp_path / "o.csv").exists()


PLAIN = """
import sys
from sfal.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print("matplotlib" in sys.modules)
"""


def test_without_the_flag_matplotlib_is_not_imported(tmp_path):
    write_our_source(tmp_path)
    words = ["score", "--data-dir", str(tmp_path), "--output", str(tmp_path / "o.csv")]
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, *words], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "False", done.stderr


@pytest.mark.parametrize("ending", plot.FORMATS)
def test_the_same_scores_give_the_same_bytes_whatever_the_users_settings(
    tmp_path, monkeypatch, ending
):
    import matplotlib as mpl

    scores = [source_scores(random_scores())]
    first, second = tmp_path / f"first{ending}", tmp_path / f"second{ending}"
    plot.plot_scores(scores, first)
    monkeypatch.setenv("MPLBACKEND", "tkagg")  # needs a display, and there is none
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "black", "text.usetex": True}):
        plot.plot_scores(scores, second)
        assert mpl.rcParams["font.size"] == 20
    assert first.read_bytes() == second.read_bytes()
    assert (
        "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    )


def panels(figure):
    return [axes for axes in figure.axes if axes.get_visible()]


def test_each_source_and_embedding_has_a_pair_of_panels_on_common_scales():
    one = source_scores(random_scores(seed=1), random_scores(seed=2, embedder="other/embedder"))
    two = source_scores(embedding_scores([np.nan, -0.4, 0.9]), name="model/7-res")
    drawn = panels(plot._figure([one, two]))
    assert len(drawn) == 6
    titles = [axes.get_title(loc="left") for axes in drawn[::2]]
    assert "model/0-res" in titles[0]
    assert "other/embedder" in titles[1]
    assert "2 of 3 features scored" in titles[2]
    for left, right in zip(drawn[::2], drawn[1::2], strict=True):
        assert left.get_xlim() == drawn[0].get_xlim() == right.get_ylim()
        low, high = left.get_xlim()
        assert low < -0.4 < 0.9 < high
        assert right.get_xscale() == "log"
        assert right.get_xlim() == drawn[1].get_xlim()


def test_bars_and_points_are_the_scored_features():
    values = np.r_[np.linspace(-0.1, 0.9, 30), np.nan, np.nan]
    left, right = panels(plot._figure([source_scores(embedding_scores(values))]))
    assert sum(bar.get_height() for bar in left.patches if isinstance(bar, Rectangle)) == 30
    points = right.collections[0].get_offsets()
    np.testing.assert_allclose(points, np.c_[np.arange(1, 31), values[:30]])
    assert "30 of 32 features scored" in left.get_title(loc="left")


def test_the_axis_of_counts_fits_the_scored_features():
    values = [np.nan, 0.1, 0.2, 0.3, np.nan]
    windows = np.array([1, 300, 400, 900, 4000], np.uint64)
    one = source_scores(embedding_scores(values), windows=windows)
    (_, right) = panels(plot._figure([one]))
    low, high = right.get_xlim()
    assert 200 < low < 300
    assert 900 < high < 1200


def test_chance_and_median_are_marked():
    values = [-0.1, *np.linspace(0.2, 0.3, 99)]
    one = source_scores(embedding_scores(values))
    left, right = panels(plot._figure([one]))
    (median,) = [line for line in left.lines if line.get_label().startswith("median")]
    assert median.get_label() == f"median {np.median(values):.3f}"
    assert median.get_xdata()[0] == pytest.approx(np.median(values))
    (law,) = [patch for patch in left.patches if patch.get_label() == "chance"]
    expected, edges = law.get_data()[:2]
    chance = _core.chance(99, 1023)
    survival = np.interp(chance + edges * (1 - chance), *_core.chance_law(99, 1023))
    np.testing.assert_allclose(expected, -np.diff(survival) * 100)
    (rare,) = [line for line in right.lines if line.get_label() == "chance, p .05"]
    score = rare.get_ydata()[0]
    assert np.interp(chance + score * (1 - chance), *_core.chance_law(99, 1023)) <= 0.05
    assert np.interp(chance + (score - 0.001) * (1 - chance), *_core.chance_law(99, 1023)) > 0.05


@pytest.mark.parametrize("few", [True, False])
def test_intervals_are_drawn_where_they_are_known(tmp_path, monkeypatch, few):
    monkeypatch.setattr(plot, "_FEW", 200 if few else 2)
    write_labelled(tmp_path)
    (scores,) = score_selection(tmp_path, Selection()).scores
    (one,) = scores.embeddings
    left, right = panels(plot._figure([scores]))
    se = median_reliability(one.sfal, one.replicates).se
    median = np.nanmedian(one.sfal)
    assert f"median {median:.3f} ± {se:.3f}" in [line.get_label() for line in left.lines]
    labels = [each.get_label() for each in right.collections]
    assert ("95 % interval" if few else "typical 95 % interval") in labels
    if few:
        (drawn,) = [each for each in right.collections if each.get_label() == "95 % interval"]
        sure = one.features.reliability
        known = ~np.isnan(sure.low)
        ends = [tuple(segment[:, 1]) for segment in drawn.get_segments()]
        assert ends == list(zip(sure.low[known], sure.high[known], strict=True))


def test_the_running_median_is_that_of_each_half_octave():
    windows = np.repeat([1.0, 4.0, 5.0, 64.0], [10, 6, 6, 9])
    values = np.arange(31.0)
    centres, medians = plot._running_median(windows, values)
    # 4 and 5 lie in one half octave; nine features are too few.
    assert centres.tolist() == [1.0, 4.5]
    assert medians.tolist() == [4.5, 15.5]


def test_a_source_with_nothing_scored_says_so(tmp_path):
    nothing = source_scores(embedding_scores([np.nan] * 4), windows=np.zeros(4, np.uint64))
    plot.plot_scores([nothing], tmp_path / "s.png")
    drawn = panels(plot._figure([nothing]))
    assert ["no feature scored" in axes.texts[0].get_text() for axes in drawn] == [True, True]


def test_names_are_drawn_as_they_are_written(tmp_path):
    odd = source_scores(random_scores(embedder="local/a_$b$_^{c"), name="m/$x")
    plot.plot_scores([odd], tmp_path / "s.svg")
    (left, _) = panels(plot._figure([odd]))
    assert "local/a_$b$_^{c" in left.get_title(loc="left")


@pytest.mark.parametrize(("n", "grid"), [(1, (1, 1)), (6, (6, 1)), (7, (4, 2)), (1000, (77, 13))])
def test_many_pairs_are_drawn_side_by_side(n, grid):
    assert plot._grid(n) == grid


def test_unused_panels_are_not_shown():
    figure = plot._figure([source_scores(random_scores(3), name=f"m/{i}-res") for i in range(7)])
    assert len(panels(figure)) == 14


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot write"):
        plot.plot_scores([source_scores(random_scores(3))], tmp_path / "file" / "plots" / "s.png")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
