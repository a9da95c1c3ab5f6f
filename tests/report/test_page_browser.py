"""The page in a real browser: it is fast, asks for nothing, and shows labels as text."""

import csv
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from report.browser import chromium, open_page, requests
from report.pages import HOSTILE, Decoded, add_trust, synthetic_source, with_second_embedder
from scoring.builders import write_our_source
from sfal.report.html import render_page
from sfal.report.payload import build_payload
from sfal.report.write import write_report
from sfal.scoring.driver import score_selection
from sfal.scoring.feature import view_feature
from sfal.scoring.selection import Selection, select_sources
from sfal.store.layout import SCORES

NAME = "gemma-2-2b/0-gemmascope-res-16k"


@pytest.fixture(scope="module")
def chrome():
    with chromium() as driver:
        yield driver


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    source, _, _ = write_our_source(folder, NAME, n_features=90)
    score_selection(folder, Selection())
    add_trust(source / SCORES)
    return folder


@pytest.fixture(scope="module")
def page(data_dir):
    path = data_dir / "report.html"
    write_report(data_dir, Selection(), path)
    return path


@pytest.fixture(scope="module")
def wide_page(tmp_path_factory):
    path = tmp_path_factory.mktemp("wide") / "report.html"
    path.write_text(render_page(build_payload([synthetic_source()], 1023, 9_900_000)))
    return path


def script(chrome, text, *arguments):
    return chrome.execute_script(text, *arguments)


def press(chrome, keys):
    script(chrome, "document.activeElement.blur()")
    chrome.find_element("tag name", "body").send_keys(keys)


def rows(chrome):
    return [
        int(row.get_attribute("data-feature"))
        for row in chrome.find_elements("css selector", "tr[data-feature][data-source]")
    ]


def test_32768_features_are_ready_in_three_seconds_and_few_are_drawn(chrome, wide_page):
    # The best of three, as other tests share the machine.
    assert min(open_page(chrome, wide_page) for _ in range(3)) < 3
    assert script(chrome, "return document.querySelector('#table').ariaRowCount") == "32769"
    assert len(rows(chrome)) < 60
    script(chrome, "document.getElementById('rows').scrollTop = 38 * 30000")
    script(
        chrome, "return new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))"
    )
    assert 30000 in rows(chrome)


def test_typing_and_scrolling_stay_fluent(chrome, wide_page):
    open_page(chrome, wide_page)
    times = script(
        chrome,
        """
        const search = document.getElementById("search");
        const box = document.getElementById("rows");
        const frame = () => new Promise((done) => requestAnimationFrame(done));
        const times = [];
        for (const text of ["w", "wo", "word", "word1", "word12", "word12 w", "/d1.*d2/", ""]) {
          search.value = text;
          const began = performance.now();
          search.dispatchEvent(new Event("input"));
          document.body.offsetHeight;
          times.push(performance.now() - began);
          await frame();
        }
        for (let i = 0; i < 40; i += 1) {
          box.scrollTop += 9000;
          const began = performance.now();
          await frame();
          await frame();
          times.push((performance.now() - began) / 2);
        }
        return times;
        """.replace("const search", "return (async () => { const search", 1)
        + "})()",
    )
    # Single slow frames may be the machine's.
    assert np.median(times[:8]) < 50, times
    assert np.median(times[8:]) < 50, times


def test_nothing_is_requested_and_nothing_is_complained_of(chrome, page):
    open_page(chrome, page, f"#/{NAME}/4")
    search = chrome.find_element("id", "search")
    script(chrome, "location.hash = '#/'")
    search.send_keys("sense")
    sent = requests(chrome)
    assert {url.split("#")[0] for url in sent if not url.startswith("data:")} == {page.as_uri()}
    assert chrome.get_log("browser") == []


def test_the_search_filters_by_words_patterns_and_numbers(chrome, page):
    open_page(chrome, page)
    search = chrome.find_element("id", "search")
    for text, expected in (
        ("SENSE 7 of", [i for i in range(90) if "7" in str(i) and i != 3]),
        ("/ [45]7$/", [47, 57]),
        ("8", [8, *(i for i in range(90) if "8" in str(i) and i != 8)]),
        ("nothing like it", []),
    ):
        search.clear()
        search.send_keys(text)
        assert rows(chrome) == expected
        assert script(chrome, "return window.sfal.search(arguments[0])", text) == expected
        count = script(chrome, "return document.querySelector('#table').ariaRowCount")
        assert count == str(len(expected) + 1)
    search.clear()
    search.send_keys("/(")
    search.send_keys("/")
    assert "not a regular expression" in chrome.find_element("id", "count").text


def test_filters_and_sorting_change_the_rows(chrome, page):
    open_page(chrome, page)
    values = Decoded(page.read_text())
    one = values.index["sources"][0]["embeddings"][0]
    sfal = values.array(one["columns"]["sfal"])
    script(
        chrome,
        """
        const low = document.getElementById("filter-low");
        low.value = 0;
        low.dispatchEvent(new Event("input"));
        [...document.querySelectorAll("#table thead button")]
          .find((button) => button.textContent === "Score").click();
        """,
    )
    order = [i for i in np.argsort(-np.nan_to_num(sfal, nan=-9), kind="stable") if sfal[i] >= 0]
    assert rows(chrome)[:20] == order[:20]


