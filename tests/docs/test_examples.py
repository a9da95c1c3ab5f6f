"""The examples in docstrings and in the README work."""

import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import sfal
from sfal.cli.main import sfal as sfal_command

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
SETTINGS = ROOT / "docs/how-to/settings.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
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


def test_the_settings_on_the_page_are_accepted(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", SETTINGS.read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "sfal.toml"
    path.write_text(block, encoding="utf-8")
    words = ["--config", str(path), "--histogram", "no"]
    result = CliRunner().invoke(sfal_command, ["cooc", "gemma", *words])
    # The file is read first; only the word after it is wrong.
    assert "'no' is not one of" in result.output


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_on_a_page_exist(page: Path) -> None:
    """Check that every `sfal …` line or phrase names commands and options that exist."""
    text = page.read_text(encoding="utf-8")
    for line in re.findall(
        r"(?:^(?:pip install \. && )?|`)sfal ([a-z-][^#`\n]*)", text, re.MULTILINE
    ):
        command: click.Command = sfal_command
        words = [word for word in line.split() if word not in ("…", "COMMAND")]
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            found = command.get_command(click.Context(command), words.pop(0))
            assert found is not None, line
            command = found
        ends = [command]
        if isinstance(command, click.Group):  # `sfal cooc … --resume`
            ends += [
                command.commands[name] for name in command.list_commands(click.Context(command))
            ]
        options = {name for end in ends for param in end.params for name in param.opts}
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= options | {"--config", "--data-dir", "--help"}, line


def test_the_completion_from_the_page_works(tmp_path: Path) -> None:
    (setup,) = re.findall(
        r'^eval "\$\(_SFAL_COMPLETE.*$', SETTINGS.read_text("utf-8"), re.MULTILINE
    )
    script = f"""
    {setup}
    complete_words() {{
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
        _sfal_completion sfal; echo "${{COMPREPLY[@]}}"
    }}
    complete_words sfal sco
    complete_words sfal cooc gemma --histogram ""
    complete_words sfal cooc gemma --layers 0 8 --dry
    """
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "sfal"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m sfal "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        check=True,
    )
    assert done.stdout.splitlines() == ["score", "auto npz none", "--dry-run"]


def test_readme_links_to_files_that_exist() -> None:
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", README.read_text(encoding="utf-8"))
    assert targets
    for target in targets:
        assert (README.parent / target).exists(), target
