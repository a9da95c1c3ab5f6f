"""An estimate of what :func:`sfal.embed_explanations` would download and store."""

from collections.abc import Iterator

from sfal.embeddings.embedders import NEURONPEDIA
from sfal.embeddings.settings import EmbedSettings
from sfal.io.download_size import model_download


def estimate(settings: EmbedSettings) -> Iterator[str]:
    """Yield lines that say what each embedder would download and store; nothing is done.

    Parameters
    ----------
    settings : EmbedSettings
        Embedders.
    """
    for ref in settings.embedders():
        yield f"embeddings by {ref.name}"
        if ref.name == NEURONPEDIA and ref.path is None:
            yield "  to download  nothing more: the vectors are part of Neuronpedia's export"
        else:
            yield f"  to download  {model_download(ref.target, ref.revision)}"
        yield (
            "  to store     4 bytes per feature and dimension: "
            "67 MB for 16,384 features of 1,024 dimensions"
        )
        yield "  time         not part of this estimate: the speed of an embedder is not measured"
