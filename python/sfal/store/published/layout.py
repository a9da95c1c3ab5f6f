"""The published data layout: ``{family folder}/{layer}-…/`` with ``.npz`` and ``.pkl`` files."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sfal.errors import ArtifactError
from sfal.store.layout import RUNS
from sfal.store.published.frames import Frame, read_frame
from sfal.store.published.histogram import PATTERN

FAMILIES = {"gemmascope-res-16k": "gemma", "Llama3_1-8B-Base-LXR-8x": "llama"}
"""Family of models by its folder in the published data."""

SUFFIX = "_embeddings.pkl"
"""Ending of the published embeddings' file names."""

MODEL_IDS = {"Llama-3.1-8B": "llama3.1-8b"}
"""Neuronpedia ids of language models, where they are not the hub's name in lower case."""

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


@dataclass(frozen=True)
class PublishedEmbeddings:
    """What a published ``.pkl`` of embeddings holds."""

    vectors: NDArray[np.float32]
    """Shape (n_features, D), zero for features that are not explained."""
    explanations: dict[int, str]
    """Explanations by feature, plain text."""
    source_ids: frozenset[str]
    """Neuronpedia's names of the sources that the records are of, such as
    ``0-gemmascope-res-16k``; empty where the file does not say."""


def find_histograms(folder: Path) -> list[Path]:
    """Histograms in a folder, ours or published, in alphabetical order."""
    return sorted(p for p in folder.glob(PATTERN) if not p.name.startswith("."))


def find_pickled_embeddings(folder: Path) -> dict[tuple[str, str], Path]:
    """Published embeddings below a folder.

    Returns
    -------
    dict of (embedder, stem) to Path
        In alphabetical order; the stem is ``{type}_{explainer}``.
    """
    found: dict[tuple[str, str], Path] = {}
    # Level by level and not `**`, which does not look into linked folders.
    levels = ["*/" * depth + f"*{SUFFIX}" for depth in range(1, _EMBEDDER_DEPTH + 1)]
    for path in sorted(path for level in levels for path in folder.glob(level)):
        below = path.relative_to(folder).parent
        if below.parts[0] != RUNS and not path.name.startswith("."):
            found[below.as_posix(), path.name.removesuffix(SUFFIX)] = path
    return found


def explainer_of(stem: str) -> str:
    """Explainer in a file stem ``{type}_{explainer}``.

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
    """Neuronpedia's id of the language model that a histogram's file name holds.

    Examples
    --------
    >>> model_in_name(Path("pile_google_gemma-2-9b_res_layer_0_docs50k_cooccurrences.npz"))
    'gemma-2-9b'
    """
    match = _MODEL_IN_NAME.search(histogram.name)
    if match is None:
        return None
    return MODEL_IDS.get(match[1], match[1].lower())


def read_pickled_embeddings(path: Path, n_features: int) -> PublishedEmbeddings:
    """Read published embeddings, as data only.

    Parameters
    ----------
    path : Path
        A pickled pandas frame with columns index and embedding, and the
        explanation in true_description or description.
    n_features : int
        Width of the SAE.

    Raises
    ------
    ArtifactError
        If the file holds anything but such a frame, a column is missing, a
        feature is not of the SAE or comes twice, or a vector is missing or not
        finite.
    """
    frame = read_frame(path)
    missing = [name for name in ("index", "embedding") if name not in frame.names]
    if missing:
        raise ArtifactError(
            f"{path} has no column {' and no column '.join(missing)}; "
            f"its columns are {', '.join(frame.names)}"
        )
    index = frame.integers("index")
    _check_features(path, index, n_features)
    vectors = frame.vectors("embedding", index, n_features)
    # A NaN or an infinity anywhere shows in the extremes, without an array of truth values.
    if not (np.isfinite(vectors.max()) and np.isfinite(vectors.min())):
        first = int(np.isfinite(vectors).all(axis=1).argmin())
        raise ArtifactError(f"{path}: the vector of feature {first} is not finite")
    texts = dict(zip(index.tolist(), _texts(frame), strict=True))
    return PublishedEmbeddings(vectors, texts, _source_ids(frame))


def _check_features(path: Path, index: NDArray[np.int64], n_features: int) -> None:
    if len(index) == 0:
        raise ArtifactError(f"{path} holds no embedding")
    if index.min() < 0:
        raise ArtifactError(f"{path}: {index.min()} is no index of a feature")
    if index.max() >= n_features:
        raise ArtifactError(wrong_width(path, int(index.max()), n_features))
    times = np.bincount(index)
    if times.max() > 1:
        raise ArtifactError(f"{path}: feature {int((times > 1).argmax())} comes twice")


def wrong_width(path: Path, feature: int, n_features: int) -> str:
    """Say that embeddings are of a wider SAE than the counts."""
    return (
        f"{path} explains feature {feature}, the counts have {n_features} features; "
        "they are of different SAEs"
    )


def _texts(frame: Frame) -> list[str]:
    """Explanations as plain text: the one embedded, or those that the record lists."""
    chosen: list[object] = [None] * frame.n_rows
    for name in ("true_description", "description"):
        if name in frame.names:
            found = frame.values(name)
            chosen = [b if a is None else a for a, b in zip(chosen, found, strict=True)]
    return [_plain(value) for value in chosen]


def _plain(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(_plain(part) for part in value if part is not None)
    return "" if value is None else str(value).strip()


def _source_ids(frame: Frame) -> frozenset[str]:
    if "layer" not in frame.names:
        return frozenset()
    ids = (value for value in frame.values("layer") if isinstance(value, str))
    return frozenset(value for value in ids if re.match(r"\d+-\D", value))
