"""Names of the folders and files of the data tree.

One folder a source, named by its Neuronpedia id; a further run of the same
source, made with other settings, lies in ``runs/NAME`` below it. Nothing here
touches the disk.
"""

import os
import re
import shlex
from pathlib import Path

from sfal.errors import InvalidInputError

DEFAULT_DATA_DIR = "sfal-data"

MANIFEST = "manifest.json"
OCCURRENCES = "occurrences"
EXAMPLES = "examples.parquet"
EXAMPLES_STATE = "examples-so-far.npz"
EXPLANATIONS = "explanations.parquet"
SCORES = "scores.parquet"
RUNS = "runs"
EXPORT = "export"

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+@=-]*")


def check_name(name: str, what: str) -> str:
    """Return `name` if it is a relative path of plain parts.

    Parameters
    ----------
    name : str
        A name with ``/`` between its parts, such as a source or a hub id.
    what : str
        What the name is, for the message.

    Raises
    ------
    InvalidInputError
        If a part is empty, starts with a dot or a dash, or holds anything
        but letters, digits and ``. _ + @ = -``.
    """
    if not all(_PART.fullmatch(part) for part in name.split("/")):
        raise InvalidInputError(
            f"{what} {name!r} is not usable as a folder name: "
            "give letters, digits and . _ + @ = - only, with / between parts"
        )
    return name


def data_dir_words(data_dir: Path) -> str:
    """What a command that is shown needs behind it, to find the data folder.

    Empty where it is found without: in ``$SFAL_DATA``, or at its usual place.
    """
    usual = Path(os.environ.get("SFAL_DATA") or DEFAULT_DATA_DIR)
    return "" if data_dir == usual else f" --data-dir {shlex.quote(str(data_dir))}"


def source_dir(data_dir: Path, source_name: str, run: str | None = None) -> Path:
    """Folder of a source, or of one of its further runs.

    Parameters
    ----------
    data_dir : Path
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
    folder = data_dir / check_name(source_name, "source")
    if run is None:
        return folder
    if "/" in run:
        raise InvalidInputError(f"run {run!r}: the name of a run has no / in it")
    return folder / RUNS / check_name(run, "run")


def embeddings_path(source_dir: Path, embedder: str, stem: str) -> Path:
    """File of one embedder's vectors, ``<embedder>/<stem>_embeddings.parquet``.

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
    """File name of a histogram, as the published ``run_cooc.py`` writes it.

    Parameters
    ----------
    corpus : str
        Hub id of the corpus (its owner is named) or path of a local one.
    model : str
        Hub id or path of the language model.
    sae_path : str
        Path of the SAE in its repository.
    site : str
        ``res``, ``mlp``, ``att`` …; named for all but ``res``, since the
        published names of the sites of one layer are the same.
    n_docs : int
        Number of documents asked for; whole thousands are shortened.
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
    """Hub ids as they are; of a local path the last part, without its ending."""
    path = Path(name)
    if path.is_absolute() or name.startswith(".") or path.suffix in _LOCAL_ENDINGS:
        return path.resolve().name.split(".")[0]
    return name


_LOCAL_ENDINGS = {".txt", ".jsonl", ".gz", ".zst", ".parquet", ".npz"}
