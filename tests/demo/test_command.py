"""`sfal demo` as a newcomer runs it: a fresh process, no network."""

import csv
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from report.browser import chromium, click, open_page, press
from report.browser import rows as rows_shown

pytestmark = pytest.mark.slow


def run(*words, **variables):
    # An attempt to reach the network fails at once.
    dead = "http://127.0.0.1:9"
    environment = {**os.environ, "HTTP_PROXY": dead, "HTTPS_PROXY": dead, **variables}
    return subprocess.run(
        [sys.executable, "-m", "sfal", *map(str, words)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=280,
        check=False,
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "kept"
    home = tmp_path_factory.mktemp("home")
    started = time.monotonic()
    page = folder.parent / "page.html"
    result = run("demo", "--keep", folder, "--report", page, HF_HOME=str(home), COLUMNS="80")
    assert result.returncode == 0, result.stderr
    return SimpleNamespace(
        folder=folder, out=result.stdout, seconds=time.monotonic() - started, home=home
    )


def test_the_page_is_written_where_it_is_wanted(kept):
    page = kept.folder.parent / "page.html"
    assert str(page) in kept.out
    assert 10**5 < page.stat().st_size < 10**7


def rows(out):
    """Return (median score, median with shuffled labels) for each layer, from the screen."""
    found = re.findall(r"^  layer \d +[\d,]+ +([+-]\d\.\d+) +([+-]\d\.\d+)$", out, re.MULTILINE)
    return [(float(a), float(b)) for a, b in found]


def test_real_labels_score_above_chance_and_shuffled_ones_at_chance(kept):
    scores = rows(kept.out)
    assert len(scores) == 2
    for real, shuffled in scores:
        assert real > 0.1
        assert abs(shuffled) < 0.03


def test_best_and_worst_features_are_shown_with_matches_marked(kept):
    best, worst = kept.out.split("Best explained")[1].split("Worst explained")
    assert best.count("fires with it (phi)") == worst.count("fires with it (phi)") == 2
    assert len(re.findall(r"\*  \d\.\d\d +#\d", best)) > len(
        re.findall(r"\*  \d\.\d\d +#\d", worst)
    )


def test_no_line_is_wider_than_the_screen(kept):
    assert max(len(line) for line in kept.out.split("explore them")[0].splitlines()) <= 80


def test_other_commands_can_use_the_kept_files(kept, tmp_path):
    words = re.search(r"sfal (feature \S+ \d+ --data-dir \S+)", kept.out)
    assert words is not None
    shown = run(*words[1].split())
    assert shown.returncode == 0, shown.stderr
    assert "top-tokens" in shown.stdout
    output = tmp_path / "again.csv"
    scored = run("score", "--data-dir", kept.folder, "--output", output)
    assert scored.returncode == 0, scored.stderr
    assert "sfal (top tokens)" in scored.stdout
    assert "not whether an independent explanation fits" in scored.stdout
    with output.open(newline="") as again, (kept.folder / "scoring_results.csv").open() as first:
        assert list(csv.reader(again)) == list(csv.reader(first))


def test_a_wrong_label_is_found_marked_exported_and_read_by_validate(kept, tmp_path):
    pytest.importorskip("selenium", reason="selenium is not installed")
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.select import Select

    page = tmp_path / "report.html"
    written = run("report", "--data-dir", kept.folder, "-o", page)
    assert written.returncode == 0, written.stderr
    with chromium() as chrome:
        settings = {"behavior": "allow", "downloadPath": str(tmp_path)}
        chrome.execute_cdp_cmd("Browser.setDownloadBehavior", settings)
        open_page(chrome, page)
        Select(chrome.find_element("id", "source")).select_by_index(1)
        items = chrome.find_elements("css selector", "#worklist > li")
        source = items[0].get_attribute("data-source")
        worst = int(items[0].get_attribute("data-feature"))
        label = items[0].find_element("css selector", ".title").text
        assert "would fit better" in items[0].text
        assert "fires with" in items[0].text

        click(chrome, items[0].find_element("css selector", ".title"))
        opened = chrome.find_element("id", "feature")
        assert opened.get_attribute("data-feature") == str(worst)
        assert opened.find_element("tag name", "h2").text == label
        for kind in ("functional", "semantic"):
            assert len(opened.find_elements("css selector", f"[data-list={kind}] li")) == 50
        (better, *_) = opened.find_elements("css selector", ".better li")
        wanted = better.find_element("css selector", "bdi").text
        click(chrome, better.find_element("tag name", "button"))
        press(chrome, Keys.ESCAPE)

        for item in items[1:12]:
            click(chrome, item.find_element("css selector", "[data-verdict=wrong]"))
        click(chrome, items[12].find_element("css selector", "[data-verdict=unsure]"))
        click(chrome, chrome.find_element("xpath", "//table[@id='table']//button[text()='Score']"))
        for feature in rows_shown(chrome)[:12]:
            chrome.execute_script(f"location.hash = '#/{source}/{feature}'")
            click(chrome, chrome.find_element("css selector", "#feature [data-verdict=right]"))
        press(chrome, Keys.ESCAPE)
        export = chrome.find_element("id", "export-verdicts")
        assert export.text == "Export 25 verdicts"
        click(chrome, export)
        deadline = time.monotonic() + 20
        while not (tmp_path / "verdicts.csv").exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert chrome.get_log("browser") == []

    with (tmp_path / "verdicts.csv").open(newline="") as file:
        marked = {int(row["feature"]): row for row in csv.DictReader(file)}
    assert len(marked) == 25
    assert marked[worst]["verdict"] == "wrong"
    assert marked[worst]["better_label"] == wanted
    found = run("validate", source, tmp_path / "verdicts.csv", "--data-dir", kept.folder)
    assert found.returncode == 0, found.stderr
    assert "24 features with 24 votes" in found.stdout
    (line,) = [line for line in found.stdout.splitlines() if line.startswith("sfal ")]
    assert float(line.split()[1]) > 0.7  # the lowest were called wrong and the highest right


def test_the_readme_shows_what_the_demo_shows(kept):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```text\n(  Every label was tried.*?)```", readme, re.DOTALL)
    shown = kept.out.splitlines()
    # Another processor rounds differently, so computed numbers may differ in the last digit.
    lines = [line for line in block.splitlines() if not re.search(r"\d\.\d", line)]
    assert len(lines) >= 6
    assert [line for line in lines if line not in shown] == []


def test_the_commands_on_the_screen_need_nothing_that_is_not_installed_with_sfal(kept):
    shown = kept.out.split("explore them with\n")[1].split("or in Python")[0]
    commands = [line.split() for line in shown.splitlines()]
    assert [words[1] for words in commands] == ["status", "feature", "audit", "report"]
    for _, *words in commands:
        output = kept.folder.parent / "again.html"
        words = [str(output) if word == "report.html" else word for word in words]
        # A module that is None counts as missing.
        script = (
            "import sys; sys.modules['matplotlib'] = None; from sfal.cli.main import main; main()"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_the_python_expression_on_the_screen_works(kept):
    expression = re.search(r"or in Python\n  (pandas\..*)\n", kept.out)
    assert expression is not None
    import pandas

    table = eval(expression[1], {"pandas": pandas})
    assert len(table) == 1024
    assert table["sfal"].median() == pytest.approx(rows(kept.out)[1][0], abs=0.001)


def test_nothing_is_fetched_into_the_hub_cache(kept):
    assert not [p for p in Path(kept.home).rglob("*") if p.is_file() and "hub" in p.parts]
