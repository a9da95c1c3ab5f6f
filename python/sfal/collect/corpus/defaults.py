"""The corpus that stands for ``auto``: the first of a family's that can be had."""

from collections.abc import Sequence
from pathlib import Path

from sfal.collect.corpus.cache import cached_commit
from sfal.errors import DownloadError, Note, SfalError
from sfal.io.hub import hub_errors, is_offline
from sfal.sources.presets import PRESETS
from sfal.store.manifest import Manifest, has_manifest

AUTO = "auto"
"""Corpus that stands for the one of the language model's family."""


def corpora_of(model: str) -> tuple[str, ...]:
    """Return the corpora that are used for a language model, the preferred one first."""
    family = next((family for family in PRESETS if family in model.lower()), "gemma")
    return PRESETS[family].corpora


def find_corpus(model: str, folders: Sequence[Path]) -> tuple[str, Note | None]:
    """Return the corpus that ``auto`` stands for, and a note if it is not the preferred one.

    A run on disk continues with its own corpus, without asking the hub. Data
    sets that are missing or private are passed over; without access to the hub,
    those that are not in the local cache.

    Parameters
    ----------
    model : str
        The language model.
    folders : sequence of Path
        Folders of the runs that would be counted or continued.

    Raises
    ------
    DownloadError
        If none can be had, or the hub cannot be reached.
    """
    corpora = corpora_of(model)
    for folder in folders:
        counted = _counted(folder)
        if counted in corpora:
            return counted, None
    for position, name in enumerate(corpora):
        if _is_there(name):
            return name, _note(corpora[:position], name)
    where = "in the local cache, and HF_HUB_OFFLINE is set" if is_offline() else "on the hub"
    raise DownloadError(
        f"none of the corpora {', '.join(corpora)} is {where}",
        hint="name another one with $corpus: a data set of the hub, or a local file or folder",
    )


def _counted(folder: Path) -> str:
    """Return the corpus of the run in a folder; empty if there is none or it is damaged."""
    if has_manifest(folder):
        try:
            corpus = Manifest.load(folder).settings.get("corpus")
        except SfalError:  # said when the run is opened
            return ""
        if isinstance(corpus, dict) and isinstance(corpus.get("name"), str):
            return str(corpus["name"])
    return ""


def _is_there(name: str) -> bool:
    if is_offline():
        return cached_commit(name, None) is not None
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    with hub_errors(f"corpus {name}", "name another corpus with $corpus"):
        try:
            HfApi().dataset_info(name)
        except RepositoryNotFoundError:  # 404, or 401 for one that is private
            return False
    return True


def _note(missing: Sequence[str], name: str) -> Note | None:
    if not missing:
        return None
    if is_offline():
        why = f"{' and '.join(missing)} {_are(missing)} not in the local cache"
    else:
        why = f"the hub has no {' or '.join(missing)}, or keeps it private"
    return Note(f"{why}; the corpus is {name} instead", "$corpus names another one")


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
