"""The published data layout: ``{family folder}/{layer}-…/`` with ``.npz`` and ``.pkl`` files."""

import re
from pathlib import Path

from sfal.store.layout import RUNS
from sfal.store.published.histogram import PATTERN

FAMILIES = {"gemmascope-res-16k": "gemma", "Llama3_1-8B-Base-LXR-8x": "llama"}
"""Family of models by the name of its folder in the published data."""

SUFFIX = "_embeddings.pkl"
"""Ending of the published embeddings' file names."""

MODEL_IDS = {"Llama-3.1-8B": "llama3.1-8b"}
"""Neuronpedia ids of language models, where they differ from the hub's name in lower case."""

_EMBEDDER_DEPTH = 4
_MODEL_IN_NAME = re.compile(r"_(?:google|meta-llama)_([A-Za-z]+-[0-9][A-Za-z0-9.-]*)_")
_TYPES = (
    "oai_token-act-pair",
    "oai_attention-head",
    "np_max-act-logits",
    "np_max-act",
    "np_acts-logits-general",
    "eleuther_acts_top20",
    "python-code",
)


def find_histograms(folder: Path) -> list[Path]:
    """Return the histograms in a folder, ours or published, in alphabetical order."""
    return sorted(p for p in folder.glob(PATTERN) if not p.name.startswith("."))


def find_pickled_embeddings(folder: Path) -> dict[tuple[str, str], Path]:
    """Find the published embeddings below a folder.

    Returns
    -------
    dict of (embedder, stem) to Path
        In alphabetical order; the stem is ``{type}_{explainer}``.
    """
    found: dict[tuple[str, str], Path] = {}
    # Level by level: `**` does not follow links to folders.
    levels = ["*/" * depth + f"*{SUFFIX}" for depth in range(1, _EMBEDDER_DEPTH + 1)]
    for path in sorted(path for level in levels for path in folder.glob(level)):
        below = path.relative_to(folder).parent
        if below.parts[0] != RUNS and not path.name.startswith("."):
            found[below.as_posix(), path.name.removesuffix(SUFFIX)] = path
    return found


def explainer_of(stem: str) -> str:
    """Return the explainer in a file stem ``{type}_{explainer}``.

    Examples
    --------
    >>> explainer_of("oai_token-act-pair_gpt-4o-mini")
    'gpt-4o-mini'
    """
    for type_ in _TYPES:
        if stem.startswith(type_ + "_"):
            return stem.removeprefix(type_ + "_")
    return stem.rpartition("_")[2]


def model_in_name(histogram: Path) -> str | None:
    """Return Neuronpedia's id of the language model named by a histogram's file name.

    Examples
    --------
    >>> model_in_name(Path("pile_google_gemma-2-9b_res_layer_0_docs50k_cooccurrences.npz"))
    'gemma-2-9b'
    """
    match = _MODEL_IN_NAME.search(histogram.name)
    if match is None:
        return None
    return MODEL_IDS.get(match[1], match[1].lower())
