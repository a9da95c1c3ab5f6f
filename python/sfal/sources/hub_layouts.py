"""SAEs in repositories of the hub, in any of the layouts that SFAL knows."""

import glob
from pathlib import Path

from sfal.errors import ArtifactError, DownloadError, UnknownSaeError
from sfal.io import hub
from sfal.sources.configuration.layouts import TORCH_SUFFIXES, Layout, layout_of, layouts_in
from sfal.sources.configuration.on_disk import is_open_sae, is_saelens

_LISTED = 12
"""SAEs that a message lists."""
_SETTINGS = (".json",)
_WEIGHTS = (".safetensors", ".npz", *TORCH_SUFFIXES)


def only_sae(repo_id: str) -> str:
    """Return the folder or file of a repository's only SAE; empty if it lies at the root.

    Raises
    ------
    UnknownSaeError
        If the repository holds none, or several; the message lists them.
    """
    files = hub.list_files(repo_id)
    named = layouts_in(files)
    if named.get("") == "open_sae" and not is_open_sae(_fetch(repo_id, "", None, ["config.json"])):
        del named[""]  # a language model, whose files have the same names
    found = list(named)
    if len(found) == 1 or "" in found:
        return "" if "" in found else found[0]
    if not found:
        raise UnknownSaeError(
            f"{repo_id} holds no cfg.json, and no SAE in another layout that SFAL knows",
            hint="name a folder on disk with $sae_path for other layouts",
        )
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    raise UnknownSaeError(
        f"{repo_id} holds {len(found)} SAEs: {', '.join(found[:_LISTED])}{more}",
        hint="name one with $sae_id",
    )


def repository_layout(repo_id: str, path: str, revision: str | None = None) -> Layout:
    """Fetch an SAE's settings, but not its weights, and return its layout.

    Parameters
    ----------
    repo_id : str
        Repository on the hub.
    path : str
        Folder or file in it; empty for the root.
    revision : str, optional
        Commit, branch or tag.

    Raises
    ------
    DownloadError
        If the repository cannot be reached or does not hold the SAE.
    """
    missing: DownloadError | None = None
    if not path.endswith(TORCH_SUFFIXES):
        try:
            folder = _fetch_config(repo_id, path, revision).parent
        except DownloadError as e:
            missing = e
        else:
            if is_saelens(folder):
                return Layout("saelens", folder)
    try:
        files = hub.list_files(repo_id, revision)
    except DownloadError as e:
        found = _fetched_before(repo_id, path, revision)
        if found is None:
            raise missing or e from e
        return found
    name = layouts_in(files).get(path)
    if name is None:
        raise missing or DownloadError(f"{repo_id} has no SAE at {path or 'its root'}")
    return Layout(name, _fetch(repo_id, path, revision, _wanted(files, path, _SETTINGS)))


def _fetched_before(repo_id: str, path: str, revision: str | None) -> Layout | None:
    """Return the layout of an SAE in the hub's cache."""
    try:
        return layout_of(_fetch(repo_id, path, revision, None))
    except (DownloadError, ArtifactError):
        return None


def _fetch_config(repo_id: str, folder: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download

    name = f"{folder}/cfg.json" if folder else "cfg.json"
    with hub.hub_errors(f"{name} of {repo_id}", "or name a local SAE with $sae_path"):
        return Path(hf_hub_download(repo_id, name, revision=revision))


def fetch_sae(repo_id: str, path: str, revision: str | None = None) -> Path:
    """Fetch the files of an SAE, and return its folder or file on the disk."""
    try:
        files = hub.list_files(repo_id, revision)
    except DownloadError:
        return _fetch(repo_id, path, revision, None)  # complete if it was fetched before
    return _fetch(repo_id, path, revision, _wanted(files, path, (*_SETTINGS, *_WEIGHTS)))


def _wanted(files: list[str], path: str, suffixes: tuple[str, ...]) -> list[str]:
    """Return the files of an SAE, and the settings above it, which are those of all its layers."""
    names = ("config.json", "config.yaml")
    above = {str(parent / name) for parent in Path(path).parents for name in names}
    return [
        file
        for file in files
        if (file.rpartition("/")[0] == path and file.endswith(suffixes))
        or file in above
        or (file == path and file.endswith(suffixes))
    ]


def _fetch(repo_id: str, path: str, revision: str | None, files: list[str] | None) -> Path:
    """Fetch files, or with None only find what was fetched before."""
    from huggingface_hub import snapshot_download

    with hub.hub_errors(f"{path or 'the SAE'} of {repo_id}", "or name a local SAE with $sae_path"):
        root = snapshot_download(
            repo_id,
            revision=revision,
            allow_patterns=None if files is None else [glob.escape(file) for file in files],
            local_files_only=files is None,
        )
    return Path(root) / path
