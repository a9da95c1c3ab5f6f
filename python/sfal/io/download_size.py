"""Bytes of a model or an SAE that are still to be fetched from the hub."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sfal.errors import SfalError
from sfal.io.hub import bytes_to_fetch, cached_files, is_offline
from sfal.terminal.units import size_text

_SETTINGS = (".json", ".txt", ".model", ".jinja", ".yaml")
"""Endings of settings and vocabularies."""
_SAE_WEIGHTS = (".safetensors", ".npz", ".pt")
OUT_OF_REACH = "nothing can be fetched, as HF_HUB_OFFLINE is set, and not all is in the local cache"
_OTHER_FORMATS = ("onnx", "openvino", "original")
"""Folders with the same weights for other programs."""


@dataclass(frozen=True)
class Download:
    """Bytes to be fetched, or why they are unknown."""

    n_bytes: int | None
    """Bytes; None if unknown."""
    why: str = ""
    """Why they are unknown, or why there are none."""
    out_of_reach: bool = False
    """Whether they are needed but must not be fetched."""

    def __str__(self) -> str:
        if self.out_of_reach:
            return self.why
        if self.n_bytes is None:
            return f"not known: {self.why}"
        return size_text(self.n_bytes) if self.n_bytes else f"nothing, {self.why}"


def model_download(model: str, revision: str | None = None) -> Download:
    """Return what fetching a model for transformers or sentence-transformers would take.

    All its weights are fetched, even if only some layers are loaded.

    Parameters
    ----------
    model : str
        Hub id or local folder.
    revision : str, optional
        Commit, branch or tag.
    """
    return _download(None if Path(model).is_dir() else model, "", revision, _model_files)


def sae_download(repo_id: str | None, folder: str, revision: str | None = None) -> Download:
    """Return what fetching an SAE from a folder of a repository would take; None: a local SAE."""
    return _download(repo_id, folder, revision, _sae_files)


def _download(
    repo_id: str | None,
    folder: str,
    revision: str | None,
    chosen: Callable[[Iterable[str]], tuple[list[str], list[str]]],
) -> Download:
    if repo_id is None:
        return Download(0, "it is on this machine")
    if is_offline():
        weights, _ = chosen(cached_files(repo_id, folder, revision))
        if not weights:
            return Download(None, OUT_OF_REACH, out_of_reach=True)
        return Download(0, "HF_HUB_OFFLINE is set, so what was fetched before is used")
    try:
        files = bytes_to_fetch(repo_id, folder, revision)
    except SfalError as e:
        return Download(None, str(e))
    weights, rest = chosen(files)
    if weights and not any(files[path] for path in weights):
        # The small files came with the weights; not every one of them is wanted.
        return Download(0, "it was fetched before")
    return Download(sum(files[path] for path in (*weights, *rest)))


def _model_files(paths: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return weights of one format, and settings and vocabulary, as the libraries choose them."""
    own = [path for path in paths if PurePosixPath(path).parts[0] not in _OTHER_FORMATS]
    weights = [path for path in own if path.endswith(".safetensors")]
    if not weights:
        weights = [path for path in own if path.endswith(".bin")]
    return weights, [path for path in own if path.endswith(_SETTINGS)]


def _sae_files(paths: Iterable[str]) -> tuple[list[str], list[str]]:
    files = list(paths)
    return (
        [path for path in files if path.endswith(_SAE_WEIGHTS)],
        [path for path in files if path.endswith(_SETTINGS)],
    )
