"""The overview in a real browser: standard errors, notes, plots, and what brushing does to the table."""

import re
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from report.browser import open_page, script
from report.pages import synthetic_source
from scoring.labelled_case import NAME, write_labelled
from sfal.cli.main import sfal
from sfal.report.html import render_page
from sfal.report.payload import build_payload
from sfal.report.write import write_report
from sfal.scoring.driver import score_selection
from sfal.scoring.selection import Selection
from sfal.scoring.settings import ScoreSettings
from sfal.scoring.tables.sensitivity_table import read_sensitivity
from sfal.stats.reliability import source_reliability

TEXTS = "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)"


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    write_labelled(folder)
    (scores,) = score_selection(folder, Selection(), ScoreSettings(measure="jaccard")).scores
    path = folder / "report.html"
    write_report(folder, Selection(), path)
    return path, scores


def page_of(tmp_path, *sources):
    path = tmp_path / "report.html"
    path.write_text(render_page(build_payload(sources, 10**7)))
    return path


def test_the_headline_has_standard_error_and_reliability(chrome, labelled):
    path, scores = labelled
    open_page(chrome, path)
    (one,) = scores.embeddings
    expected = source_reliability(one.sfal, one.replicates)
    titles = script(chrome, TEXTS, "#headline th[scope=col]")
    cells = dict(zip(titles, script(chrome, TEXTS, "#headline tbody tr > *"), strict=True))
    assert cells["Median score"] == f"{expected.median:.3f} ± {expected.se:.3f}"
    assert cells["Halves"] == f"{expected.split_half:.2f}"
    assert "Planted errors" not in titles


def test_planted_errors_have_a_column_where_they_are_known(tmp_path, chrome):
    source = synthetic_source(50)
    (one,) = source.embeddings
    planted = replace(source, embeddings=(replace(one, planted_auc=0.934),))
    open_page(chrome, page_of(tmp_path, planted))
    titles = script(chrome, TEXTS, "#headline th[scope=col]")
    cells = dict(zip(titles, script(chrome, TEXTS, "#headline tbody tr > *"), strict=True))
    assert cells["Planted errors"] == "0.93"


def test_the_measure_of_the_scores_is_named(chrome, labelled):
    path, _ = labelled
    open_page(chrome, path, f"#/{NAME}/5")
    assert "by jaccard, among features that fire" in chrome.find_element("id", "made").text
    heading = script(chrome, TEXTS, "#feature .lists h3")
    assert heading[0].startswith("Fires with it jaccard")
    avoided = script(chrome, TEXTS, "#feature .opposites .value")
    assert all(text.startswith("\u2212") for text in avoided)


def test_growth_is_drawn_where_parts_were_scored_and_layers_where_there_are_some(
    tmp_path, chrome, labelled
):
    path, scores = labelled
    open_page(chrome, path)
    curve = source_reliability(scores.embeddings[0].sfal, scores.embeddings[0].replicates).curve
    (growth,) = script(
        chrome,
        "return [...document.querySelectorAll('#charts svg')].map((one) => one.ariaLabel)"
        ".filter((text) => text.startsWith('Median'))",
    )
    assert growth.endswith(", ".join(f"{value:.3f}" for value in curve))
    layers = [synthetic_source(60, name=f"made/{layer}-made-res", seed=layer) for layer in range(3)]
    layers = [
        replace(one, source=replace(one.source, layer=layer)) for layer, one in enumerate(layers)
    ]
    open_page(chrome, page_of(tmp_path, *layers))
    assert script(chrome, TEXTS, "#charts figcaption strong")[2:] == ["Layers"]
    assert len(chrome.find_elements("css selector", "#charts .point")) == 3


