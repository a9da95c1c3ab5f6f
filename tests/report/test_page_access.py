"""The page for the keyboard, screen readers, paper, small screens and dark rooms."""

import os
from pathlib import Path

import pytest

from report.browser import NAME, chromium, open_page, script
from report.pages import synthetic_source, with_second_embedder
from sfal.report.html import render_page
from sfal.report.payload import build_payload

# Rules that can be checked without a library: names, roles, structure, and contrast as drawn.
PROBLEMS = """
const found = [];
const say = (rule, one) => found.push(`${rule}: ${one.outerHTML.slice(0, 120)}`);
const shown = (one) => one.checkVisibility({ visibilityProperty: true, opacityProperty: true });
const all = (selector) => [...document.querySelectorAll(selector)].filter(shown);
const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
if (new Set(ids).size < ids.length) found.push("an id is used twice");
for (const one of all("button, input, select, a[href], [role=img], [role=region], aside, nav, section")) {
  const by = (one.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id));
  const name = one.ariaLabel || by.some((label) => label?.textContent.trim())
    || (one.localName !== "select" && one.textContent.trim())
    || [...(one.labels ?? [])].some((label) => label.textContent.trim());
  const needed = !one.matches("section:not([aria-labelledby])");
  if (needed && !name) say("no name", one);
}
for (const one of all("table")) if (!one.querySelector("th[scope]")) say("table without heads", one);
for (const one of all("img")) if (!one.hasAttribute("alt")) say("image without text", one);
const levels = all("h1, h2, h3, h4").map((one) => Number(one.localName[1]));
if (levels.filter((level) => level === 1).length > 1) found.push("two first headings");
for (const one of all("[aria-selected]")) say("aria-selected outside a grid", one);
for (const one of all("a[target=_blank]")) if (!one.rel.includes("noopener")) say("opener", one);

const channel = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
const parse = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number);
const luminance = ([r, g, b]) =>
  0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
function ground(one) {
  for (let at = one; at; at = at.parentElement) {
    const colour = parse(getComputedStyle(at).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
}
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const one = walker.currentNode.parentElement;
  if (!walker.currentNode.textContent.trim() || !shown(one) || one.closest("script, style, option")) continue;
  if (one.closest(":disabled")) continue;
  const style = getComputedStyle(one);
  const text = parse(one.closest("svg") ? style.fill : style.color);
  const [low, high] = [luminance(text), luminance(ground(one))].sort((a, b) => a - b);
  if ((high + 0.05) / (low + 0.05) < 4.5) say("contrast", one);
}
return [...new Set(found)];
"""


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    path = tmp_path_factory.mktemp("compared") / "report.html"
    source = synthetic_source(200, with_examples=True)
    source = with_second_embedder(source, [f"other {i}" for i in range(200)])
    path.write_text(render_page(build_payload([source], 10**7)))
    return path


def emulate(chrome, width, scheme, media=""):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    metrics = {"width": width, "height": 850, "deviceScaleFactor": 1, "mobile": width < 600}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


@pytest.fixture(scope="module")
def screen():
    with chromium() as driver:
        yield driver


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("fragment", ["", "#/made/0-made-res/3"])
def test_everything_is_named_and_can_be_read(screen, compared, width, scheme, fragment):
    emulate(screen, width, scheme)
    open_page(screen, compared, fragment)
    assert script(screen, PROBLEMS) == []
    assert script(screen, "return document.documentElement.scrollWidth - innerWidth") <= 0
    kept = os.environ.get("SFAL_SCREENSHOTS")
    if kept:  # for a person to look at
        Path(kept).mkdir(parents=True, exist_ok=True)
        name = f"page-{'feature' if fragment else 'top'}-{width}-{scheme}.png"
        assert screen.save_screenshot(str(Path(kept) / name))


def test_text_is_large_enough_on_a_small_screen(screen, compared):
    emulate(screen, 390, "light")
    open_page(screen, compared)
    sizes = script(
        screen,
        """
        return [...document.querySelectorAll("#charts text, #compare-plot text")].map((one) => {
          const { width } = one.ownerSVGElement.getBoundingClientRect();
          const drawn = parseFloat(getComputedStyle(one).fontSize);
          return drawn * width / one.ownerSVGElement.viewBox.baseVal.width;
        });
        """,
    )
    assert min(sizes) >= 10


def test_buttons_are_large_enough_for_a_finger(screen, compared):
    emulate(screen, 390, "light")
    open_page(screen, compared)
    heights = script(
        screen,
        "return [...document.querySelectorAll('.verdicts button, select, .filters input')]"
        ".map((one) => one.getBoundingClientRect().height)",
    )
    assert min(heights) >= 36


def test_controls_are_not_printed(screen, compared):
    emulate(screen, 800, "light", "print")
    for fragment, kept in (("", "#headline"), ("#/made/0-made-res/3", "#feature .lists")):
        open_page(screen, compared, fragment)
        visible = "return [...document.querySelectorAll(arguments[0])].filter((one) => one.checkVisibility()).length"
        assert script(screen, visible, kept) == 1
        controls = "nav, .filters input, .verdicts, #export-verdicts, #more, .close, .choose"
        assert script(screen, visible, controls) == 0
    assert script(screen, visible, "main") == 0


def test_the_tab_key_reaches_every_control_in_order_and_the_focus_is_seen(chrome, page):
    open_page(chrome, page, f"#/{NAME}/4")
    outlines = script(
        chrome,
        """
        return [...document.querySelectorAll("#panel a[href], #panel button")].map((one) => {
          one.focus({ focusVisible: true });
          return [document.activeElement === one, getComputedStyle(one).outlineStyle];
        });
        """,
    )
    assert all(focused and style != "none" for focused, style in outlines)
    assert (
        script(
            chrome,
            'return document.querySelectorAll(\'[tabindex]:not([tabindex="0"]):not([tabindex="-1"])\').length',
        )
        == 0
    )
