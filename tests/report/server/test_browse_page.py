"""The page of `sfal browse` in a real browser: it asks its server alone, and shows whole lists."""

import pytest

from report.browser import NAME, requests, script, wait_until_ready
from report.server.running import served
from sfal.scoring.feature import view_feature
from sfal.scoring.selection import Selection, select_sources


@pytest.fixture(scope="module")
def server(data_dir):
    with served(data_dir) as running:
        yield running


def open_served(chrome, server, fragment=""):
    chrome.get("about:blank")
    for kind in ("browser", "performance"):
        chrome.get_log(kind)
    chrome.get(server.url + fragment)
    wait_until_ready(chrome)


def wait_for_lists(chrome):
    script(
        chrome,
        """
        return new Promise((done) => {
          const look = () => {
            const lists = document.querySelectorAll("#feature [data-list]");
            if (lists.length && ![...lists].some((one) => one.ariaBusy)) done();
            else setTimeout(look, 20);
          };
          look();
        })
        """,
    )


def test_a_permalink_shows_the_neighbours_of_sfal_feature(chrome, server, data_dir):
    (source,) = select_sources(data_dir, Selection(sources=(NAME,))).sources
    for feature in (4, 0, 3):
        open_served(chrome, server, f"#/{NAME}/{feature}")
        wait_for_lists(chrome)
        view = view_feature(source, feature, 1023)
        known = script(
            chrome, "return window.sfal.feature(arguments[0], arguments[1])", NAME, feature
        )
        for kind in ("functional", "semantic"):
            neighbours = getattr(view, kind)
            items = script(
                chrome,
                "return [...document.querySelectorAll(`#feature [data-list=${arguments[0]}] [data-feature]`)]"
                ".map((one) => [+one.dataset.feature, one.querySelector('.value').textContent])",
                kind,
            )
            assert items == [
                [
                    one.feature,
                    f"{one.similarity:.3f}".replace("-0.000", "0.000").replace("-", "\u2212"),
                ]
                for one in neighbours[:50]
            ]
            assert [(one["feature"], one["value"], one["place"]) for one in known[kind]] == [
                (
                    one.feature,
                    one.similarity,
                    None if one.other_rank is None else one.other_rank + 1,
                )
                for one in neighbours
            ]


def test_a_button_shows_a_whole_list(chrome, server):
    open_served(chrome, server, f"#/{NAME}/4")
    wait_for_lists(chrome)
    script(
        chrome,
        "document.querySelector('#feature [data-list=functional]').parentElement"
        ".querySelector(':scope > button').click()",
    )
    shown = (
        "return document.querySelectorAll('#feature [data-list=functional] [data-feature]').length"
    )
    whole = script(
        chrome, "return window.sfal.feature(undefined, 4).then((one) => one.functional.length)"
    )
    assert script(chrome, shown) == whole > 50


def test_searching_filters_and_returns_a_promise(chrome, server):
    open_served(chrome, server)
    expected = [i for i in range(90) if "7" in str(i) and i != 3]
    chrome.find_element("id", "search").send_keys("sense 7 of")
    shown = script(chrome, "return document.querySelector('#table').ariaRowCount")
    assert shown == str(len(expected) + 1)
    assert script(chrome, "return window.sfal.search('') instanceof Promise")
    assert script(chrome, "return window.sfal.search('sense 7 of')") == expected


def test_only_the_server_is_asked_and_nothing_is_complained_of(chrome, server):
    open_served(chrome, server, f"#/{NAME}/4")
    wait_for_lists(chrome)
    script(chrome, "return window.sfal.feature(undefined, 7)")
    sent = [url for url in requests(chrome) if not url.startswith("data:")]
    assert len(sent) > 10
    assert all(url.startswith(server.url) for url in sent)
    assert chrome.get_log("browser") == []


def test_the_worklist_names_what_fires_with_a_feature(chrome, server):
    open_served(chrome, server)
    count = (
        "return [...document.querySelectorAll('#worklist .evidence')]"
        ".filter((one) => one.textContent.includes('fires with')).length"
    )
    script(
        chrome,
        "return new Promise((done) => { const look = () => (document.querySelector('#worklist')"
        ".textContent.includes('fires with') ? done() : setTimeout(look, 20)); look(); })",
    )
    assert script(chrome, count) == 20


def test_the_selftest_passes(chrome, server):
    chrome.get("about:blank")
    open_served(chrome, server, "#selftest")
    text = script(
        chrome,
        "return new Promise((done) => { const look = () => { const text = document"
        ".querySelector('#selftest').textContent; if (text) done(text); else setTimeout(look, 20); };"
        " look(); })",
    )
    assert text.startswith("PASS ")


def test_a_page_whose_server_does_not_answer_says_so(chrome, server):
    open_served(chrome, server)
    script(chrome, "window.fetch = () => Promise.reject(new TypeError('failed'))")
    script(chrome, "location.hash = arguments[0]", f"#/{NAME}/5")
    wait_for_lists(chrome)
    text = script(chrome, "return document.querySelector('#feature').textContent")
    assert text.count("sfal browse no longer answers") == 2