def test_the_page_opens_on_the_source_with_the_highest_median(tmp_path, chrome):
    layers = [synthetic_source(60, name=f"made/{layer}-made-res", seed=layer) for layer in range(4)]
    medians = [np.median(one.embeddings[0].scores.table.column("sfal")) for one in layers]
    best = int(np.argmax(medians))
    assert best > 0
    open_page(chrome, page_of(tmp_path, *layers))
    source = chrome.find_element("id", "source").get_attribute("value")
    assert source == layers[best].source.name


def test_what_a_reader_should_know_is_listed(tmp_path, chrome):
    few = synthetic_source(50)
    few = replace(few, n_windows=1500, windows=few.windows % 15 + 1)
    few = replace(few, unreliable_because="fewer than 64 documents")
    other = replace(synthetic_source(50, name="made/1-made-res", seed=1), n_windows=10**6)
    (its,) = other.embeddings
    its = replace(
        its,
        explainer="somebody",
        scores=replace(
            its.scores,
            reliability={"n_features": 40, "se": 0.01, "curve": [0.2, 0.3, 0.4], "split_half": 0.5},
        ),
    )
    noise = {"se": 0.001, "curve": [-0.002, -0.0015, -0.001], "split_half": 0.5}
    by_chance = replace(its, scores=replace(its.scores, reliability=noise))
    # Twice the standard error is more than the rise.
    unsure = {"se": 0.06, "curve": [0.2, 0.3, 0.4], "split_half": 0.5}
    by_accident = replace(its, scores=replace(its.scores, reliability=unsure))
    sets = (its, by_chance, by_accident)
    open_page(chrome, page_of(tmp_path, few, replace(other, embeddings=sets)))
    notes = script(chrome, TEXTS, "#notes li")
    assert notes == [
        "The layers of made were labelled by different explainers (nobody; somebody): their scores "
        "differ for that reason, too.",
        "Only 1,500 windows were counted: scores and neighbours are uncertain. made/0-made-res",
        "No standard errors: fewer than 64 documents. made/0-made-res",
        "100.0% of the scored features fire in fewer than 20 windows: their neighbours are "
        "uncertain. made/0-made-res",
        "Labels by short_nobody by somebody, embedded by made: half of the text has a median of "
        "0.300, all of it 0.400 (over the 40 of 50 features that have a score in every part of the "
        "text): more text would raise it further; compare corrected scores. made/1-made-res",
    ]


def test_the_outline_of_the_cloud_is_that_of_the_filters(chrome, wide_page):
    open_page(chrome, wide_page)
    clear = chrome.find_element("id", "clear")
    assert not clear.is_displayed()
    width = "return document.querySelector('.brush').width.baseVal.value"
    assert script(chrome, width) == 0
    chrome.find_element("id", "filter-low").send_keys("0.5")
    assert script(chrome, width) > 100
    count = chrome.find_element("id", "count")
    assert re.fullmatch(r"[\d,]+ of 32,768 features", count.text)
    script(chrome, "document.getElementById('clear').click()")
    assert count.text == "32,768 features"
    assert script(chrome, width) == 0
    assert not clear.is_displayed()


def test_measures_and_metrics_are_a_table_where_they_were_compared(tmp_path, chrome):
    folder = write_labelled(tmp_path)
    score_selection(tmp_path, Selection())
    words = ["sensitivity", NAME, "--measures", "phi", "lift", "--data-dir", str(tmp_path)]
    assert CliRunner().invoke(sfal, words).exit_code == 0
    path = tmp_path / "report.html"
    write_report(tmp_path, Selection(), path)
    open_page(chrome, path)
    rows, _ = read_sensitivity(folder)
    expected = {
        measure: [
            f"{row['spearman']:.2f}".replace("-", "\u2212")
            for row in rows
            if row["measure"] == measure and row["window"] == 1
        ]
        for measure in ("phi", "lift")
    }
    drawn = script(
        chrome,
        "return [...document.querySelectorAll('.choices tbody tr')]"
        ".map((row) => [...row.cells].map((cell) => cell.textContent))",
    )
    assert {measure: values for measure, *values in drawn} == expected
