"""What is on disk for each source, and what is missing."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sfal.errors import SfalError
from sfal.store.explanations import count_explanations, stem_of
from sfal.store.layout import EXAMPLES
from sfal.store.run_folder import RunFolder
from sfal.store.source_folder import SourceFolder
from sfal.terminal.units import counted

_KINDS = 3
"""Kinds of explanation that are listed."""


@dataclass(frozen=True)
class Stage:
    """One stage of one source."""

    name: str
    """``counts``, ``explanations``, ``embeddings`` or ``scores``."""
    found: str
    """What is on disk; empty if nothing."""
    hint: str = ""
    """How to make what is missing, as in errors, such as ``$do_score(NAME)``; empty if complete."""
    error: SfalError | None = None
    """Why a file on disk cannot be used."""


@dataclass(frozen=True)
class SourceStatus:
    """The stages of one source."""

    name: str
    """Name of the source: its folder below the data folder."""
    stages: tuple[Stage, ...]
    """In the order of the pipeline."""

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not any(stage.hint for stage in self.stages)


def inventory(root: Path) -> Iterator[SourceStatus]:
    """Describe every source of a data tree; reads manifests, no data.

    Parameters
    ----------
    root : Path
        Root of our data tree, of the published one, or of both.
    """
    return map(source_status, SourceFolder.all(root))


def source_status(source: SourceFolder) -> SourceStatus:
    """Describe the stages of one source."""
    counts = [_counts("counts", source)]
    counts += [_counts(f"counts, run {r.path.name}", r) for r in source.runs if r.is_started]
    if len(counts) > 1 and not counts[0].found:
        del counts[0]  # counted in further runs only, so nothing is missing
    embeddings = ", ".join(f"{embedder} ({stem})" for embedder, stem in source.embeddings)
    return SourceStatus(
        source.name,
        (
            *counts,
            _explanations(source, embedded=bool(embeddings)),
            Stage("embeddings", embeddings, "" if embeddings else f"$do_embed({source.name})"),
            _scores(source),
        ),
    )


def _counts(stage: str, run: RunFolder) -> Stage:
    try:
        manifest = run.manifest
    except SfalError as e:
        return Stage(stage, "", f"$do_verify({run.path})", e)
    if manifest is None:
        histograms = ", ".join(path.name for path in run.histograms)
        return Stage(stage, histograms, "" if histograms else "$do_count for its model")
    if manifest.complete and not manifest.n_windows:
        found = f"no window yet: none of {manifest.counts.documents:,} documents is long enough"
        return Stage(stage, found, "$do_count with a smaller $window_size, or other documents")
    found = f"{manifest.n_windows:,} windows of {manifest.counts.documents:,} documents"
    if manifest.complete:
        return Stage(stage, found)
    n_requested = manifest.end - manifest.start
    return Stage(stage, f"{found}, of {n_requested:,}", "the same $do_count continues it")


def _explanations(source: SourceFolder, *, embedded: bool) -> Stage:
    stage = "explanations"
    if not source.has_explanations:
        if embedded:
            return Stage(stage, "those in the files of embeddings")
        return Stage(stage, "", _hint_to_explain(source))
    try:
        n, kinds = count_explanations(source.path)
    except SfalError as e:
        return Stage(stage, "", _hint_to_explain(source), e)
    listed = ", ".join(f"{type_} by {explainer}" for type_, explainer in list(kinds)[:_KINDS])
    more = ", …" if len(kinds) > _KINDS else ""
    of = f"of {counted(n, 'feature')}: {listed}{more}"
    # Other sets of labels, which came before, are kept in the files of their embeddings.
    others = sorted({stem for _, stem in source.embeddings} - {stem_of(kinds)})
    return Stage(stage, f"{of}; also embedded: {', '.join(others)}" if others else of)


def _hint_to_explain(source: SourceFolder) -> str:
    if (source.path / EXAMPLES).exists():
        return f"$do_explain({source.name})"
    if source.record is not None and source.record.neuronpedia_id is None:
        own = f"$do_label({source.name})"
        manifests = (run.readable_manifest for run in source.all_runs)
        if all(m is None or "imported" in m.settings for m in manifests):
            # There is no model from which examples could be gathered.
            return own
        return f"{own} for your own labels, or $do_explain({source.name}) for SFAL's"
    return f"$do_download({source.name})"


def _scores(source: SourceFolder) -> Stage:
    paths = [run.scores for run in source.all_runs]
    found = [path.relative_to(source.path).as_posix() for path in paths if path is not None]
    # Where nothing has been counted there is nothing to score, and the counts say what is next.
    hint = f"$do_score({source.name})" if source.is_counted and not found else ""
    return Stage("scores", ", ".join(found), hint)