def test_dragging_over_the_cloud_lists_what_lies_there(chrome, wide_page):
    from selenium.webdriver.common.action_chains import ActionChains

    open_page(chrome, wide_page)
    cloud = chrome.find_element("css selector", ".cloud svg")
    script(chrome, "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", cloud)
    actions = ActionChains(chrome)
    actions.move_to_element_with_offset(cloud, 100, -40).click_and_hold()
    actions.move_to_element_with_offset(cloud, 160, 20).release().perform()
    low, high, least, most = (
        float(
            script(chrome, "return document.getElementById(arguments[0]).value", f"filter-{name}")
        )
        for name in ("low", "high", "windows", "most")
    )
    assert low < high
    assert least < most
    views = script(
        chrome,
        "return arguments[0].map((i) => window.sfal.feature(window.sfal.sources[0], i))",
        rows(chrome),
    )
    assert views
    for view in views:
        assert low <= view["sfal"] <= high
        assert least <= view["windows"] <= most


@pytest.mark.parametrize("feature", [4, 0, 1, 3, 60])
def test_a_permalink_opens_its_feature_with_the_neighbours_of_the_command(
    chrome, page, data_dir, feature
):
    open_page(chrome, page, f"#/{NAME}/{feature}")
    (source,) = select_sources(data_dir, Selection()).sources
    view = view_feature(source, feature, shown=50)
    opened = chrome.find_element("css selector", "#feature[data-feature][data-source]")
    assert opened.get_attribute("data-feature") == str(feature)
    assert opened.get_attribute("data-source") == NAME
    known = script(chrome, "return window.sfal.feature(...arguments)", NAME, feature)
    assert known["label"] == view.explanation
    for kind in ("functional", "semantic"):
        items = script(
            chrome,
            "return [...document.querySelectorAll(`#feature [data-list=${arguments[0]}] [data-feature]`)]"
            ".map((one) => [+one.dataset.feature, one.classList.contains('match'),"
            " one.querySelector('.value').textContent])",
            kind,
        )
        neighbours = getattr(view, kind)
        assert items == [
            [
                one.feature,
                one.other_rank is not None and one.other_rank < 50,
                f"{one.similarity:.3f}".replace("-0.000", "0.000").replace("-", "\u2212"),
            ]
            for one in neighbours
        ]
        assert known[kind] == [
            {
                "feature": one.feature,
                "value": one.similarity,
                "place": None if one.other_rank is None else one.other_rank + 1,
            }
            for one in neighbours
        ]


def test_back_and_forward_follow_the_features(chrome, page):
    open_page(chrome, page, f"#/{NAME}/4")
    script(chrome, "document.querySelector('#feature [data-list] a').click()")
    second = script(chrome, "return document.querySelector('#feature').dataset.feature")
    assert second != "4"
    chrome.back()
    assert script(chrome, "return document.querySelector('#feature').dataset.feature") == "4"
    chrome.forward()
    assert script(chrome, "return document.querySelector('#feature').dataset.feature") == second


def test_the_keyboard_selects_opens_searches_and_closes(chrome, page):
    from selenium.webdriver.common.keys import Keys

    open_page(chrome, page)
    press(chrome, "jjjk")
    selected = chrome.find_element("css selector", "tr[aria-selected=true]")
    assert selected.get_attribute("data-feature") == "1"
    press(chrome, Keys.ENTER)
    opened = "return document.querySelector('#feature')?.dataset.feature ?? null"
    assert script(chrome, opened) == "1"
    press(chrome, "j")
    assert script(chrome, opened) == "2"
    press(chrome, Keys.ESCAPE)
    assert script(chrome, opened) is None
    press(chrome, "/")
    assert script(chrome, "return document.activeElement.id") == "search"


def test_the_worklist_is_in_the_order_of_p_label(chrome, page):
    open_page(chrome, page)
    decoded = Decoded(page.read_text())
    columns = decoded.index["sources"][0]["embeddings"][0]["columns"]
    p_label = np.nan_to_num(decoded.array(columns["p_label"]), nan=-1)
    items = chrome.find_elements("css selector", "#worklist [data-feature][data-source]")
    worst = np.argsort(-p_label, kind="stable")[: len(items)].tolist()
    assert [int(item.get_attribute("data-feature")) for item in items] == worst


def test_verdicts_are_kept_and_exported_without_formulas(tmp_path, chrome):
    path = tmp_path / "report.html"
    path.write_text(render_page(build_payload([synthetic_source(labels=HOSTILE)], 1023, 10**7)))
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
        render_page(
            build_payload([synthetic_source(labels=HOSTILE, with_examples=True)], 1023, 10**7)
        )
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
    path.write_text(render_page(build_payload([source], 1023, 10**7)))
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
    assert chrome.get_log("browser") == []
    page_view = script(chrome, "return window.sfal.feature(window.sfal.sources[0], 7, 'other')")
    assert page_view["label"] == "other 7"
    assert page_view["sfal"] == other[7]


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
    path.write_text(render_page(build_payload([replace(source, embeddings=(one,))], 1023, 10**7)))
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
