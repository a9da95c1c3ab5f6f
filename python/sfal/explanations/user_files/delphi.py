"""A folder of explanations: delphi's, a text file per latent, or one of label files.

EleutherAI's delphi writes ``explanations/{hookpoint}_latent{n}.txt``, each of
them one JSON string, beside ``scores/`` and ``run_config.json``. Other tools
write the text as it is, and files called ``feature_{n}.txt`` or ``{n}.txt``.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from sfal.errors import InvalidInputError
from sfal.explanations.user_files.columns import Row
from sfal.explanations.user_files.layers import layer_number

_FILE = re.compile(r"(?:(?:(.*)[_.-])?(?:latent|feature)[_-]?)?([0-9]{1,9})\.txt")
_MAX_BYTES = 1 << 20
_SITES = {"res": "", "mlp": "mlp", "att": "attn", "attn_out": "attn"}
"""What hookpoints at a site end in, after the number of the layer."""


def explanations_folder(path: Path) -> Path:
    """Return the folder with the explanations: the given one, or the one inside it."""
    inner = path / "explanations"
    return inner if inner.is_dir() else path


def is_delphi(folder: Path) -> bool:
    """Return whether a folder holds at least one of delphi's files."""
    return any(_FILE.fullmatch(path.name) for path in folder.glob("*.txt"))


def delphi_explainer(folder: Path) -> str:
    """Return the model that explained, from delphi's ``run_config.json``; else ``delphi``."""
    for config in (folder / "run_config.json", folder.parent / "run_config.json"):
        try:
            name = json.loads(config.read_bytes()[:_MAX_BYTES])["explainer_model"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
        if isinstance(name, str) and 0 < len(name) <= 200 and name.isprintable():
            return name
    return "delphi"


def delphi_rows(
    folder: Path, left_out: Counter[str], layer: int | None = None, site: str | None = None
) -> Iterator[Row]:
    """Yield the explanations of one hookpoint.

    Parameters
    ----------
    folder : Path
        Folder of ``{hookpoint}_latent{n}.txt``.
    left_out : Counter
        Receives the number of files without a usable text, by reason.
    layer, site : int, str, optional
        Where the SAE reads, if known: which of several hookpoints is meant.

    Raises
    ------
    InvalidInputError
        If there are several hookpoints and layer and site do not say which one
        is meant, or if the files are scores.
    OSError
        If a file cannot be read.
    """
    by_hookpoint: dict[str, list[tuple[int, Path]]] = {}
    for path in folder.glob("*.txt"):
        if match := _FILE.fullmatch(path.name):
            by_hookpoint.setdefault(match[1] or "", []).append((int(match[2]), path))
    for number, path in sorted(by_hookpoint[_hookpoint(folder, list(by_hookpoint), layer, site)]):
        text = _text(path, left_out)
        if text is not None:
            yield {"feature": number, "explanation": text}


def _hookpoint(folder: Path, found: list[str], layer: int | None, site: str | None) -> str:
    if layer is None or (len(found) == 1 and layer_number(found[0]) is None):
        there = found
    else:
        there = [hookpoint for hookpoint in found if layer_number(hookpoint) == layer]
    if len(there) > 1 and site in _SITES:
        there = [hookpoint for hookpoint in there if _is_at(hookpoint, _SITES[site])]
    if len(there) == 1:
        return there[0]
    names = ", ".join(sorted(found)[:8]) + (", …" if len(found) > 8 else "")
    which = "none of them is of" if not there else "several of them may be of"
    raise InvalidInputError(
        f"{folder} explains {names}; {which} "
        + ("the source, whose layer is unknown" if layer is None else f"layer {layer}"),
        hint="give a folder with the files of one hookpoint",
    )


def _is_at(hookpoint: str, word: str) -> bool:
    last = re.split(r"[./]|--", hookpoint)[-1]
    return word in last if word else last.isdecimal()


def _text(path: Path, left_out: Counter[str]) -> str | None:
    """Return the text in a file, as a JSON string or as it is; None, counted, if it is damaged."""
    if path.stat().st_size > _MAX_BYTES:
        left_out["file too long"] += 1
        return None
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        left_out["invalid UTF-8"] += 1
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        if not text.lstrip().startswith(('"', "[", "{")):
            return text
        left_out["invalid JSON"] += 1
        return None
    if isinstance(content, list):
        raise InvalidInputError(
            f"{path.parent} holds delphi's scores, not its explanations",
            hint="give the folder explanations beside the folder scores",
        )
    if isinstance(content, str):
        return content
    left_out["explanation is not text"] += 1
    return None
