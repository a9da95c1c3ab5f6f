"""The docstrings of the compiled module are those of the stub."""

import ast
import inspect
from pathlib import Path

import sfal
from sfal import _core


def documented(body, prefix=""):
    """Yield the docstrings of the stub by qualified name."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            name = f"{prefix}{node.name}"
            if ast.get_docstring(node):
                yield name, ast.get_docstring(node)
            if isinstance(node, ast.ClassDef):
                yield from documented(node.body, f"{name}.")


def test_the_module_has_the_docstrings_of_the_stub():
    stub = ast.parse(Path(sfal.__file__).with_name("_core.pyi").read_text())
    docs = dict(documented(stub.body))
    assert len(docs) > 20
    assert inspect.getdoc(_core) == ast.get_docstring(stub)
    for name, expected in docs.items():
        found = _core
        for part in name.split("."):
            found = getattr(found, part)
        assert inspect.getdoc(found) == expected, name
