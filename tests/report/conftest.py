"""A browser, and pages that several tests open."""

import pytest

from report.browser import NAME, chromium
from report.pages import add_trust, synthetic_source
from scoring.builders import write_our_source
from sfal.report.html import render_page
from sfal.report.payload import build_payload
from sfal.report.write import write_report
from sfal.scoring.driver import score_selection
from sfal.scoring.selection import Selection
from sfal.store.layout import SCORES


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
    path.write_text(render_page(build_payload([synthetic_source()], 9_900_000)))
    return path
