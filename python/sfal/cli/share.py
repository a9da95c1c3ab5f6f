"""``sfal push`` and ``sfal pull``: share what was counted through the hub."""

from collections.abc import Callable
from typing import Any

import click

from sfal.cli.hints import data_dir_words
from sfal.cli.interrupt import stopped
from sfal.cli.options import Common, command, fail_for
from sfal.cli.param_types import MANY
from sfal.errors import InvalidInputError, SfalError
from sfal.terminal.units import size_text


def _sharing_options(with_help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for add in (
            click.option("--with", "include", type=MANY, default=None, help=with_help),
            click.option(
                "--repo",
                metavar="OWNER/NAME",
                envvar="SFAL_REPO",
                show_envvar=True,
                help="Data set repository of the Hugging Face hub.",
            ),
            click.argument("names", nargs=-1, required=True, metavar="SOURCE…"),
        ):
            function = add(function)
        return function

    return decorate


@command("push")
@_sharing_options(
    "What goes along with the counts, any of explanations, embeddings, scores, examples. "
    "Default: the first three, if they exist; examples quote the corpus."
)
@click.option(
    "--replace",
    is_flag=True,
    help="Put the source in the place of a different run or of other files in the repository.",
)
@click.option("--public", is_flag=True, help="Let everybody see the repository.")
def push(
    common: Common,
    names: tuple[str, ...],
    repo: str | None,
    include: tuple[str, ...] | None,
    replace: bool,
    public: bool,
) -> None:
    """Send what was counted to the Hugging Face hub, for others to score.

    A new repository is private. Its card says what was run. After an
    interruption, the same command sends the rest. Log in with `hf auth login`
    or HF_TOKEN.

    \b
    sfal push gemma-2-2b/0-gemmascope-res-16k --repo my-lab/sae-occurrences
    """
    from sfal.sharing.push import push as send

    def one(name: str, repo: str) -> None:
        done = send(name, repo, common.data_dir, include=include, replace=replace, public=public)
        sent = f"{_files(done.n_sent)} sent ({size_text(done.bytes_sent)})"
        present = f", {done.n_present} there already" if done.n_present else ""
        click.echo(f"{name}: {sent}{present}; {done.url}")

    _each(names, repo, one, "sending")


@command("pull")
@_sharing_options(
    "What comes along with the counts, any of explanations, embeddings, scores, examples. "
    "Default: the first three, if they exist."
)
@click.option("--revision", help="Commit, branch or tag of the repository.")
def pull(
    common: Common,
    names: tuple[str, ...],
    repo: str | None,
    include: tuple[str, ...] | None,
    revision: str | None,
) -> None:
    """Fetch what others counted from the Hugging Face hub.

    Every file is checked before it is used, and nothing on disk is overwritten.
    After an interruption, the same command fetches the rest.

    \b
    sfal pull gemma-2-2b/0-gemmascope-res-16k --repo my-lab/sae-occurrences
    sfal run gemma-2-2b/0-gemmascope-res-16k --counted --embedding-model MODEL
    """
    from sfal.sharing.pull import pull as fetch

    def one(name: str, repo: str) -> None:
        done = fetch(name, repo, common.data_dir, include=include, revision=revision)
        fetched = f"{_files(done.n_fetched)} fetched ({size_text(done.bytes_fetched)})"
        present = f", {done.n_present} here already" if done.n_present else ""
        click.echo(f"{name}: {fetched}{present}; in {done.folder}")
        click.echo(f"  next: sfal run {name} --counted --embedding-model MODEL{data_dir_words()}")

    _each(names, repo, one, "fetching")


def _each(
    names: tuple[str, ...], repo: str | None, one: Callable[[str, str], None], doing: str
) -> None:
    """Do each source; one that fails does not stop the others."""
    if repo is None:
        raise InvalidInputError("which repository? Name it with --repo OWNER/NAME or $SFAL_REPO")
    refused: list[SfalError] = []
    for name in names:
        try:
            with stopped(f"while {doing} {name}"):
                one(name, repo)
        except SfalError as e:
            refused.append(e)
    fail_for(refused)


def _files(n: int) -> str:
    return f"{n} file{'' if n == 1 else 's'}"
