"""Fingerprints of models and SAEs, which reveal a model or SAE replaced in place."""

from pathlib import Path

from sfal.io.atomic import sha256_file

_WEIGHTS = ("*.safetensors", "*.bin", "*.npz", "*.json", "*.model", "*.txt", "*.py")


def of_path(path: Path) -> dict[str, str]:
    """Return the SHA-256 of a file, or of each file of weights, settings and vocabulary in a folder.

    Parameters
    ----------
    path : Path
        File, or folder, which is searched with its subfolders.

    Returns
    -------
    dict of str to str
        Path relative to the folder -> 64 hexadecimal digits.
    """
    if path.is_file():
        return {path.name: sha256_file(path)}
    files = {file for pattern in _WEIGHTS for file in path.rglob(pattern) if file.is_file()}
    return {file.relative_to(path).as_posix(): sha256_file(file) for file in sorted(files)}


def of_hub_file(repo_id: str, path: str, file: Path) -> dict[str, str]:
    """Return the repository, path and commit of a file in the hub's local cache."""
    return {"repo": repo_id, "path": path, "revision": _commit(file) or cached_commit(repo_id)}


def cached_commit(repo_id: str, revision: str = "main") -> str:
    """Return the commit of a branch when it was last fetched, or ``unknown``."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo_id, repo_type="model")
    try:
        return (folder / "refs" / revision).read_text(encoding="utf-8").strip()
    except OSError:
        return "unknown"


def _commit(file: Path) -> str | None:
    """Return the commit from a path in the cache, which keeps files under ``snapshots/COMMIT/``."""
    parts = file.parts
    if "snapshots" not in parts:
        return None
    after = len(parts) - parts[::-1].index("snapshots")
    return parts[after] if after < len(parts) else None
