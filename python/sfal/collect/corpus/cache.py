"""Data sets of the hub that are in a local cache, read without a request."""

from pathlib import Path

from sfal.errors import Note


def cached_snapshot(name: str, revision: str | None) -> Path | None:
    """Return the folder of a data set's files in the hub's cache, None if there is none.

    The folder is named after the commit.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        found = Path(
            snapshot_download(name, repo_type="dataset", revision=revision, local_files_only=True)
        )
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    return found if any(one.is_file() for one in found.rglob("*")) else None


def prepared_commit(name: str) -> str | None:
    """Return the commit of a data set that `datasets` has prepared, None if it has none."""
    from datasets.load import dataset_module_factory

    try:
        return str(dataset_module_factory(name).hash)
    except Exception:  # whatever it raises, it has nothing
        return None


def cached_commit(name: str, revision: str | None) -> str | None:
    """Return the commit of a data set in either cache, None if it is in neither."""
    snapshot = cached_snapshot(name, revision)
    return snapshot.name if snapshot is not None else prepared_commit(name)


def offline_note(name: str, commit: str, snapshot: Path | None) -> Note:
    """Return the note on a data set that is read from a cache."""
    files = "" if snapshot is None else f"{_count(snapshot)} of "
    return Note(
        f"HF_HUB_OFFLINE is set, so corpus {name} is read from the local cache: {files}commit "
        f"{commit[:12]}"
    )


def _count(snapshot: Path) -> str:
    n = sum(one.is_file() for one in snapshot.rglob("*"))
    return "a file" if n == 1 else f"{n} files"
