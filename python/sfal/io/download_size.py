"""What of a model is still to be fetched from the hub, said beforehand."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sfal.errors import SfalError
from sfal.io.hub import bytes_to_fetch, cached_files, is_offline
from sfal.terminal.units import size_text

_WORDS = (".json", ".txt", ".model", ".jinja", ".yaml")
"""Endings of settings and vocabularies."""
_SAE_WEIGHTS = (".safetensors", ".npz", ".pt")
OUT_OF_REACH = "nothing can be fetched, as HF_HUB_OFFLINE is set, and not all is in the local cache"
_OTHER_FORMATS = ("onnx", "openvino", "original")
"""Folders with the same weights for other programs."""


@dataclass(frozen=True)
class Download:
    """Bytes to be fetched, or why they are not known."""

    n_bytes: int | None
    """None: not known."""
    why: str = ""
    """Why they are not known, or why there are none."""
    out_of_reach: bool = False
    """Whether they are wanted and must not be fetched."""

    def __str__(self) -> str:
        if self.out_of_reach:
            return self.why
        if self.n_bytes is None:
            return f"not known: {self.why}"
        return size_text(self.n_bytes) if self.n_bytes else f"nothing, {self.why}"


def model_download(model: str, revision: str | None = None) -> Download:
    """What a model for transformers or sentence-transformers would bring.

    Its weights come whole, though only some layers may be loaded.

    Parameters
    ----------
    model : str
        Hub id or local folder.
    revision : str, optional
        Commit, branch or tag.
    """
    return _download(None if Path(model).is_dir() else model, "", revision, _model_files)


def sae_download(repo_id: str | None, folder: str, revision: str | None = None) -> Download:
    """What the files of an SAE in a folder of a repository would bring; None: a local one."""
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
        there, _ = chosen(cached_files(repo_id, folder, revision))
        if not there:
            return Download(None, OUT_OF_REACH, out_of_reach=True)
        return Download(0, "HF_HUB_OFFLINE is set: what was fetched before is used")
    try:
        files = bytes_to_fetch(repo_id, folder, revision)
    except SfalError as e:
        return Download(None, str(e))
    weights, rest = chosen(files)
    if weights and not any(files[path] for path in weights):
        # What is small came with them; of that, not every file is wanted.
        return Download(0, "it was fetched before")
    return Download(sum(files[path] for path in (*weights, *rest)))


def _model_files(paths: Iterable[str]) -> tuple[list[str], list[str]]:
    """As the libraries choose them: weights of one kind, settings, words."""
    own = [path for path in paths if PurePosixPath(path).parts[0] not in _OTHER_FORMATS]
    weights = [path for path in own if path.endswith(".safetensors")]
    if not weights:
        weights = [path for path in own if path.endswith(".bin")]
    return weights, [path for path in own if path.endswith(_WORDS)]


def _sae_files(paths: Iterable[str]) -> tuple[list[str], list[str]]:
    there = list(paths)
    return (
        [path for path in there if path.endswith(_SAE_WEIGHTS)],
        [path for path in there if path.endswith(_WORDS)],
    )
