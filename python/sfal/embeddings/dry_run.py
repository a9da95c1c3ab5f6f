"""What stage 2 would download and store, said beforehand."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from sfal.embeddings.embedders import DEFAULT_EMBEDDER, NEURONPEDIA, resolve_embedder
from sfal.errors import SfalError
from sfal.explanations.driver import holds_own_explanations
from sfal.explanations.neuronpedia import export_bytes
from sfal.io.download_size import Download, model_download
from sfal.io.http import Patience
from sfal.store.layout import source_dir
from sfal.store.targets import ExplainedSource, named_source


def estimate(names: Sequence[str], data_dir: Path, models: Sequence[str] | None) -> Iterator[str]:
    """Lines that say what fetching and embedding the explanations would take; nothing is done.

    Parameters
    ----------
    names : sequence of str
        Sources.
    data_dir : Path
        Root of the data tree.
    models : sequence of str, optional
        Embedders; default: the usual one.
    """
    # One try: an estimate is not worth waiting for a server that does not answer.
    patience = Patience(attempts=1)
    for name in names:
        yield f"explanations of {name}"
        yield f"  to download  {_export(named_source(data_dir, name), data_dir, patience)}"
    for model in dict.fromkeys(models or (DEFAULT_EMBEDDER,)):
        ref = resolve_embedder(model)
        yield f"embeddings by {ref.name}"
        if ref.name == NEURONPEDIA and ref.path is None:
            yield "  to download  nothing more, the vectors are those of Neuronpedia's export"
        else:
            yield f"  to download  {model_download(ref.target, ref.revision)}"
        yield "  to store     4 bytes a feature and dimension: 67 MB for 16,384 features of 1,024"
        yield "  time         not in the figure above: no speed of an embedder is measured beforehand"


def _export(source: ExplainedSource, data_dir: Path, patience: Patience) -> Download:
    if holds_own_explanations(source, data_dir):
        return Download(0, "there are explanations of your own")
    if source.neuronpedia_id is None:
        return Download(None, f"{source.name} has no explanations on Neuronpedia")
    folder = source_dir(data_dir, source.name)
    try:
        n_bytes = export_bytes(source.neuronpedia_id, folder, patience)
    except SfalError as e:
        return Download(None, str(e))
    return Download(n_bytes, "they were fetched before")
