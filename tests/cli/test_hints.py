"""Hints name settings and actions that exist, and only the command line words them as options."""

import ast
import logging
import re
from collections.abc import Iterator
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import sfal
from sfal.cli import hints, main
from sfal.cli.options import Common, command, fail_for, say_note
from sfal.cli.param_types import Many
from sfal.collect.settings import CollectSettings
from sfal.errors import ACTIONS, CombinedError, InvalidInputError, MissingError, Note, SfalError

PACKAGE = Path(sfal.__file__).parent
NAME = re.compile(r"\$([a-z][a-z0-9_]*)")
SPOKEN = re.compile(r"(?<![\w-])--[a-z]|`sfal ")

# Strings below `cli/` that may contain an option or a command, each with its reason.
ALLOWED: dict[str, str] = {}


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the string literals of a file: parts of f-strings, but no docstrings and no `flag=`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    # A bare string is a docstring, of an attribute too; `flag=` spells a setting's option.
    left_out = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) or (isinstance(node, ast.keyword) and node.arg == "flag")
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in left_out
        ):
            yield node.lineno, node.value


def commands(
    of: click.Command = main.sfal, path: tuple[str, ...] = ("sfal",)
) -> Iterator[tuple[str, click.Command]]:
    """Yield every command with the words that call it."""
    yield " ".join(path), of
    if isinstance(of, click.Group):
        context = click.Context(of)
        for name in of.list_commands(context):
            found = of.get_command(context, name)
            assert found is not None
            yield from commands(found, (*path, name))


COMMANDS = dict(commands())
OPTIONS = {
    name
    for found in COMMANDS.values()
    for param in found.params
    if isinstance(param, click.Option)
    for name in param.opts
}
FILES = sorted(PACKAGE.rglob("*.py"))
BELOW = [
    path.relative_to(PACKAGE).as_posix()
    for path in FILES
    if path.relative_to(PACKAGE).parts[0] not in ("cli", "demo")
]
NAMED = sorted(
    {
        (match[1], path.relative_to(PACKAGE).as_posix())
        for path in FILES
        for _, text in strings(path)
        for match in NAME.finditer(text)
    }
)


@pytest.mark.parametrize(("name", "file"), NAMED)
def test_every_name_in_a_hint_is_an_option_or_an_action(name: str, file: str) -> None:
    if name.startswith("do_"):
        assert name in ACTIONS, file
    else:
        assert hints.in_flags(name, None) in OPTIONS, file


@pytest.mark.parametrize("setting", sorted(hints._FLAGS))
def test_every_setting_with_another_spelling_is_worded_as_an_option_that_exists(
    setting: str,
) -> None:
    assert hints._FLAGS[setting] in OPTIONS
    assert hints._FLAGS[setting] != "--" + setting.replace("_", "-")


@pytest.mark.parametrize("field", fields(CollectSettings), ids=lambda field: field.name)
def test_a_setting_and_a_hint_spell_its_option_alike(field: Field[Any]) -> None:
    flag = field.metadata.get("flag", "--" + field.name.replace("_", "-"))
    assert hints.in_flags(field.name, None) == flag
    assert flag in OPTIONS


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_every_action_is_worded_as_a_command_that_exists(action: str) -> None:
    said = hints.in_flags(action, None)
    if action in hints._COMMANDS:
        assert said.strip("`") in COMMANDS
    else:
        assert said == hints._SENTENCES[action]
        assert all(words in COMMANDS for words in re.findall(r"`([^`]*)`", said))
        assert set(re.findall(r"--[a-z-]+", said)) <= OPTIONS


@pytest.mark.parametrize("action", sorted({*hints._COMMANDS, *hints._SENTENCES}))
def test_every_action_of_the_command_line_is_worded_for_python(action: str) -> None:
    assert action in ACTIONS


@pytest.mark.parametrize("action", sorted(hints._COMMANDS))
def test_a_command_that_chooses_sources_by_an_option_is_shown_with_it(action: str) -> None:
    options = [
        param for param in COMMANDS[hints._COMMANDS[action]].params if "--source" in param.opts
    ]
    # In commands that count, --source is the name of a new folder.
    chooses = any(isinstance(option.type, Many) for option in options)
    assert (action in hints._BY_SOURCE_OPTION) == chooses


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_every_call_that_a_hint_advises_exists(action: str) -> None:
    calls = re.findall(r"(sfal(?:\.\w+)+)\(\)", ACTIONS[action])
    assert calls or ACTIONS[action] == "the same call"
    for call in set(calls):
        found: object = sfal
        for name in call.split(".")[1:]:
            found = getattr(found, name)
        assert callable(found), call


@pytest.mark.parametrize("file", BELOW)
def test_no_string_below_the_command_line_speaks_of_options_or_commands(file: str) -> None:
    spoken = [
        f"line {line}: {text}"
        for line, text in strings(PACKAGE / file)
        if SPOKEN.search(text) and text not in ALLOWED
    ]
    assert spoken == []


def test_few_strings_are_exempt() -> None:
    assert len(ALLOWED) <= 5


def error() -> SfalError:
    return InvalidInputError("too long", hint="give $window_size(64), then do $do_again")


def test_an_error_is_worded_for_python_and_for_the_command_line() -> None:
    assert str(error()) == "too long; give window_size=64, then do the same call"
    assert hints.told(error()) == "too long; give --k 64, then do the same command"


def test_a_note_is_printed_in_the_words_of_the_command_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say_note(Note("few windows", "a smaller $window_size gives more"), "m/s")
    say_note("plain words")
    assert capsys.readouterr().err == (
        "Note: m/s: few windows; a smaller --k gives more\nNote: plain words\n"
    )


def test_all_errors_but_the_last_are_printed_and_that_one_is_raised(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(MissingError, match="not there"):
        fail_for([error(), MissingError("not there")])
    assert capsys.readouterr().err == "Error: too long; give --k 64, then do the same command\n"
    fail_for([])


def test_each_of_several_errors_gets_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    main._shown(CombinedError([error(), MissingError("not there")])).show()
    assert capsys.readouterr().err == (
        "Error: too long; give --k 64, then do the same command\nError: not there\n"
    )


def test_logged_notes_and_errors_are_worded_for_the_command_line_only_there() -> None:
    note = Note("damaged", "$do_redo writes it again")
    record = logging.LogRecord("sfal", logging.WARNING, "f", 1, "%s: %s", ("a", note), None)
    assert hints.HintFormatter().format(record) == (
        "a: damaged; the same `sfal cooc` command with --resume writes it again"
    )
    assert record.getMessage() == (
        "a: damaged; sfal.collect() with redo_damaged=True writes it again"
    )


@pytest.mark.parametrize(
    ("folder", "words"),
    [("elsewhere", " --data-dir elsewhere"), ("a b", " --data-dir 'a b'"), ("sfal-data", "")],
)
def test_a_command_in_a_hint_finds_the_data_folder(
    folder: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SFAL_DATA", raising=False)
    monkeypatch.setattr(hints, "_data_dir", None)

    @command("probe")
    def probe(common: Common) -> None:
        """Print a hint."""
        hint = "$do_explain(m/s) and $do_embed(m/s)"
        click.echo(hints.told(Note("no labels", hint)))

    said = CliRunner().invoke(probe, ["--data-dir", folder]).output.strip()
    assert said == (
        f"no labels; `sfal explain m/s{words}` and `sfal embeddings embed --source m/s{words}`"
    )
