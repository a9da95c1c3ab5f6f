"""Debian's Chromium without a window, with its console and its requests on record."""

import json
import shutil
import time
from contextlib import contextmanager

import pytest


@contextmanager
def chromium(*, width=1280, height=900):
    """Yield a browser; skip the test where none is installed."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--force-prefers-reduced-motion",
    ):
        options.add_argument(argument)
    options.add_argument(f"--window-size={width},{height}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield chrome
    finally:
        chrome.quit()


def open_page(chrome, path, fragment=""):
    """Open a page from its file, wait until it is ready, and return the seconds that took."""
    chrome.get("about:blank")
    for kind in ("browser", "performance"):
        chrome.get_log(kind)
    began = time.perf_counter()
    chrome.get(path.as_uri() + fragment)
    wait_until_ready(chrome)
    return time.perf_counter() - began


def wait_until_ready(chrome):
    """Wait until all data of the page that was opened are decoded."""
    began = time.perf_counter()
    while chrome.execute_script("return document.body.dataset.sfal") == "loading":
        assert time.perf_counter() - began < 60, "the page does not become ready"
        time.sleep(0.01)
    assert chrome.execute_script("return document.body.dataset.sfal") == "ready"


def requests(chrome):
    """Return the addresses that the page requested since it was opened."""
    messages = [json.loads(entry["message"])["message"] for entry in chrome.get_log("performance")]
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [one["request"]["url"] for one in sent]


NAME = "gemma-2-2b/0-gemmascope-res-16k"
"""The source on the pages."""


def script(chrome, text, *arguments):
    return chrome.execute_script(text, *arguments)


def click(chrome, element):
    """Click an element where a reader would: away from the edge, over which the page's head lies."""
    script(chrome, "arguments[0].scrollIntoView({ block: 'center' })", element)
    element.click()


def press(chrome, keys):
    script(chrome, "document.activeElement.blur()")
    chrome.find_element("tag name", "body").send_keys(keys)


def rows(chrome):
    """Return the features in sight, read at once: scrolling replaces the rows."""
    selector = "tr[data-feature][data-source]"
    found = (
        f"[...document.querySelectorAll('{selector}')].map((row) => Number(row.dataset.feature))"
    )
    return script(chrome, f"return {found}")
