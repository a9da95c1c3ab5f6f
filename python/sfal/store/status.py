"""What lies on disk for each source, and what is missing."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sfal.errors import SfalError
from sfal.store.embeddings import find_vectors
from sfal.store.examples import how_to_gather
from sfal.store.explanations import count_explanations
from sfal.store.layout import EXAMPLES, EXPLANATIONS, RUNS, SCORES, data_dir_words
from sfal.store.manifest import Manifest, has_manifest
from sfal.store.published.layout import find_histograms, find_pickled_embeddings
from sfal.store.source_folder import source_folders, subfolders

_KINDS = 3
"""Kinds of explanation that are named."""


@dataclass(frozen=True)
class Stage:
    """One stage of one source."""

    name: str
    """``counts``, ``explanations``, ``embeddings`` or ``scores``."""
    found: str
    """What there is; empty if nothing."""
    missing: str
    """The command that makes what is missing; empty if nothing is."""


@dataclass(frozen=True)
class SourceStatus:
    """A source's folder, stage by stage."""

    name: str
    """Folder below the data folder."""
    stages: tuple[Stage, ...]
    """In the pipeline's order."""

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not any(stage.missing for stage in self.stages)


def inventory(data_dir: Path) -> Iterator[SourceStatus]:
    """Look at every source of a data tree; reads manifests, no data.

    Parameters
    ----------
    data_dir : Path
        Root of our data tree, of the published one, or of both.
    """
    for folder in source_folders(data_dir):
        name = folder.relative_to(data_dir).as_posix()
        runs = [folder, *subfolders(folder / RUNS)]
        stages = [_counts(run, folder) for run in runs if run is folder or has_manifest(run)]
        if len(stages) > 1 and not stages[0].found:
            del stages[0]  # counted in further runs only, which is no gap
        given = f"{name}{data_dir_words(data_dir)}"
        embeddings = find_pickled_embeddings(folder) | find_vectors(folder)
        yield SourceStatus(
            name,
            (
                *stages,
                _explanations(folder, given, published=bool(embeddings)),
                Stage(
                    "embeddings",
                    ", ".join(f"{embedder} ({stem})" for embedder, stem in sorted(embeddings)),
                    "" if embeddings else f"sfal embeddings embed --source {given}",
                ),
                _scores(folder, given),
            ),
        )


def _counts(run: Path, folder: Path) -> Stage:
    stage = "counts" if run == folder else f"counts, run {run.name}"
    if has_manifest(run):
        try:
            manifest = Manifest.load(run)
        except SfalError as e:
            return Stage(stage, "", f"sfal verify {run}  ({e})")
        if manifest.complete and not manifest.n_windows:
            found = f"no window yet: none of {manifest.counts.documents:,} documents is long enough"
            return Stage(stage, found, "sfal cooc with a smaller --k, or other documents")
        found = f"{manifest.n_windows:,} windows of {manifest.counts.documents:,} documents"
        if manifest.complete:
            return Stage(stage, found, "")
        goal = manifest.end - manifest.start
        return Stage(stage, f"{found}, of {goal:,}", "the same `sfal cooc` command goes on")
    histograms = find_histograms(run)
    if histograms:
        return Stage(stage, ", ".join(path.name for path in histograms), "")
    return Stage(stage, "", "the `sfal cooc` command of its model")


def _explanations(folder: Path, given: str, published: bool) -> Stage:
    if not (folder / EXPLANATIONS).exists():
        if published:
            return Stage("explanations", "those in the embeddings' files", "")
        return Stage("explanations", "", _how_to_explain(folder, given))
    try:
        n, kinds = count_explanations(folder)
    except SfalError as e:
        return Stage("explanations", "", f"{_how_to_explain(folder, given)}  ({e})")
    told = ", ".join(f"{type_} by {explainer}" for type_, explainer in list(kinds)[:_KINDS])
    more = ", …" if len(kinds) > _KINDS else ""
    return Stage("explanations", f"of {n:,} features: {told}{more}", "")


def _how_to_explain(folder: Path, given: str) -> str:
    """What makes explanations; `given` is the source as a command takes it."""
    if (folder / EXAMPLES).exists():
        return f"sfal explain {given}"
    with suppress(SfalError):
        known = has_manifest(folder) and Manifest.load(folder).source
        if known and "neuronpedia_id" in known and known["neuronpedia_id"] is None:
            return how_to_gather(folder)
    return f"sfal embeddings download --source {given}"


def _scores(folder: Path, given: str) -> Stage:
    found = [folder / SCORES, *sorted((folder / RUNS).glob(f"*/{SCORES}"))]
    there = [path.relative_to(folder).as_posix() for path in found if path.exists()]
    return Stage("scores", ", ".join(there), "" if there else f"sfal score --source {given}")
