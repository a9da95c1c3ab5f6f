"""Names of language models: TransformerLens' short ones, and the hub's repositories."""

import ast
import importlib.util
import json
import re
from functools import cache
from pathlib import Path

_OWNERS = {
    "gemma": "google",
    "llama": "meta-llama",
    "meta-llama": "meta-llama",
    "mistral": "mistralai",
    "pythia": "EleutherAI",
    "qwen": "Qwen",
}
"""Owners on the hub, by the beginning of a name that TransformerLens' table lacks."""

_WITHOUT_OWNER = {
    "gpt2": "openai-community/gpt2",
    "gpt2-medium": "openai-community/gpt2-medium",
    "gpt2-large": "openai-community/gpt2-large",
    "gpt2-xl": "openai-community/gpt2-xl",
    "distilgpt2": "distilbert/distilgpt2",
    "gpt2-small": "openai-community/gpt2",
    "mistral-7b": "mistralai/Mistral-7B-v0.1",
}
"""Repositories of the hub's oldest names, which TransformerLens still uses, and of names that must
be known even where TransformerLens is not installed."""


def hub_model(name: str) -> str | None:
    """Return the hub's repository of a model; None if its name is not known.

    Parameters
    ----------
    name : str
        Hub id, or a name as TransformerLens or SAELens spells it.

    Examples
    --------
    >>> hub_model("gpt2-small")
    'openai-community/gpt2'
    >>> hub_model("mistral-7b")
    'mistralai/Mistral-7B-v0.1'
    """
    known = _WITHOUT_OWNER.get(name.lower()) or _lens_names().get(name.lower())
    if known is not None:
        return _WITHOUT_OWNER.get(known, known)
    if "/" in name:
        return name
    for family, owner in _OWNERS.items():
        if name.lower().startswith(family):
            return f"{owner}/{name}"
    return None


def is_other_model(stated: str, counted: str) -> bool:
    """Return whether an SAE's configuration names another model than the one that is counted.

    Names of the same repository are equal, and so is a local folder that is
    named like it or says in its ``config.json`` that it comes from there. A name
    that means nothing on the hub cannot be compared with a local folder.

    Parameters
    ----------
    stated : str
        Name in the SAE's configuration.
    counted : str
        Hub id or local folder.
    """
    meant = hub_model(stated)
    if not Path(counted).is_dir():
        here = hub_model(counted) or counted
        if meant is None:
            return _last(here) != _last(stated)
        return _repository(here) != _repository(meant)
    if meant is None:
        return False
    names = {_last(stated), _last(meant)}
    return not names & {_last(name) for name in _names_of_folder(Path(counted))}


def _names_of_folder(folder: Path) -> list[str]:
    """Return what a local model may be called: its folder's names, and its origin."""
    found = [folder.name, folder.resolve().name]
    for part in folder.resolve().parts:  # the hub's cache: models--OWNER--NAME/snapshots/COMMIT
        if part.startswith("models--"):
            found.append(part.removeprefix("models--").replace("--", "/"))
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = None
    origin = config.get("_name_or_path") if isinstance(config, dict) else None
    if isinstance(origin, str):
        found.append(origin)
    return [*found, *(known for name in found if (known := hub_model(name)) is not None)]


def _repository(name: str) -> str:
    """Return a hub id in one spelling; Meta renamed ``Meta-Llama-3.1-8B`` to ``Llama-3.1-8B``."""
    return name.lower().replace("/meta-llama-", "/llama-")


def _last(name: str) -> str:
    last = re.split(r"[/\\]", name.rstrip("/\\"))[-1].lower()
    return last.removeprefix("meta-")


@cache
def _lens_names() -> dict[str, str]:
    """Return TransformerLens' table of names, read without importing the package.

    Empty if it is not installed, or keeps its table elsewhere.
    """
    spec = importlib.util.find_spec("transformer_lens")
    if spec is None or spec.origin is None:
        return {}
    try:
        tree = ast.parse(
            Path(spec.origin).with_name("supported_models.py").read_text(encoding="utf-8")
        )
        tables = {
            node.target.id: ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and node.value is not None
            and node.target.id in ("OFFICIAL_MODEL_NAMES", "MODEL_ALIASES")
        }
    except (OSError, SyntaxError, ValueError):
        return {}
    found = {name.lower(): name for name in tables.get("OFFICIAL_MODEL_NAMES", [])}
    for official, aliases in tables.get("MODEL_ALIASES", {}).items():
        found |= {alias.lower(): official for alias in aliases}
    return found
