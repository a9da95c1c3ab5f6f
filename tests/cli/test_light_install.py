"""Commands that only score and look need five packages: no PyTorch, no hub, no tqdm's friends."""

import signal
import subprocess
import sys

import pytest

from scoring.builders import write_our_source

LIGHT = ("numpy", "pyarrow", "scipy", "click", "tqdm")
"""What the light install has besides SFAL; README and `.ci/check-wheel` name the same."""

RUN = f"""
import sys
from importlib.abc import MetaPathFinder
from importlib.metadata import packages_distributions

installed = set(packages_distributions()) - {set(LIGHT)} - {{"sfal", "_distutils_hack"}}
own = {{name for name in installed if name in sys.stdlib_module_names}}

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in installed - own:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
from sfal.cli.main import main
main(sys.argv[1:])
"""
NAMES = ("gemma-2-2b/0-gemmascope-res-16k", "gemma-2-2b/5-gemmascope-res-16k")


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    """A folder with a data tree."""
    root = tmp_path_factory.mktemp("light")
    for i, name in enumerate(NAMES):
        write_our_source(root / "data", name, n_features=60, seed=i)
    return root


@pytest.fixture(scope="module")
def run(light):
    """Run commands where only the light install's packages can be imported."""

    def run(*words):
        return subprocess.run(
            [sys.executable, "-c", RUN, *words], cwd=light, capture_output=True, text=True,
            timeout=100, check=False,
        )  # fmt: skip

    done = run("score", "--data-dir", "data")
    assert done.returncode == 0, done.stderr
    return run


@pytest.mark.parametrize(
    "words",
    [
        ["report", "--data-dir", "data", "--output", "page.html"],
        ["audit", NAMES[0], "--data-dir", "data"],
        ["compare", *NAMES, "--data-dir", "data"],
        ["feature", NAMES[0], "5", "--data-dir", "data"],
        ["sensitivity", NAMES[0], "--data-dir", "data"],
        ["controls", NAMES[0], "--data-dir", "data"],
        ["export", "graph", NAMES[0], "--data-dir", "data", "--output", "exported"],
        ["status", "data"],
        ["verify", "data"],
        ["run", "--help"],
        ["cooc", "sae", "--help"],
        ["--version"],
    ],
    ids=lambda words: words[0],
)
def test_a_command_needs_no_more_than_the_light_install(run, words):
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert "not installed" not in done.stderr


def test_the_server_needs_no_more_than_the_light_install(run, light):
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "browse", "--data-dir", "data"],
        cwd=light, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    said = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "2 sources at http://127.0.0.1" in said, errors


@pytest.mark.parametrize(
    ("words", "package"),
    [
        (["sources"], "yaml"),
        (["push", NAMES[0], "--repo", "a/b", "--data-dir", "data"], "huggingface_hub"),
        (["demo"], "torch"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_command_that_needs_more_names_it_in_one_line(run, words, package):
    done = run(*words)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"{package} is not installed, which this command needs" in done.stderr
