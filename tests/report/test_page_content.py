"""What the page shows in a real browser: worklist, verdicts, hostile labels, comparisons."""

import csv
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from report.browser import NAME, chromium, open_page, script
from report.pages import HOSTILE, synthetic_source, with_second_embedder
from sfal.report.html import render_page
from sfal.report.payload import build_payload
from sfal.scoring.audit import audit_source
from sfal.scoring.selection import Selection, select_sources


def test_the_worklist_has_the_suspects_of_the_audit_worst_first(chrome, page, data_dir):
    open_page(chrome, page)
    (source,) = select_sources(data_dir, Selection()).sources
    worst = [one.feature for one in audit_source(source).suspects]
    more = chrome.find_element("id", "more")
    assert more.text == f"Show 20 more of {len(worst)}"
    assert chrome.find_element("id", "worklist-lead").text.startswith(f"{len(worst)} features, ")
    while more.is_displayed():
        script(chrome, "arguments[0].click()", more)
    items = chrome.find_elements("css selector", "#worklist > [data-feature][data-source]")
    assert [int(item.get_attribute("data-feature")) for item in items] == worst
    (title, better, *_) = items[0].find_elements("css selector", "a")
    script(chrome, "arguments[0].click()", better)
    opened = chrome.find_element("id", "feature")
    assert better.get_attribute("href").endswith(f"/{opened.get_attribute('data-feature')}")
    assert opened.get_attribute("data-feature") != str(worst[0])
    assert title.get_attribute("href").endswith(f"/{worst[0]}")


def test_verdicts_are_kept_and_exported_without_formulas(tmp_path, chrome):
    path = tmp_path / "report.html"
    path.write_text(render_page(build_payload([synthetic_source(labels=HOSTILE)], 10**7)))
    chrome.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    open_page(chrome, path)
    first = "document.querySelector('#worklist [data-feature]')"
    feature = script(chrome, f"return {first}.dataset.feature")
    script(chrome, f"{first}.querySelector('[data-verdict=wrong]').click()")
    open_page(chrome, path)
    pressed = f"return {first}.querySelector('[data-verdict=wrong]').ariaPressed"
    assert script(chrome, pressed) == "true"
    script(chrome, "document.querySelector('#export-verdicts').click()")
    script(chrome, "return new Promise((done) => setTimeout(done, 500))")
    with (tmp_path / "verdicts.csv").open(newline="") as file:
        rows_read = list(csv.reader(file))
    assert rows_read == [
        ["source", "feature", "verdict", "better_feature", "better_label"],
        ["made/0-made-res", feature, "wrong", "", ""],
    ]
    assert chrome.get_log("browser") == []


def test_hostile_labels_are_text(tmp_path, chrome):
    path = tmp_path / "report.html"
    path.write_text(
        render_page(build_payload([synthetic_source(labels=HOSTILE, with_examples=True)], 10**7))
    )
    for feature in range(len(HOSTILE)):
        open_page(chrome, path, f"#/made/0-made-res/{feature}")
        shown = script(chrome, "return document.querySelector('#feature h2').textContent")
        assert shown.replace("\ufffd", "") == HOSTILE[feature].replace("\x00", "")
        assert chrome.find_elements("css selector", "img, bdi :not(mark)") == []
        example = script(chrome, "return document.querySelector('#feature mark').textContent")
        assert example.replace("\x00", "\ufffd") == shown
        assert script(chrome, "return document.body.dataset.hacked ?? null") is None
        width = script(chrome, "return document.documentElement.scrollWidth - innerWidth")
        assert width <= 0
    assert chrome.get_log("browser") == []


