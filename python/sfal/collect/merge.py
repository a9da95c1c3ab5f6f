"""Runs of one source that were counted apart, joined into one."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sfal.errors import ArtifactError, InvalidInputError
from sfal.io.atomic import atomic_path, remove_temporaries, sha256_file
from sfal.io.lock import folder_lock
from sfal.store.differences import require_same
from sfal.store.layout import MANIFEST, RUNS, PartName, source_dir
from sfal.store.manifest import Manifest, Part, has_manifest, occurrences_dir
from sfal.store.parts import check_part


@dataclass(frozen=True)
class Merged:
    """What became of one source."""

    name: str
    """Name of the source."""
    folder: Path
    """Where the joined run lies."""
    manifest: Manifest
    """What it holds."""
    n_runs: int
    """Runs that were joined."""
    done_before: bool
    """Whether the folder held the same already."""


def find_runs(folders: Iterable[Path]) -> dict[str, list[Path]]:
    """Runs in and below some folders, by the name of their source.

    Parameters
    ----------
    folders : iterable of Path
        Data trees, folders of sources, or folders of single runs. In a
        source's folder that holds further runs, these are meant.

    Raises
    ------
    ArtifactError
        If a folder holds no run, or a manifest is damaged.
    """
    found: dict[str, list[Path]] = {}
    for folder in folders:
        runs = sorted({path.parent.resolve() for path in folder.rglob(MANIFEST)})
        if not runs:
            raise ArtifactError(f"no run in {folder} or below; `sfal cooc --shard i/n` makes some")
        for run in runs:
            if run.parent.name != RUNS and any(other.parent == run / RUNS for other in runs):
                continue
            of_source = found.setdefault(str(Manifest.load(run).source.name), [])
            if run not in of_source:
                of_source.append(run)
    return found


def merge_runs(name: str, runs: Sequence[Path], data_dir: Path) -> Merged:
    """Join runs of one source; their parts are copied, checked against their hashes.

    Parameters
    ----------
    name : str
        Name of the source.
    runs : sequence of Path
        Their folders, in any order.
    data_dir : Path
        Root of the data tree that takes the joined run.

    Returns
    -------
    Merged

    Raises
    ------
    SettingsMismatchError
        If they were made with different settings or inputs; each difference is named.
    InvalidInputError
        If documents overlap, or some are in none of them.
    ArtifactError
        If a run is not complete, a part is damaged, or the source's folder
        holds another run.
    """
    ordered = sorted(((Manifest.load(run), run) for run in runs), key=lambda pair: pair[0].start)
    _check_alike(ordered)
    _check_documents(ordered)
    joined = _joined(ordered)
    folder = source_dir(data_dir, name)
    with folder_lock(folder, data_dir):
        if has_manifest(folder):
            there = Manifest.load(folder)
            if replace(there, histogram=None, volatile={}) != replace(joined, volatile={}):
                raise ArtifactError(
                    f"{folder} holds a run already; name another folder with --data-dir, "
                    "or move that run away"
                )
            return Merged(name, folder, there, len(runs), done_before=True)
        parts = iter(joined.parts)
        for manifest, run in ordered:
            for part in manifest.parts:
                _copy(run, part, occurrences_dir(folder) / next(parts).file)
        remove_temporaries(occurrences_dir(folder))
        joined.save(folder)
    return Merged(name, folder, joined, len(runs), done_before=False)


def _check_alike(ordered: Sequence[tuple[Manifest, Path]]) -> None:
    first, folder = ordered[0]
    for other, run in ordered[1:]:
        way_out = f"{run} cannot be joined with it"
        for kind, a, b in (
            ("inputs", first.source.as_json(), other.source.as_json()),
            ("settings", _without_shard(first), _without_shard(other)),
            ("inputs", first.fingerprints, other.fingerprints),
            ("width", {"n_features": first.n_features}, {"n_features": other.n_features}),
        ):
            require_same(folder, kind, a, b, way_out)


def _check_documents(ordered: Sequence[tuple[Manifest, Path]]) -> None:
    """Refuse runs that overlap, leave documents out, or are not complete."""
    position, before = 0, ""
    for manifest, run in ordered:
        if not manifest.complete:
            first, stop = manifest.gaps[0]
            raise ArtifactError(
                f"{run} is not complete: documents {first} to {stop - 1} are not counted yet; "
                "the same `sfal cooc` command goes on with it"
            )
        if manifest.start < position:
            raise InvalidInputError(
                f"{run} and {before} both hold document {manifest.start}; join runs of "
                "different documents"
            )
        if manifest.start > position:
            raise InvalidInputError(
                f"documents {position} to {manifest.start - 1} are in none of the runs; "
                "name the run that holds them too"
            )
        position, before = max(position, manifest.end), str(run)
    shard = ordered[-1][0].settings.get("shard")
    if shard and position < shard["n_docs"] and ordered[-1][0].corpus_ended_at is None:
        raise InvalidInputError(
            f"documents {position} to {shard['n_docs'] - 1} are in none of the runs; "
            "name the run that holds them too"
        )


def _joined(ordered: Sequence[tuple[Manifest, Path]]) -> Manifest:
    first, last = ordered[0][0], ordered[-1][0]
    parts: list[Part] = []
    for manifest, _ in ordered:
        for part in manifest.parts:
            # A hash of the text runs from a run's own first document; only the first's still holds.
            text = part.documents_sha256 if manifest is first else ""
            name = str(PartName(len(parts)))
            parts.append(replace(part, file=name, documents_sha256=text))
    shard = last.settings.get("shard")
    return replace(
        first,
        settings={**first.settings, "shard": None},
        n_docs=shard["n_docs"] if shard else last.n_docs,
        start=0,
        stop=None,
        parts=tuple(parts),
        corpus_ended_at=last.corpus_ended_at,
        histogram=None,
    )


def _copy(run: Path, part: Part, target: Path) -> None:
    source = check_part(run, part)
    if target.is_file() and sha256_file(target) == part.sha256:
        return  # from a merge that was stopped
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def _without_shard(manifest: Manifest) -> dict[str, Any]:
    settings = dict(manifest.settings)
    shard = settings.pop("shard", None)
    return {**settings, "n_docs": shard["n_docs"]} if shard else settings
