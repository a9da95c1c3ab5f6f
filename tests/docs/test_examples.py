"""Examples in docstrings and in the README are run."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import sfal

README = Path(__file__).parents[2] / "README.md"
MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(sfal.__path__, "sfal.")
    if not info.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_are_true(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert failed == 0


def test_readme_python_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, README.name, "exec"), names)


def test_readme_links_to_files_that_exist() -> None:
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", README.read_text(encoding="utf-8"))
    assert targets
    for target in targets:
        assert (README.parent / target).exists(), target
