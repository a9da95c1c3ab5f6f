"""The reader of each layout that is not SAELens' or an earlier scope's."""

from collections.abc import Callable

from sfal.collect.sae.layouts import (
    batch_topk,
    circuit_tracer,
    dictionary_learning,
    gemma_scope_2,
    open_moss,
    open_sae,
    sparsify,
    torch_file,
)
from sfal.collect.sae.weights import SaeWeights
from sfal.sources.configuration.layouts import Layout

READERS: dict[str, Callable[..., SaeWeights]] = {
    "batch_topk": batch_topk.read,
    "circuit_tracer": circuit_tracer.read,
    "dictionary_learning": dictionary_learning.read,
    "gemma_scope_2": gemma_scope_2.read,
    "open_moss": open_moss.read,
    "open_sae": open_sae.read,
    "sparsify": sparsify.read,
    "torch": torch_file.read,
}
"""By the layout's name; see :data:`sfal.sources.configuration.layouts.LAYOUTS`."""


def read_layout(layout: Layout, fingerprint: dict[str, str], *, decoder: bool) -> SaeWeights:
    """Read an SAE in one of these layouts.

    Parameters
    ----------
    layout : Layout
        Its layout, and the folder or file.
    fingerprint : dict of str to str
        By which it is known.
    decoder : bool
        Whether the decoder's norms are needed.

    Raises
    ------
    ArtifactError
        If a file is missing or damaged, or holds what its library does not write.
    """
    loaded = READERS[layout.name](layout.path, decoder=decoder)
    loaded.fingerprint = fingerprint
    return loaded
