"""Names of the folders and files of the data tree.

Each source has one folder, named by its Neuronpedia id; a further run of the
same source, made with other settings, is in ``runs/NAME`` below it. Nothing
here touches the disk.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sfal.errors import InvalidInputError

DEFAULT_DATA_DIR = "sfal-data"

MANIFEST = "manifest.json"
OCCURRENCES = "occurrences"
EXAMPLES = "examples.parquet"
EXAMPLES_STATE = "examples-so-far.npz"
EXPLANATIONS = "explanations.parquet"
SCORES = "scores.parquet"
REPLICATES = "replicates.parquet"
CONTROLS = "controls.json"
SENSITIVITY = "sensitivity.parquet"
RUNS = "runs"
EXPORT = "export"

_COMPONENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+@=-]*")
_PART_NAME = re.compile(r"part-(\d{6,})(?:-to-(\d+))?\.parquet")


@dataclass(frozen=True)
class PartName:
    """File name of a part of a run: its number, and whether it is a checkpoint.

    A checkpoint is an unfinished part, written early so that a stopped run
    loses little; the name of its last state says where it stops. The finished
    part of the same number has another name, so that the checkpoint stays
    valid until the manifest names its successor.

    Examples
    --------
    >>> str(PartName(3)), str(PartName(3, checkpoint_stop=512))
    ('part-000003.parquet', 'part-000003-to-512.parquet')
    >>> PartName.parse("part-000003-to-512.parquet")
    PartName(number=3, checkpoint_stop=512)
    """

    number: int
    """Number of the part, from 0."""
    checkpoint_stop: int | None = None
    """Ordinal after a checkpoint's last document; None for a finished part."""

    def __str__(self) -> str:
        checkpoint = "" if self.checkpoint_stop is None else f"-to-{self.checkpoint_stop}"
        return f"part-{self.number:06d}{checkpoint}.parquet"

    @classmethod
    def parse(cls, file_name: str) -> Self | None:
        """Read a file name; return None if it is not that of a part."""
        match = _PART_NAME.fullmatch(file_name)
        if match is None:
            return None
        return cls(int(match[1]), None if match[2] is None else int(match[2]))


def check_name(name: str, what: str) -> str:
    """Return `name` if it is a relative path of plain components.

    Parameters
    ----------
    name : str
        A name with ``/`` between its components, such as a source or a hub id.
    what : str
        What the name is, for the message.

    Raises
    ------
    InvalidInputError
        If a component is empty, starts with a dot or a dash, or contains
        anything but letters, digits and ``. _ + @ = -``.
    """
    if not all(_COMPONENT.fullmatch(component) for component in name.split("/")):
        raise InvalidInputError(
            f"{what} {name!r} cannot be a folder name",
            hint="use only letters, digits and . _ + @ = -, with / between components",
        )
    return name


def source_dir(root: Path, source_name: str, run: str | None = None) -> Path:
    """Return the folder of a source, or of one of its further runs.

    Parameters
    ----------
    root : Path
        Root of the data tree.
    source_name : str
        Name of the source, such as ``gemma-2-2b/0-gemmascope-res-16k``.
    run : str, optional
        Name of a further run with other settings.

    Raises
    ------
    InvalidInputError
        If a name would leave the data tree.
    """
    folder = root / check_name(source_name, "source")
    return folder if run is None else run_dir(folder, run)


def run_dir(source_dir: Path, run: str) -> Path:
    """Return the folder of a further run of a source.

    Raises
    ------
    InvalidInputError
        If the name would leave the source's folder.
    """
    if "/" in run:
        raise InvalidInputError(f"run {run!r}: the name of a run must not contain /")
    return source_dir / RUNS / check_name(run, "run")


def embeddings_path(source_dir: Path, embedder: str, stem: str) -> Path:
    """Return the file of one embedder's vectors, ``<embedder>/<stem>_embeddings.parquet``.

    Parameters
    ----------
    source_dir : Path
        Folder of the source.
    embedder : str
        Hub id of the embedder, or ``local/NAME``.
    stem : str
        ``{type}_{explainer}`` of the explanations, or ``mixed``.
    """
    plain = check_name(stem.replace("/", "-"), "explanation type and explainer")
    return source_dir / check_name(embedder, "embedder") / f"{plain}_embeddings.parquet"


def histogram_name(
    corpus: str, model: str, sae_path: str, site: str, n_docs: int, window_size: int
) -> str:
    """Return the file name of a histogram, as the published ``run_cooc.py`` writes it.

    Parameters
    ----------
    corpus : str
        Hub id of the corpus (the file name has its owner), or path of a local one.
    model : str
        Hub id or path of the language model.
    sae_path : str
        Path of the SAE in its repository.
    site : str
        ``res``, ``mlp``, ``att`` …; part of the name for all but ``res``,
        because the published names of the sites of one layer are the same.
    n_docs : int
        Number of documents requested; whole thousands are shortened.
    window_size : int
        Tokens per window.

    Examples
    --------
    >>> histogram_name("monology/pile-uncopyrighted", "google/gemma-2-2b",
    ...                "layer_0/width_16k/average_l0_105", "res", 10_000, 256)
    'monology_google_gemma-2-2b_layer_0_width_16k_average_l0_105_docs10k_keq256_cooccurrences.npz'
    """
    docs = f"{n_docs // 1000}k" if n_docs >= 1000 and n_docs % 1000 == 0 else str(n_docs)
    owner = _plain(corpus).split("/")[0].lower()
    parts = [owner, _plain(model)] + ([] if site == "res" else [site]) + [_plain(sae_path)]
    stem = "_".join(part.replace("/", "_") for part in parts)
    return f"{stem}_docs{docs}_keq{window_size}_cooccurrences.npz"


def _plain(name: str) -> str:
    """Keep a hub id as it is; reduce a local path to its last component without its ending."""
    path = Path(name)
    if path.is_absolute() or name.startswith(".") or path.suffix in _LOCAL_ENDINGS:
        return path.resolve().name.split(".")[0]
    return name


_LOCAL_ENDINGS = {
    *(".txt", ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".gz", ".zst"),
    *(".parquet", ".arrow", ".npz"),
}
