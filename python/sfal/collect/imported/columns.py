"""Which columns of a file of firings are read, and which are left although they may matter."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sfal.collect.imported.settings import ROLES
from sfal.errors import InvalidInputError
from sfal.sources.feature_names import FEATURE_NAMES, plain

_NUMBERED = ("", "_id", "_idx", "_index")


def _numbered(*names: str) -> tuple[str, ...]:
    return tuple(name + ending for name in names for ending in _NUMBERED)


_SYNONYMS = {
    "document": (
        *_numbered("document", "doc", "sample"),
        *(name for name in _numbered("text", "example", "prompt", "sequence", "seq", "context")
          if "_" in name),
    ),
    "position": (
        "position",
        "pos",
        "position_id",
        "position_idx",
        "token_position",
        "token_pos",
        "token_index",
        "token_idx",
        "tok_pos",
        "tok_idx",
        "seq_pos",
        "sequence_position",
        "token",
    ),
    "window": _numbered("window"),
    "feature": (*FEATURE_NAMES, "features", "latents", "neurons"),
    "activation": ("activation", "activations", "act"),
}  # fmt: skip
"""Names under which a column is looked for; see :func:`plain`."""
_ALSO_ACTIVATION = re.compile(
    r"(max|feature|latent|neuron|sae)?act(ivation)?s?(values?|strength)?|values?|strength"
)
"""Further names of activations, if the column holds numbers. Without its activations every row of a
table fires, zeros too."""
_APART = frozenset(
    {"layer", "sae", "saeid", "release", "hook", "hookname", "hookpoint", "module", "model"}
)
"""Columns that tell the firings of several SAEs apart."""
_BESIDE = frozenset(
    {"", "id", "index", "indexlevel0", "inputids", "row", "rowid", "rowindex", "unnamed0"}
    | {"tokenid", "tokenids", "tokens"}
    | {plain(name) for names in _SYNONYMS.values() for name in names}
)
"""Columns of numbers that are not activations: numbers of rows, ids of tokens, places."""


@dataclass(frozen=True)
class Columns:
    """The columns of a file."""

    found: dict[str, str]
    """Column of each role that the file has."""
    apart: tuple[str, ...]
    """Columns that are not read although they may tell several SAEs apart."""
    strengths: tuple[str, ...]
    """Columns that are not read although they may hold activations, of a file that has none."""


def choose_columns(
    path: Path,
    there: Sequence[str],
    named: dict[str, str],
    numeric: Callable[[str], bool],
    wanted: str = "columns",
) -> Columns:
    """Return the column of each role that a file has.

    Parameters
    ----------
    path : Path
        The file, for messages.
    there : sequence of str
        Its columns.
    named : dict of str to str
        Columns that the user named, by role.
    numeric : callable
        Whether a column holds numbers, or texts of numbers, as far as its first
        rows show.
    wanted : str
        What columns are called in this kind of file.

    Raises
    ------
    InvalidInputError
        If one is missing, or two could be meant.
    """
    found: dict[str, str] = {}
    for role in ROLES:
        if role in named:
            if named[role] not in there:
                raise _missing(path, there, f"no {named[role]!r}", wanted)
            found[role] = named[role]
            continue
        free = [name for name in there if name not in named.values()]
        same = _called(free, role)
        if role == "activation" and not same:
            same = [name for name in free if _may_be_activation(name) and numeric(name)]
        if len(same) > 1:
            same = [name for name in same if numeric(name)] or same
        if role == "position":
            same = [name for name in same if plain(name) != "token"] or same
        if len(same) > 1:
            raise InvalidInputError(
                f"{path} has {' and '.join(same)}, and either could be its {role}",
                hint=f"say which with $columns({role}={same[0]})",
            )
        if same:
            found[role] = same[0]
    if "position" in found and "window" in found and "window" not in named:
        del found["window"]  # windows of the requested size are cut from positions
    elif "window" in found:
        found.pop("position", None)
    lacking = [role for role in ("document", "feature") if role not in found]
    if "position" not in found and "window" not in found:
        lacking.append("position or window")
    if lacking:
        raise _missing(path, there, f"no {' and no '.join(lacking)}", wanted)
    left = [name for name in there if name not in found.values()]
    apart = tuple(name for name in left if plain(name) in _APART)
    strengths = [
        name
        for name in left
        if plain(name) not in _BESIDE | _APART and (_may_be_activation(name) or numeric(name))
    ]
    return Columns(found, apart, () if "activation" in found else tuple(strengths))


def _called(there: Sequence[str], role: str) -> list[str]:
    """Return the columns that have one of the names of a role, in the order of these names."""
    accepted = list(dict.fromkeys(map(plain, _SYNONYMS[role])))
    same = [name for name in there if plain(name) in accepted]
    return sorted(same, key=lambda name: accepted.index(plain(name)))


def _may_be_activation(name: str) -> bool:
    return _ALSO_ACTIVATION.fullmatch(plain(name)) is not None


def _missing(path: Path, there: Sequence[str], lacking: str, wanted: str) -> InvalidInputError:
    listed = ", ".join(there[:12]) + (", …" if len(there) > 12 else "")
    return InvalidInputError(
        f"{path} has {lacking}; its {wanted} are {listed or 'none'}",
        hint="say which is which with $columns(document=NAME,position=NAME,feature=NAME)",
    )
