"""The page in a real browser: it is fast, asks for nothing, and shows labels as text."""

import numpy as np
import pytest

from report.browser import NAME, open_page, press, requests, rows, script
from report.pages import Decoded
from sfal.scoring.feature import view_feature
from sfal.scoring.selection import Selection, select_sources


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
        told = "No feature matches" in chrome.find_element("id", "table").text
        assert told == (not expected)
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


@pytest.mark.parametrize("width", [1200, 1400])
def test_a_negative_interval_is_not_cut_off(chrome, wide_page, width):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        open_page(chrome, wide_page)
        cut = script(
            chrome,
            """
            const at = [...document.querySelectorAll("#table th")]
              .findIndex((one) => one.textContent === "95 % interval");
            const cell = document.querySelector("#table tr[data-feature]").cells[at];
            cell.textContent = "\u22120.0512 to \u22120.0034";
            return cell.scrollWidth - cell.clientWidth;
            """,
        )
        assert cut == 0
    finally:
        chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


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
    p_label = [view["p_label"] for view in views]
    assert p_label == sorted(p_label, reverse=True)
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
    selected = chrome.find_element("css selector", "tr[aria-current=true]")
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
