"""`sfal.view`: what a notebook keeps of it, and what its cell shows."""

import json
import sys
import time
from importlib.resources import files

import numpy as np
import pyarrow as pa
import pytest

import sfal
from report.browser import NAME, script
from report.pages import Decoded
from sfal.errors import InvalidInputError, MissingDependencyError, MissingError

anywidget = pytest.importorskip("anywidget", reason="anywidget is not installed")

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.mark.filterwarnings("ignore")
def test_an_executed_notebook_shows_the_page(data_dir):
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    from nbformat.v4 import new_code_cell, new_notebook

    cells = [
        "import sfal",
        f"sfal.view({NAME!r}, 4, data_dir={str(data_dir)!r})",
        f"sfal.view({NAME!r}, 90, data_dir={str(data_dir)!r})",
    ]
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", allow_errors=True
    )
    client.execute()
    # The labels are random, and a note beside the page says so.
    (shown,) = (one for one in notebook.cells[1].outputs if one.output_type == "execute_result")
    model = shown.data[VIEW]["model_id"]
    kept = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]
    state = kept["state"][model]["state"]
    assert state["_anywidget_id"] == "sfal.report.notebook.widget.ReportWidget"
    assert state["opened"] == f"#/{NAME}/4"
    assert state["height"] == 800
    assert [one["name"] for one in Decoded(state["html"]).index["sources"]] == [NAME]
    json.dumps(notebook.metadata.widgets)
    (refused,) = (one for one in notebook.cells[2].outputs if one.output_type == "error")
    assert refused.evalue == f"{NAME} has no feature 90; it has 0 to 89"


# What a notebook hands to the widget's script.
MODEL = r"""
  const state = STATE;
  const listeners = {};
  window.model = {
    get: (name) => state[name],
    set: (name, value) => { state[name] = value; listeners[`change:${name}`](); },
    on: (name, listener) => { listeners[name] = listener; },
    off: () => {},
  };
"""


def show(chrome, path, widget):
    state = {name: getattr(widget, name) for name in ("html", "opened", "height")}
    model = MODEL.replace("STATE", json.dumps(state).replace("</", "<\\/"))
    module = (files("sfal.report") / "notebook" / "widget.js").read_text()
    path.write_text(
        "<!doctype html><meta charset=utf-8><body><div id=cell></div><script type=module>"
        + model
        + module.replace("export default { render };", "")
        + "window.cleanUp = render({ model: window.model, el: document.getElementById('cell') });"
        "</script>"
    )
    chrome.get("about:blank")
    for kind in ("browser", "performance"):
        chrome.get_log(kind)
    chrome.get(path.as_uri())
    chrome.switch_to.frame(chrome.find_element("css selector", "iframe"))
    wait(chrome, "document.body.dataset.sfal === 'ready'")


def wait(chrome, condition):
    began = time.monotonic()
    while not script(chrome, f"return Boolean(document.body && {condition})"):
        assert time.monotonic() - began < 30, condition
        time.sleep(0.02)


def test_the_cell_shows_a_feature_and_follows_links(tmp_path, chrome, data_dir):
    widget = sfal.view(NAME, 4, data_dir=data_dir, height=600)
    show(chrome, tmp_path / "cell.html", widget)
    opened = "document.querySelector('#feature')?.dataset.feature"
    assert script(chrome, f"return {opened}") == "4"
    script(chrome, "document.querySelector('#feature [data-list] a').click()")
    wait(chrome, f"{opened} !== '4'")
    script(chrome, "document.querySelector('#worklist [data-verdict=wrong]').click()")
    assert script(chrome, "return document.querySelector('#export-verdicts').disabled") is False
    chrome.switch_to.default_content()
    assert script(chrome, "return document.querySelector('iframe').offsetHeight") >= 600
    script(chrome, "window.model.set('opened', arguments[0])", f"#/{NAME}/7")
    script(chrome, "window.model.set('height', 300)")
    assert script(chrome, "return document.querySelector('iframe').offsetHeight") < 310
    chrome.switch_to.frame(chrome.find_element("css selector", "iframe"))
    wait(chrome, f"document.body.dataset.sfal === 'ready' && {opened} === '7'")
    chrome.switch_to.default_content()
    script(chrome, "window.cleanUp()")
    assert [one for one in chrome.get_log("browser") if one["level"] == "SEVERE"] == []


def in_memory(n=60):
    rng = np.random.default_rng(0)
    fired = rng.random((200, n)) < 0.2
    occurrences = sfal.Occurrences(n)
    windows, features = np.nonzero(fired)
    occurrences.extend(
        np.searchsorted(windows, np.arange(201)).astype(np.int64), features.astype(np.uint32)
    )
    vectors = rng.standard_normal((n, 8)).astype(np.float32)
    vectors[3] = 0
    return sfal.score_features(occurrences, vectors), occurrences, vectors


@pytest.mark.parametrize("convert", [lambda table: table, pa.Table.to_pandas])
def test_a_table_in_memory_is_shown_with_its_arrays(convert):
    table, occurrences, vectors = in_memory()
    labels = {i: f"label {i}" for i in range(60) if i != 3}
    widget = sfal.view(
        convert(table), 5, occurrences=occurrences, embeddings=vectors, labels=labels
    )
    assert widget.opened == "#/features/5"
    decoded = Decoded(widget.html)
    (source,) = decoded.index["sources"]
    (one,) = source["embeddings"]
    assert decoded.array(one["labels"])[5] == "label 5"
    np.testing.assert_array_equal(decoded.array(one["columns"]["sfal"]), table["sfal"].to_numpy())
    found, _ = sfal.functional_neighbours(
        occurrences, 10, rows=np.array([5]), candidates=np.delete(np.arange(60), 3)
    )
    listed = decoded.array(one["functional"]["feature"], 60, -1)
    assert listed[5, :10].tolist() == found[0].tolist()


def test_a_table_of_sources_shows_them(data_dir):
    table = sfal.score(data_dir, reliability=False)
    widget = sfal.view(table, data_dir=data_dir)
    assert widget.opened == ""
    assert [one["name"] for one in Decoded(widget.html).index["sources"]] == [NAME]


def test_what_cannot_be_shown_is_refused(data_dir):
    table, occurrences, vectors = in_memory()
    with pytest.raises(InvalidInputError, match=r"table alone does not say .* occurrences and emb"):
        sfal.view(table)
    for given, arrays, message in (
        (table.slice(0, 10), (occurrences, vectors), "10 rows, which are not features 0 to 59"),
        (table.drop_columns(["ndcg"]), (occurrences, vectors), "no column ndcg"),
        (table, (occurrences, vectors[:9]), r"embeddings has shape \(9, 8\)"),
        (table, (occurrences, np.zeros_like(vectors)), "no vector for a feature that is scored"),
        (table, (occurrences, "vectors"), "cannot be converted"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            sfal.view(given, occurrences=arrays[0], embeddings=arrays[1])
    with pytest.raises(InvalidInputError, match="a int is neither the name of a source nor"):
        sfal.view(5)
    with pytest.raises(MissingError, match="no data yet for gemma-2-2b/none"):
        sfal.view("gemma-2-2b/none", data_dir=data_dir)


def test_without_anywidget_the_extra_is_named(monkeypatch, data_dir):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "sfal.report.notebook.widget", raising=False)
    with pytest.raises(MissingDependencyError, match=r"pip install '\.\[notebook\]'"):
        sfal.view(NAME, data_dir=data_dir)