def test_two_embedders_are_compared_by_their_gains(tmp_path, chrome):
    path = tmp_path / "report.html"
    labels = [[f"{kind} {i}" for i in range(200)] for kind in ("plain", "other")]
    source = with_second_embedder(synthetic_source(labels=labels[0]), labels[1])
    path.write_text(render_page(build_payload([source], 10**7)))
    open_page(chrome, path)
    one, other = (each.scores.table.column("sfal").to_numpy() for each in source.embeddings)
    gain = other - one
    for table, order in (("gains", np.argsort(-gain)), ("losses", np.argsort(gain))):
        shown = script(
            chrome,
            "return [...document.querySelectorAll(`#compare-${arguments[0]} tbody tr`)]"
            ".map((row) => [...row.cells].map((cell) => cell.textContent))",
            table,
        )
        assert [int(row[1]) for row in shown] == order[:8].tolist()
        for row in shown:
            i = int(row[1])
            assert row[2] == f"{one[i]:.3f} plain {i}".replace("-", "\u2212")
            assert row[3] == f"{other[i]:.3f} other {i}".replace("-", "\u2212")
    assert chrome.find_element("id", "compare-sum").text == (
        f"other scores higher for {(gain > 0).sum()} of 200 features; the median of its score minus "
        f"that of made is {np.median(gain):+.3f}.".replace("-", "\u2212")
    )
    assert chrome.get_log("browser") == []
    page_view = script(chrome, "return window.sfal.feature(window.sfal.sources[0], 7, 'other')")
    assert page_view["label"] == "other 7"
    assert page_view["sfal"] == other[7]


@pytest.mark.parametrize(
    ("explainers", "embedders", "names"),
    [
        (("first-word", "last-word"), ("made", "made"), ["first-word", "last-word"]),
        (("me", "me"), ("made", "made"), ["custom by me", "oai by me"]),
        (("me", "me"), ("made", "other"), ["made", "other"]),
    ],
)
def test_sets_of_labels_are_named_by_their_explainers(
    tmp_path, chrome, explainers, embedders, names
):
    source = with_second_embedder(synthetic_source(50), [f"other {i}" for i in range(50)])
    sets = [
        replace(
            one,
            explainer=explainer,
            file=replace(one.file, embedder=embedder, stem=f"{kind}_{explainer}"),
        )
        for one, explainer, embedder, kind in zip(
            source.embeddings, explainers, embedders, ("custom", "oai"), strict=True
        )
    ]
    path = tmp_path / "report.html"
    path.write_text(render_page(build_payload([replace(source, embeddings=tuple(sets))], 10**7)))
    open_page(chrome, path)
    shown = chrome.find_elements("css selector", "#embedding option")
    assert [option.text for option in shown] == names


def test_a_source_in_which_nothing_is_scored_is_shown(tmp_path, chrome):
    source = synthetic_source(30, trusted=False)
    (one,) = source.embeddings
    table = one.scores.table
    for name, column in (
        ("sfal", pa.nulls(30, pa.float64())),
        ("ndcg", pa.nulls(30, pa.float64())),
        ("status", pa.array(["dead"] * 30)),
    ):
        table = table.set_column(table.column_names.index(name), name, column)
    one = replace(one, scores=replace(one.scores, table=table))
    path = tmp_path / "report.html"
    path.write_text(render_page(build_payload([replace(source, embeddings=(one,))], 10**7)))
    open_page(chrome, path, "#/made/0-made-res/3")
    assert "none: the feature is dead" in chrome.find_element("id", "feature").text
    assert chrome.find_elements("css selector", "#worklist li") == []
    assert chrome.get_log("browser") == []


def test_the_page_passes_its_own_checks(chrome, page, wide_page):
    for path in (page, wide_page):
        open_page(chrome, path, "#selftest")
        assert chrome.find_element("id", "selftest").text.startswith("PASS ")


def test_every_control_has_a_name(chrome, page):
    open_page(chrome, page, f"#/{NAME}/4")
    nameless = script(
        chrome,
        """
        return [...document.querySelectorAll("button, input, select, a[href], [role=img]")]
          .filter((one) => !(one.ariaLabel || one.textContent.trim() && one.localName !== "select"
            || [...(one.labels ?? [])].some((label) => label.textContent.trim())))
          .map((one) => one.outerHTML.slice(0, 200));
        """,
    )
    assert nameless == []


def test_a_narrow_window_does_not_scroll_sideways(page):
    with chromium() as chrome:
        metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        for fragment in ("", f"#/{NAME}/4"):
            open_page(chrome, page, fragment)
            assert script(chrome, "return document.documentElement.scrollWidth") == 390
