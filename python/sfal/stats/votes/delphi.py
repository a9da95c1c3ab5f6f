"""Votes from delphi's score folders: one file per latent, for each kind of score.

A folder ``scores/`` has a subfolder for each scorer, such as ``detection`` and ``fuzz``, and in it a
file ``{hookpoint}_latent{index}.txt`` per latent: a JSON list with an object per example.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from sfal.errors import CorruptError, InvalidInputError, Note
from sfal.stats.votes.json_files import finite, read_json_file
from sfal.stats.votes.votes import Votes

_NAME = re.compile(r"(?P<hookpoint>.*?)_?latent(?P<index>\d{1,10})\.(?:txt|json)")


def is_score_folder(folder: Path) -> bool:
    """Return whether a folder, or a folder in it, holds files that are named as delphi's are."""
    return bool(_files(folder)) or any(_files(below) for below in _subfolders(folder))


def read_delphi(
    folder: Path, *, score_type: str | None = None, hookpoint: str | None = None
) -> Votes:
    """Read delphi's scores.

    The vote on a latent is the accuracy of its scorer [1]_: the mean of the shares of activating and of
    other examples that it told right, or the share of all where examples do not say which they are;
    for simulations the mean ``ev_correlation_score``, for interventions the ``final_score``.

    Parameters
    ----------
    folder : Path
        Folder of one scorer, or the one above it.
    score_type : str, optional
        Scorer, such as ``detection``; needed if there are several.
    hookpoint : str, optional
        Such as ``layers.5.mlp``; needed if there are several.

    Returns
    -------
    Votes

    Raises
    ------
    InvalidInputError
        If there are several scorers or hookpoints and none is chosen, or none of that name.
    CorruptError
        If a file is not a JSON list of objects.

    References
    ----------
    .. [1] Paulo et al., "Automatically interpreting millions of features in large language models"
       (2024), arXiv:2410.13928.
    """
    chosen = folder
    if not _files(folder):
        kinds = {below.name: below for below in _subfolders(folder) if _files(below)}
        chosen = kinds[_choice(kinds, score_type, f"{folder} holds scores", "score_type")]
    by_hookpoint: dict[str, list[tuple[int, Path]]] = defaultdict(list)
    for path, name, index in _files(chosen):
        by_hookpoint[name].append((index, path))
    name = _choice(by_hookpoint, hookpoint, f"{chosen} holds scores at", "hookpoint")
    features, scores, n_empty = [], [], 0
    for index, path in sorted(by_hookpoint[name]):
        score = latent_score(read_json_file(path), path)
        if score is None:
            n_empty += 1
            continue
        features.append(index)
        scores.append(score)
    notes: tuple[Note, ...] = ()
    if n_empty:
        n = len(by_hookpoint[name])
        notes = (Note(f"{chosen}: {n_empty:,} of {n:,} latents have no usable score"),)
    return Votes(
        np.array(features, dtype=np.int64),
        np.array(scores, dtype=np.float64),
        (chosen.name,) * len(features),
        np.ones(len(features)),
        notes=notes,
    )


def latent_score(found: Any, path: Path) -> float | None:
    """Return the score in the content of one file; None if no example has one.

    Raises
    ------
    CorruptError
        If it is not a list of objects.
    """
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise CorruptError(f"{path} is not a JSON list of objects, as delphi writes")
    for key in ("final_score", "ev_correlation_score"):
        values = [value for one in found if (value := finite(one.get(key))) is not None]
        if values:
            return float(np.mean(values))
    right: dict[object, list[bool]] = defaultdict(list)
    for one in found:
        correct = _is_correct(one)
        if correct is not None:
            right[
                one.get("activating") if isinstance(one.get("activating"), bool) else None
            ].append(correct)
    return float(np.mean([np.mean(told) for told in right.values()])) if right else None


def _is_correct(one: dict[str, Any]) -> bool | None:
    correct, activating = one.get("correct"), one.get("activating")
    prediction = one.get("prediction")
    if isinstance(correct, bool):
        return correct
    if isinstance(activating, bool) and isinstance(prediction, bool | int | float):
        return (prediction >= 0.5) == activating
    return None


def _files(folder: Path) -> list[tuple[Path, str, int]]:
    if not folder.is_dir():
        return []
    matches = ((path, _NAME.fullmatch(path.name)) for path in sorted(folder.iterdir()))
    return [(path, match["hookpoint"], int(match["index"])) for path, match in matches if match]


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _choice(found: Iterable[str], wanted: str | None, what: str, setting: str) -> str:
    names = sorted(found)
    if wanted is not None and wanted in names:
        return wanted
    there = ", ".join(names[:8])
    if wanted is not None and len(names):
        raise InvalidInputError(f"{what} {there}, not {wanted}", hint=f"choose one with ${setting}")
    if len(names) == 1:
        return names[0]
    if not names:
        raise InvalidInputError(f"{what.split(' holds ')[0]} holds no file of delphi's scores")
    raise InvalidInputError(f"{what} {there}", hint=f"choose one with ${setting}")
