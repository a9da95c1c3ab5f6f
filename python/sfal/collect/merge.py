"""Runs of one source that were counted separately, merged into one."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sfal.collect.inputs import mixed_devices_note
from sfal.errors import ArtifactError, InvalidInputError, MissingError
from sfal.io.atomic import atomic_path, remove_temporaries, sha256_file
from sfal.io.lock import folder_lock
from sfal.store.differences import require_same
from sfal.store.layout import MANIFEST, RUNS, PartName, source_dir
from sfal.store.manifest import Manifest, Part, has_manifest, occurrences_dir
from sfal.store.parts import check_part

_LISTED = 8
"""Lost shards that a message names."""


@dataclass(frozen=True)
class Merged:
    """The outcome for one source."""

    name: str
    """Name of the source."""
    folder: Path
    """Folder of the merged run."""
    manifest: Manifest
    """Its manifest."""
    n_runs: int
    """Number of runs that were merged."""
    done_before: bool
    """Whether the folder already held the same run."""


def find_runs(folders: Iterable[Path]) -> dict[str, list[Path]]:
    """Find the runs in and below some folders, by the name of their source.

    Parameters
    ----------
    folders : iterable of Path
        Data trees, folders of sources, or folders of single runs. In a
        source's folder that holds further runs, only those are taken.

    Raises
    ------
    MissingError
        If a folder holds no run.
    ArtifactError
        If a manifest is damaged.
    """
    found: dict[str, list[Path]] = {}
    for folder in folders:
        runs = sorted({path.parent.resolve() for path in folder.rglob(MANIFEST)})
        if not runs:
            raise MissingError(
                f"no run in {folder} or below", hint="$do_count with $shard(i/n) makes some"
            )
        for run in runs:
            if run.parent.name != RUNS and any(other.parent == run / RUNS for other in runs):
                continue
            of_source = found.setdefault(str(Manifest.load(run).source.name), [])
            if run not in of_source:
                of_source.append(run)
    return found


def merge_runs(name: str, runs: Sequence[Path], data_dir: Path) -> Merged:
    """Merge runs of one source; their parts are copied, and checked against their hashes.

    Parameters
    ----------
    name : str
        Name of the source.
    runs : sequence of Path
        Their folders, in any order.
    data_dir : Path
        Root of the data tree for the merged run.

    Returns
    -------
    Merged

    Raises
    ------
    SettingsMismatchError
        If they have different settings or inputs; the message names each difference.
    InvalidInputError
        If documents overlap, or some are in none of the runs.
    ArtifactError
        If a run is not complete, a part is damaged, or the source's folder
        holds a different run.
    """
    ordered = sorted(((Manifest.load(run), run) for run in runs), key=lambda pair: pair[0].start)
    _check_same(ordered)
    _check_documents(ordered)
    merged = _merged(ordered)
    folder = source_dir(data_dir, name)
    with folder_lock(folder, data_dir):
        if has_manifest(folder):
            there = Manifest.load(folder)
            if replace(there, histogram=None, volatile={}) != replace(merged, volatile={}):
                raise ArtifactError(
                    f"{folder} already holds a different run",
                    hint="name another folder with $data_dir, or move that run away",
                )
            return Merged(name, folder, there, len(runs), done_before=True)
        parts = iter(merged.parts)
        for manifest, run in ordered:
            for part in manifest.parts:
                _copy(run, part, occurrences_dir(folder) / next(parts).file)
        remove_temporaries(occurrences_dir(folder))
        merged.save(folder)
    return Merged(name, folder, merged, len(runs), done_before=False)


def _check_same(ordered: Sequence[tuple[Manifest, Path]]) -> None:
    first, folder = ordered[0]
    for other, run in ordered[1:]:
        hint = f"{run} cannot be merged with it"
        for kind, a, b in (
            ("inputs", first.source.as_json(), other.source.as_json()),
            ("settings", _without_shard(first), _without_shard(other)),
            ("inputs", first.fingerprints, other.fingerprints),
            ("width", {"n_features": first.n_features}, {"n_features": other.n_features}),
        ):
            require_same(folder, kind, a, b, hint)


def _check_documents(ordered: Sequence[tuple[Manifest, Path]]) -> None:
    """Refuse runs that overlap, leave documents out, or are not complete."""
    lost = _lost_shards(ordered)
    position, before = 0, ""
    for manifest, run in ordered:
        if not manifest.complete:
            first, stop = manifest.gaps[0]
            raise ArtifactError(
                f"{run} is not complete: documents {first} to {stop - 1} are not counted yet",
                hint="finish it first; $do_count with the same settings continues it",
            )
        if manifest.start < position:
            raise InvalidInputError(
                f"{run} and {before} both hold document {manifest.start}",
                hint="merge runs of different documents",
            )
        if manifest.start > position:
            raise InvalidInputError(
                f"documents {position} to {manifest.start - 1}{lost} are in none of the runs",
                hint="name the run that holds them too",
            )
        position, before = max(position, manifest.end), str(run)
    shard = ordered[-1][0].settings.get("shard")
    if shard and position < shard["n_docs"] and ordered[-1][0].corpus_ended_at is None:
        raise InvalidInputError(
            f"documents {position} to {shard['n_docs'] - 1}{lost} are in none of the runs",
            hint="name the run that holds them too",
        )


def _lost_shards(ordered: Sequence[tuple[Manifest, Path]]) -> str:
    """Return the shards that are in none of the runs, in words; empty if there are no shards."""
    shards = [shard for manifest, _ in ordered if (shard := manifest.settings.get("shard"))]
    if not shards:
        return ""
    of = shards[0]["of"]
    lost = sorted(set(range(1, of + 1)) - {shard["index"] for shard in shards})
    named = ", ".join(f"{index}/{of}" for index in lost[:_LISTED])
    return f" (shard {named}{', …' if len(lost) > _LISTED else ''})" if lost else ""


def _merged(ordered: Sequence[tuple[Manifest, Path]]) -> Manifest:
    first, last = ordered[0][0], ordered[-1][0]
    parts: list[Part] = []
    devices: dict[str, tuple[str, ...]] = {}
    for manifest, _ in ordered:
        for part in manifest.parts:
            # A text hash starts at its run's first document, so only the first run's stay valid.
            text = part.documents_sha256 if manifest is first else ""
            name = str(PartName(len(parts)))
            parts.append(replace(part, file=name, documents_sha256=text))
            devices[name] = manifest.part_devices.get(part.file, ())
    shard = last.settings.get("shard")
    merged = replace(
        first,
        settings={**first.settings, "shard": None},
        n_docs=shard["n_docs"] if shard else last.n_docs,
        start=0,
        stop=None,
        parts=tuple(parts),
        corpus_ended_at=last.corpus_ended_at,
        histogram=None,
        volatile={key: value for key, value in first.volatile.items() if key != "part_devices"},
    ).with_part_devices(devices)
    notes = [note for manifest, _ in ordered for note in manifest.notes]
    mixed = mixed_devices_note(merged)
    return merged.with_notes([*notes, *([] if mixed is None else [str(mixed)])])


def _copy(run: Path, part: Part, target: Path) -> None:
    source = check_part(run, part)
    if target.is_file() and sha256_file(target) == part.sha256:
        return  # left by a merge that was interrupted
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def _without_shard(manifest: Manifest) -> dict[str, Any]:
    settings = dict(manifest.settings)
    shard = settings.pop("shard", None)
    return {**settings, "n_docs": shard["n_docs"]} if shard else settings
