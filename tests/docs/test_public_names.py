"""The names of the package are the same objects whatever was imported before."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

import sfal
from sfal import _core

CALLS = """
import sys
import sfal
{imports}
assert callable(sfal.collect) and callable(sfal.verify) and callable(sfal.merge_runs)
from sfal import collect
assert collect is sfal.collect
try:
    sfal.collect([], sfal.CollectSettings("corpus.txt"), "tree")
except sfal.errors.SfalError as e:
    print(e)
"""


@pytest.mark.parametrize("imports", ["", "import sfal.collect.settings", "import sfal.collect.run"])
def test_collect_can_be_called_whatever_was_imported_before(imports: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CALLS.format(imports=imports)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_no_module_hides_a_public_name() -> None:
    """Python sets `sfal.x` to a module once that is imported, whatever it was before."""
    modules = {name for name in sfal.__all__ if find_spec(f"sfal.{name}") is not None}
    assert modules == set(sfal._SUBMODULES)


def test_the_kernels_behind_the_columns_of_scores_are_public() -> None:
    assert sfal.label_fit is _core.label_fit
    assert sfal.chance_law is _core.chance_law
