"""The documentation: what it shows works, what it lists is complete, and it needs no other server."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sfal
from sfal import errors
from sfal.scoring.tables.columns import score_schema

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
EXECUTED = ["index.md", *(f"tutorials/{p.name}" for p in sorted(DOCS.glob("tutorials/*.md")))]
EXECUTED += [
    "how-to/look.md",
    "how-to/validate.md",
    *(f"concepts/{p.name}" for p in sorted(DOCS.glob("concepts/*.md"))),
]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Return an environment in which ``sfal`` and ``python`` are this interpreter's."""
    folder = tmp_path_factory.mktemp("bin")
    for name, words in (("sfal", "-m sfal"), ("python", "")):
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (folder / name).chmod(0o755)
    dead = "http://127.0.0.1:9"  # an attempt to reach the network fails at once
    return {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "HTTP_PROXY": dead,
        "HTTPS_PROXY": dead,
    }


@pytest.fixture(scope="module")
def demo(tmp_path_factory, programs):
    folder = tmp_path_factory.mktemp("kept")
    command = ["sfal", "demo", "--keep", "demo"]
    subprocess.run(command, cwd=folder, env=programs, check=True, capture_output=True)
    return folder / "demo"


@pytest.fixture
def desk(tmp_path, demo):
    """Return a folder with its own copy of what the demo keeps."""
    shutil.copytree(demo, tmp_path / "demo")
    return tmp_path


def blocks(page, language):
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", EXECUTED)
def test_a_page_does_what_it_shows(page, desk, programs):
    shell = "\n".join(blocks(page, "bash"))
    # The demo has been run already, and is the same wherever a page begins with it.
    shell = re.sub(r"^sfal demo --keep demo.*$", "", shell, flags=re.MULTILINE)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", shell],
        cwd=desk,
        env=programs,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    names: dict[str, object] = {}
    before = Path.cwd()
    try:
        os.chdir(desk)
        for block in blocks(page, "python"):
            exec(compile(block, page, "exec"), names)
    finally:
        os.chdir(before)


def test_the_notebook_runs(desk, programs, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PATH", programs["PATH"])
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    notebook = nbformat.read(DOCS / "tutorials/wrong-labels.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(desk)}}).execute()
    shown = [
        output.get("text") or output["data"]["text/plain"]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    ]
    assert any("A, Amanita" in text for text in shown)
    assert any("AUC" in text or "%" in text for text in shown)


def test_the_site_builds_without_a_warning_and_asks_no_other_server(tmp_path):
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT / "python")}
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "-d", tmp_path]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe|source)[^>]+src="([^"]+)"', text)
        loaded += re.findall(
            r'<link[^>]+rel="(?:stylesheet|preload|icon)"[^>]+href="([^"]+)"', text
        )
        loaded += re.findall(r"url\((https?:[^)]+)\)|@import", text)
        assert not [url for url in loaded if re.match(r"(https?:)?//", url)], page


def test_the_files_page_lists_every_column_of_the_scores():
    text = (DOCS / "reference/files.md").read_text(encoding="utf-8")
    section = text.split("## scores.parquet")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert set(listed) == {*score_schema().names, "layer", "embedding", "explainer"}
    assert len(listed) == len(set(listed))


def test_the_errors_page_lists_every_class():
    text = (DOCS / "reference/troubleshooting.md").read_text(encoding="utf-8")
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.SfalError)
    }
    assert set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE)) == classes - {"SfalError"}


def test_the_python_page_has_every_public_name():
    text = (DOCS / "reference/python.md").read_text(encoding="utf-8")
    shown = {path.rpartition(".")[2] for path in re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)}
    core = set(vars(sfal._core)) | {"_core"}
    modules = {"errors", "sources"}
    renamed = {"verify": "verify_tree"}
    missing = {renamed.get(name, name) for name in sfal.__all__} - shown - core - modules
    assert not missing
