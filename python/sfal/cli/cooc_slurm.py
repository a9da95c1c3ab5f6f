"""``sfal cooc … --slurm FILE``: the same command as an array of jobs for SLURM."""

import shlex
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from sfal.cli.options import WORDS, Common, say_note
from sfal.collect.settings import CollectSettings
from sfal.collect.shard import BUFFER_DOCUMENTS, Shard
from sfal.errors import InvalidInputError, Note
from sfal.io.atomic import atomic_path
from sfal.store.layout import source_dir

_OWN = frozenset({"--slurm", "--slurm-tasks"})


def slurm_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that :class:`Slurm` stands for."""
    for add in (
        click.option(
            "--slurm-tasks",
            type=click.IntRange(2, 4096),
            default=8,
            show_default=True,
            help="Tasks of the array, each with a share of the documents.",
        ),
        click.option(
            "--slurm",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE.sbatch",
            help="Count nothing; write a script that counts in an array of SLURM jobs, a GPU each, "
            "and one that joins what they counted.",
        ),
    ):
        function = add(function)
    return function


@dataclass(frozen=True)
class Slurm:
    """The scripts that were asked for."""

    file: Path | None
    """The script of the array; None if none was asked for."""
    tasks: int
    """Tasks of the array."""

    def write(
        self, sources: Sequence[str], settings: CollectSettings, common: Common, *, dry_run: bool
    ) -> None:
        """Write both scripts for this command, and print how to submit them.

        Parameters
        ----------
        sources : sequence of str
            Names of the sources that are counted.
        settings : CollectSettings
            What the command's options stand for.
        common : Common
            The options that every command takes.
        dry_run : bool
            Whether the command was to compute nothing.

        Raises
        ------
        InvalidInputError
            If the command cannot be divided.
        ArtifactError
            If a script cannot be written.
        """
        if self.file is None:
            return
        _check(settings, dry_run)
        shards = [replace(settings, shard=Shard(i + 1, self.tasks)) for i in range(self.tasks)]
        if settings.n_docs < self.tasks * BUFFER_DOCUMENTS:
            say_note(
                Note(
                    f"each of {self.tasks} tasks gets fewer than {BUFFER_DOCUMENTS} documents, so "
                    "that last bits of activations can differ from those of a single run",
                    "use a smaller $slurm_tasks",
                )
            )
        merge = self.file.with_suffix(f".merge{self.file.suffix}")
        data = common.data_dir.absolute()
        words = [*_command_words(), "--data-dir", str(data)]
        folders = [source_dir(data, name, one.run_name) for name in sources for one in shards]
        for path, lines in (
            (self.file, self._array(words, common)),
            (merge, self._merge(folders, data)),
        ):
            with atomic_path(path) as temporary:
                temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
        array, joined = (shlex.quote(str(path)) for path in (self.file, merge))
        click.echo(
            f"{self.file}: {self.tasks} tasks; {merge} joins what they counted. Add your account, "
            "partition and time limit to both, then submit them:\n"
            f"  sbatch --kill-on-invalid-dep=yes --dependency=afterok:$(sbatch --parsable {array} | cut -d';' -f1) {joined}\n"
            "If a task fails, submit them again: what has been counted is not counted again."
        )

    def _array(self, words: Sequence[str], common: Common) -> Iterator[str]:
        gpu = [] if common.device == "cpu" else ["#SBATCH --gres=gpu:1"]
        yield from _head(
            "sfal-cooc",
            f"#SBATCH --array=1-{self.tasks}",
            *gpu,
            f"#SBATCH --cpus-per-task={common.threads or 4}",
            "#SBATCH --mem=32G",
        )
        yield f'shard="${{SLURM_ARRAY_TASK_ID:?submit this file with sbatch}}/{self.tasks}"'
        yield f'exec {_python()} -m sfal {shlex.join(words)} --shard "$shard"'

    def _merge(self, folders: Iterable[Path], data: Path) -> Iterator[str]:
        yield from _head("sfal-merge", "#SBATCH --cpus-per-task=1", "#SBATCH --mem=8G")
        yield "shards=("
        for folder in folders:
            yield f"  {shlex.quote(str(folder))}"
        yield ")"
        to = shlex.quote(str(data))
        yield f'exec {_python()} -m sfal merge "${{shards[@]}}" --data-dir {to}'


def _check(settings: CollectSettings, dry_run: bool) -> None:
    if dry_run:
        raise InvalidInputError("--dry-run goes without --slurm")
    for name in ("shard", "run", "examples", "devices", "ray"):
        if getattr(settings, name):
            why = {
                "shard": "it divides the documents itself",
                "run": "each task writes a run of its own name; use another --data-dir",
                "examples": "examples are gathered after all shards are joined",
                "devices": "each task counts on the one device that its job has",
                "ray": "each task counts on the one device that its job has",
            }[name]
            raise InvalidInputError(f"--{name} goes without --slurm: {why}")


def _head(name: str, *lines: str) -> Iterator[str]:
    yield from ("#!/bin/bash", f"#SBATCH --job-name={name}", *lines)
    yield "set -euo pipefail"
    # Not as an #SBATCH line: those cannot hold every path.
    yield f"cd -- {shlex.quote(str(Path.cwd()))}"


def _python() -> str:
    return shlex.quote(sys.executable)


def _command_words() -> list[str]:
    """Return this command's words without the options that ask for the script or name the data."""
    context = click.get_current_context()
    typed = _without(context.meta[WORDS], {*_OWN, "--data-dir"})
    return [*context.command_path.split()[1:], *typed]


def _without(words: Sequence[str], options: Container[str]) -> Iterator[str]:
    """Leave out options, each with its value."""
    left = iter(words)
    for word in left:
        name, equals, _ = word.partition("=")
        if not (word.startswith("--") and name.replace("_", "-") in options):
            yield word
        elif not equals:
            next(left, None)
