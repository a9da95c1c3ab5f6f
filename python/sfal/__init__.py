"""SFAL: semantic-functional alignment scores for sparse autoencoder features.

Every name below is imported when it is first used, so ``import sfal`` is fast.

Your own activations and explanations, as arrays and Arrow tables:

- :func:`count_features`, :func:`count_encoded`: find which features occur in which windows
- :func:`embed_texts`: embed explanations
- :func:`score_features`: score every feature, one row each
- :func:`compare`: tell whether two or more sets of scores differ
- :func:`validate`: correlate scores with votes of people or models
- :func:`controls`: plant errors in the labels, and see whether scores find them

The data tree that the command line uses:

- :func:`collect` with :class:`CollectSettings`: count features of the sources in
  :mod:`sfal.sources` (stage 1)
- :func:`import_firings` with :class:`ImportSettings`: store firings that others made
- :func:`merge_runs`: join separately counted runs
- :func:`read_occurrences`: read what was counted
- :func:`download_explanations` with :class:`DownloadSettings`, :func:`explain_features`,
  :func:`embed_explanations` with :class:`EmbedSettings`, :func:`import_embeddings`: explanations
  and their embeddings (stage 2)
- :func:`score`: score sources on disk (stage 3)
- :func:`run` with :class:`RunSettings`: run all stages for some sources
- :func:`push`, :func:`pull`: share what was counted through the Hugging Face hub
- :func:`verify`: check the files of a tree
- :func:`view`: show scores, labels and neighbours in a notebook

The kernels: :class:`Occurrences`, :class:`Histogram`, :func:`phi`,
:func:`functional_neighbours`, :func:`semantic_neighbours`,
:func:`top_neighbours`, :func:`ndcg`, :func:`chance`, :func:`chance_law`, :func:`label_fit`.

The errors that they raise: :mod:`sfal.errors`. The version: ``sfal.__version__``.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sfal import errors, sources
    from sfal._core import (
        Histogram,
        Occurrences,
        chance,
        chance_law,
        functional_neighbours,
        label_fit,
        ndcg,
        phi,
        semantic_neighbours,
        top_neighbours,
    )
    from sfal.api.count import count_encoded, count_features
    from sfal.api.embed import embed_texts
    from sfal.api.score import score, score_features
    from sfal.collect.driver import collect
    from sfal.collect.imported.driver import import_firings
    from sfal.collect.imported.settings import ImportSettings
    from sfal.collect.merge import merge_runs
    from sfal.collect.settings import CollectSettings
    from sfal.embeddings.driver import embed_explanations
    from sfal.embeddings.import_vectors import import_embeddings
    from sfal.embeddings.settings import EmbedSettings
    from sfal.explanations.driver import download_explanations, explain_features
    from sfal.explanations.settings import DownloadSettings
    from sfal.pipeline.run import run
    from sfal.pipeline.settings import RunSettings
    from sfal.report.notebook.view import view
    from sfal.sharing.pull import pull
    from sfal.sharing.push import push
    from sfal.stats.compare import compare
    from sfal.stats.controls import controls
    from sfal.stats.validate import validate
    from sfal.store.occurrences import read_occurrences
    from sfal.store.verify import verify_tree as verify

    __version__: str

__all__ = [
    "CollectSettings",
    "DownloadSettings",
    "EmbedSettings",
    "Histogram",
    "ImportSettings",
    "Occurrences",
    "RunSettings",
    "chance",
    "chance_law",
    "collect",
    "compare",
    "controls",
    "count_encoded",
    "count_features",
    "download_explanations",
    "embed_explanations",
    "embed_texts",
    "errors",
    "explain_features",
    "functional_neighbours",
    "import_embeddings",
    "import_firings",
    "label_fit",
    "merge_runs",
    "ndcg",
    "phi",
    "pull",
    "push",
    "read_occurrences",
    "run",
    "score",
    "score_features",
    "semantic_neighbours",
    "sources",
    "top_neighbours",
    "validate",
    "verify",
    "view",
]

# Where a name is defined, `module` or `module:other_name`; the others are in `_core`.
# `import sfal` must not import numpy, torch or pyarrow, since the command line starts with it.
_MODULES = {
    "CollectSettings": "sfal.collect.settings",
    "DownloadSettings": "sfal.explanations.settings",
    "EmbedSettings": "sfal.embeddings.settings",
    "ImportSettings": "sfal.collect.imported.settings",
    "RunSettings": "sfal.pipeline.settings",
    "compare": "sfal.stats.compare",
    "controls": "sfal.stats.controls",
    "count_encoded": "sfal.api.count",
    "count_features": "sfal.api.count",
    "download_explanations": "sfal.explanations.driver",
    "embed_explanations": "sfal.embeddings.driver",
    "embed_texts": "sfal.api.embed",
    "explain_features": "sfal.explanations.driver",
    "import_embeddings": "sfal.embeddings.import_vectors",
    "import_firings": "sfal.collect.imported.driver",
    "merge_runs": "sfal.collect.merge",
    "pull": "sfal.sharing.pull",
    "push": "sfal.sharing.push",
    "read_occurrences": "sfal.store.occurrences",
    "run": "sfal.pipeline.run",
    "score": "sfal.api.score",
    "score_features": "sfal.api.score",
    "validate": "sfal.stats.validate",
    "verify": "sfal.store.verify:verify_tree",
    "view": "sfal.report.notebook.view",
}
_SUBMODULES = ("collect", "errors", "sources")  # `collect` is callable

# Hidden from type checkers: they assume that a module with `__getattr__` has every name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used."""
        from importlib import import_module, metadata

        if name == "__version__":
            return metadata.version("sfal")
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name in _SUBMODULES:
            return import_module(f"{__name__}.{name}")
        module, _, attribute = _MODULES.get(name, "sfal._core").partition(":")
        value: object = getattr(import_module(module), attribute or name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
