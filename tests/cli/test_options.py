"""The spelling of options, defaults from a file, and command-line errors."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from sfal.cli.main import sfal as command_line
from sfal.cli.options import Common, command
from sfal.cli.param_types import INTEGERS, MANY
from sfal.errors import InvalidInputError


@command("probe")
@click.argument("word", default="")
@click.option("--layers", type=INTEGERS, default=(7,))
@click.option("--sae-type", type=MANY, default=("res",))
@click.option("--n-docs", type=int, default=10)
def probe(common: Common, word: str, **options: object) -> None:
    """Print what arrived."""
    click.echo(f"{word}|{options['layers']}|{options['sae_type']}|{options['n_docs']}")


def run(*args: str) -> Result:
    return CliRunner().invoke(probe, list(args))


@pytest.mark.parametrize(
    "words",
    [
        ["--layers", "0", "8", "17"],
        ["--layers", "0,8,17"],
        ["--layers=0,8,17"],
        ["--layers", "0,", "8", "17"],
        ["--layers", "0", "--layers", "8", "17"],
    ],
)
def test_layers_may_be_words_a_list_or_repeated_options(words: list[str]) -> None:
    assert run(*words).output.split("|")[1] == "(0, 8, 17)"


def test_a_range_includes_both_ends_and_repeated_numbers_count_once() -> None:
    assert run("--layers", "0-3", "2", "9").output.split("|")[1] == "(0, 1, 2, 3, 9)"


@pytest.mark.parametrize("word", ["x", "3-", "-3", "5-2", "1.5", "0-99999999"])
def test_a_word_that_is_not_a_layer_is_refused_and_named(word: str) -> None:
    result = run(f"--layers={word}")
    assert result.exit_code == 2
    assert word in result.output


def test_the_published_spelling_with_underscores_is_accepted() -> None:
    result = run("--n_docs", "60", "--sae_type", "res", "mlp", "--layers", "1")
    assert result.output.strip() == "|(1,)|('res', 'mlp')|60"


def test_underscores_in_values_are_kept() -> None:
    assert run("--sae_type=my_type").output.split("|")[2] == "('my_type',)"


def test_a_file_sets_defaults_that_the_command_line_overrides(tmp_path: Path) -> None:
    config = tmp_path / "sfal.toml"
    config.write_text("n-docs = 5\nlayers = [1, 2]\n")
    assert run("--config", str(config)).output.strip() == "|(1, 2)|('res',)|5"
    assert run("--config", str(config), "--n-docs", "6").output.strip().endswith("|6")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('datadir = "two"', "no option 'datadir'; did you mean data-dir?"),
        ("[scoer]\nlayers = [1]", "no section [scoer]; did you mean score?"),
        ("[cooc]\nkk = 3\n[cooc.gema]\nk = 3", "[cooc]: no option 'kk'; did you mean k?"),
        ("[cooc.gema]\nk = 3", "[cooc]: no section [gema]; did you mean gemma?"),
        ("[cooc.sae]\ntarget-l0 = 3", "[cooc]: [sae]: no option 'target-l0'; there are "),
        ("score = 3", "[score] is not a table"),
        ("[score]\nlayer = 3", "[score]: no option 'layer'; did you mean layers?"),
        (
            '[score]\nconfig = "b.toml"',
            "[score]: no option 'config'; there are candidates, data-dir, ",
        ),
        ('[score]\nsources = ["a"]', "[score]: no option 'sources'; did you mean source?"),
    ],
)
@pytest.mark.parametrize("words", ["status", "score --n-windows none"])
def test_an_unknown_name_is_refused_and_named(
    tmp_path: Path, text: str, said: str, words: str
) -> None:
    config = tmp_path / "sfal.toml"
    config.write_text(text)
    result = CliRunner().invoke(command_line, [*words.split(), "--config", str(config)])
    assert isinstance(result.exception, InvalidInputError), result.output
    assert f"sfal.toml: {said}" in str(result.exception)


def test_a_file_names_options_as_the_command_line_does(tmp_path: Path) -> None:
    config = tmp_path / "sfal.toml"
    config.write_text(
        'sae-type = ["mlp"]\nrun = "wide"\n'
        '[score]\nsource = ["a/b"]\n[cooc.sae]\nsae = "no-such"\nn_docs = 3\nsource = "c/d"\n'
    )
    refused = CliRunner().invoke(command_line, ["cooc", "sae", "--config", str(config)])
    assert "no-such" in str(refused.exception)
    words = ["score", "--config", str(config), "--data-dir", str(tmp_path)]
    assert "a/b" in str(CliRunner().invoke(command_line, words).exception)


def test_a_missing_config_file_is_reported(tmp_path: Path) -> None:
    result = run("--config", str(tmp_path / "sfal.tml"))
    assert isinstance(result.exception, InvalidInputError)
    assert str(result.exception).endswith("sfal.tml: there is no such file")


@pytest.mark.parametrize("text", ["n-docs = ", "\x00"])
def test_an_unreadable_config_is_named(tmp_path: Path, text: str) -> None:
    config = tmp_path / "sfal.toml"
    config.write_text(text)
    result = run("--config", str(config))
    assert isinstance(result.exception, InvalidInputError)
    assert "sfal.toml" in str(result.exception)


@pytest.mark.parametrize(
    "line",
    [
        "n-docs = [1, 2]",
        "n-docs = true",
        "layers = [[1]]",
        "sae-type = [true]",
        "data-dir = 1979-05-27",
        'data-dir = "a\\u0000b"',
        'debug = "yes"',
        "debug = 1",
    ],
)
def test_a_value_of_another_type_is_named_with_its_option(tmp_path: Path, line: str) -> None:
    config = tmp_path / "sfal.toml"
    config.write_text(line)
    result = run("--config", str(config))
    assert isinstance(result.exception, InvalidInputError), result.output
    assert f"sfal.toml: {line.split()[0]} is " in str(result.exception)


@pytest.mark.parametrize(
    "line", ['n-docs = "many"', "n-docs = 1.5", 'device = "tpu"', "threads = 0"]
)
def test_a_value_out_of_range_is_refused_as_on_the_command_line(tmp_path: Path, line: str) -> None:
    config = tmp_path / "sfal.toml"
    config.write_text(line)
    result = run("--config", str(config))
    assert result.exit_code == 2
    assert f"Invalid value for '--{line.split()[0]}'" in result.output


def test_a_table_is_not_a_value_for_an_option(tmp_path: Path) -> None:
    config = tmp_path / "sfal.toml"
    config.write_text("[score]\nlayers = {a = 1}\n")
    done = sfal("score", "--config", str(config))
    assert done.returncode == 1
    assert "sfal.toml: layers is {'a': 1}, but must be a list" in done.stderr


def sfal(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sfal", *args], capture_output=True, text=True, check=False
    )


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom sfal.cli.main import main\n"
        "try:\n main(['--help'])\nexcept SystemExit:\n pass\n"
        "heavy = {'numpy','torch','pyarrow','transformers','pandas','requests','yaml','datasets'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Commands:" in done.stdout


def test_an_unknown_command_is_a_usage_error() -> None:
    done = sfal("nonsense")
    assert done.returncode == 2
    assert "No such command 'nonsense'" in done.stderr


def test_an_unknown_command_brings_suggestions() -> None:
    assert "Did you mean 'score'?" in CliRunner().invoke(command_line, ["scor"]).output
    assert "Did you mean 'gemma'?" in CliRunner().invoke(command_line, ["cooc", "gema"]).output


def test_preset_sources_come_first_and_a_long_list_comes_with_advice() -> None:
    result = CliRunner().invoke(command_line, ["sources", "gemma"])
    rows = [row.split() for row in result.stdout.splitlines()[1:]]
    first = [row[2].startswith("gemma-2-") for row in rows]
    assert len(rows) > 10_000
    assert all(first[:1000])
    assert f"{len(rows):,} SAEs. More words give fewer" in result.stderr
    few = CliRunner().invoke(command_line, ["sources", "gemma-2-2b/20-gemmascope-res-16k"])
    assert few.stderr == ""


def test_sources_lists_release_id_neuronpedia_id_width_and_l0() -> None:
    done = sfal("sources", "gemma-2-2b/20-gemmascope-res-16k")
    assert done.returncode == 0
    header, *rows = done.stdout.splitlines()
    assert header.split() == ["release", "sae_id", "neuronpedia_id", "width", "l0", "countable"]
    canonical = [row.split() for row in rows if "canonical" in row]
    assert canonical[0][:4] == [
        "gemma-scope-2b-pt-res-canonical",
        "layer_20/width_16k/canonical",
        "gemma-2-2b/20-gemmascope-res-16k",
        "16k",
    ]


def test_sources_fails_and_says_so_if_nothing_matches() -> None:
    done = sfal("sources", "no-such-sae-anywhere")
    assert done.returncode == 1
    assert "no-such-sae-anywhere" in done.stderr
