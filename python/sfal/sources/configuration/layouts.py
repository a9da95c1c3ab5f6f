"""The layouts in which SAEs lie on a disk, told by the files in a folder; nothing is loaded."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from sfal.errors import ArtifactError, MissingError
from sfal.io import fingerprints

TORCH_SUFFIXES = (".pt", ".pth")
"""Files that ``torch.save`` writes."""

_FILE_SUFFIXES = {".npz": "gemma_scope", ".safetensors": "gemma_scope_2"} | dict.fromkeys(
    TORCH_SUFFIXES, "torch"
)
_LISTED = 12
_INDEX = "model.safetensors.index.json"


CIRCUIT_FILE = re.compile(r"(?:layer|W_enc)_(\d+)\.safetensors")
"""Transcoders of circuit-tracer: one per layer, or the encoder of a cross-layer one's layer."""

_WITH_TORCH_FILES = ("dictionary_learning", "batch_topk")


_NAMED_FOR_FOLDER = {
    "batch_topk": ("sae.pt",),
    "dictionary_learning": ("ae.pt",),
    "saelens": ("sae_weights.safetensors", "cfg.json"),
    "sparsify": ("sae.safetensors", "cfg.json"),
}
"""Files that are named where their folder is meant."""


class Layout(NamedTuple):
    """How an SAE lies on the disk."""

    name: str
    """As in :data:`LAYOUTS`, ``gemma_scope``, ``gemma_scope_2``, ``circuit_tracer`` or
    ``torch``."""
    path: Path
    """Folder, or file for ``circuit_tracer``, ``torch`` and single files."""


LAYOUTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("sparsify", ("cfg.json", "sae.safetensors")),
    ("saelens", ("cfg.json",)),
    ("dictionary_learning", ("ae.pt",)),
    ("gemma_scope", ("params.npz",)),
    ("gemma_scope_2", ("params.safetensors",)),
    ("llama_scope", ("hyperparams.json",)),
    ("open_moss", ("config.json", "sae_weights.safetensors")),
    ("open_sae", ("config.json", "model.safetensors")),
    ("open_sae", ("config.json", _INDEX)),
    ("batch_topk", ("config.json", "sae.pt")),
)
"""Layout and the files that tell it; the first whose files are all there."""


def layout_of(path: Path) -> Layout:
    """Return the layout of an SAE on the disk.

    Parameters
    ----------
    path : Path
        A folder, or a file of tensors.

    Raises
    ------
    MissingError
        If there is no such file or folder.
    ArtifactError
        If it is not an SAE in a known layout, or holds several; they are listed.
    """
    if not path.exists():
        raise MissingError(f"no SAE at {path}: there is no such file or folder")
    if path.is_file():
        # The folder's settings say what kind of SAE a file such as ae.pt is.
        told = _of_folder(path.parent)
        if told is not None and path.name in _NAMED_FOR_FOLDER.get(told.name, ()):
            return told
        if CIRCUIT_FILE.fullmatch(path.name):
            return Layout("circuit_tracer", path)
        if path.suffix in _FILE_SUFFIXES:
            return Layout(_FILE_SUFFIXES[path.suffix], path)
    else:
        found = _of_folder(path)
        torch_files = _torch_files(path)
        circuits = sorted((f for f in path.iterdir() if _is_circuit(f)), key=_by_file)
        if found is None and circuits:
            if len(circuits) == 1:
                return Layout("circuit_tracer", circuits[0])
            raise _several(path, [file.name for file in circuits])
        # Other libraries write a cfg.json beside a torch file.
        foreign = found is not None and found.name == "saelens" and not _has_weights(path)
        if len(torch_files) == 1 and (found is None or foreign):
            return Layout("torch", torch_files[0])
        if found is not None:
            return found
        inside = sorted(_inside(path), key=_by_number)
        if inside or torch_files:
            raise _several(path, inside or [file.name for file in torch_files])
    raise ArtifactError(
        f"{path} is not an SAE: expected an .npz, .safetensors or torch file, or a folder with "
        "cfg.json (SAELens, sparsify), ae.pt (dictionary_learning), params.npz or "
        "params.safetensors (Gemma Scope), hyperparams.json (Llama Scope), or "
        "layer_N.safetensors or W_enc_N.safetensors (circuit-tracer)"
    )


def _several(path: Path, names: list[str]) -> ArtifactError:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ArtifactError(
        f"{path} holds {len(names)} SAEs: {', '.join(names[:_LISTED])}{more}",
        hint="name one of them",
    )


def _is_circuit(file: Path) -> bool:
    return CIRCUIT_FILE.fullmatch(file.name) is not None and file.is_file()


def _by_file(file: Path) -> list[tuple[int, str]]:
    return _by_number(file.name)


def sae_fingerprint(path: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of an SAE on the disk, as a manifest keeps them."""
    layout = layout_of(path)
    found = fingerprints.of_path(layout.path)
    beside = layout.path.with_name(f"{layout.path.stem}_cfg.json")
    if layout.name == "torch" and beside.is_file():
        found |= fingerprints.of_path(beside)
    if layout.name in _WITH_TORCH_FILES and layout.path.is_dir():
        for file in _torch_files(layout.path):
            found |= fingerprints.of_path(file)
    return found


def layouts_in(files: Iterable[str]) -> dict[str, str]:
    """Return the SAEs among the files of a repository, and the layout of each.

    Examples
    --------
    >>> layouts_in(["README.md", "layers.3/cfg.json", "layers.3/sae.safetensors"])
    {'layers.3': 'sparsify'}
    """
    folders: dict[str, set[str]] = {}
    for file in files:
        folder, _, name = file.rpartition("/")
        folders.setdefault(folder, set()).add(name)
    found: dict[str, str] = {}
    for folder, names in folders.items():
        layout = _told_by(names)
        if layout is not None:
            found[folder] = layout
            continue
        start = f"{folder}/" if folder else ""
        torch_files = {f"{start}{name}" for name in names if name.endswith(TORCH_SUFFIXES)}
        found |= dict.fromkeys(torch_files, "torch")
        circuits = {f"{start}{name}" for name in names if CIRCUIT_FILE.fullmatch(name)}
        found |= dict.fromkeys(circuits, "circuit_tracer")
    return {name: found[name] for name in sorted(found, key=_by_number)}


def _of_folder(folder: Path) -> Layout | None:
    name = _told_by({file.name for file in folder.iterdir() if file.is_file()})
    return None if name is None else Layout(name, folder)


def _told_by(names: set[str]) -> str | None:
    return next((layout for layout, files in LAYOUTS if names.issuperset(files)), None)


def _has_weights(folder: Path) -> bool:
    return (folder / "sae_weights.safetensors").is_file()


def _torch_files(folder: Path) -> list[Path]:
    files = [file for file in folder.iterdir() if file.suffix in TORCH_SUFFIXES and file.is_file()]
    return sorted(files, key=_by_file)


def _inside(folder: Path) -> Iterator[str]:
    """Yield the subfolders, two levels deep, that are SAEs."""
    for child in folder.iterdir():
        if not child.is_dir() or child.name.startswith("."):
            continue
        if _of_folder(child) is not None:
            yield child.name
            continue
        for inner in child.iterdir():
            if inner.is_dir() and _of_folder(inner) is not None:
                yield f"{child.name}/{inner.name}"


def _by_number(name: str) -> list[tuple[int, str]]:
    """Sort key by which layer 2 comes before layer 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
