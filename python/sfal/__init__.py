"""SFAL: semantic-functional alignment scores for sparse autoencoder features.

The stages as functions over arrays and Arrow tables; each name is imported
when it is first used. From activations of one's own:

- :func:`count_features`, :func:`count_encoded`: which features occur in which window
- :func:`embed_texts`: explanations as vectors
- :func:`score_features`: the scores, a row a feature

The kernels below them: :class:`Occurrences`, :class:`Histogram`, :func:`phi`,
:func:`functional_neighbours`, :func:`semantic_neighbours`,
:func:`top_neighbours`, :func:`ndcg`, :func:`chance`. The data tree of the
command line: :func:`collect` with :class:`CollectSettings` and the sources of
:mod:`sfal.sources`, :func:`read_occurrences`, :func:`score`. What they raise:
:mod:`sfal.errors`. The package's version: ``sfal.__version__``.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sfal import errors, sources
    from sfal._core import (
        Histogram,
        Occurrences,
        chance,
        functional_neighbours,
        ndcg,
        phi,
        semantic_neighbours,
        top_neighbours,
    )
    from sfal.api.count import count_encoded, count_features
    from sfal.api.embed import embed_texts
    from sfal.api.score import score, score_features
    from sfal.collect.driver import collect
    from sfal.collect.settings import CollectSettings
    from sfal.store.parts import read_occurrences

    __version__: str

__all__ = [
    "CollectSettings",
    "Histogram",
    "Occurrences",
    "chance",
    "collect",
    "count_encoded",
    "count_features",
    "embed_texts",
    "errors",
    "functional_neighbours",
    "ndcg",
    "phi",
    "read_occurrences",
    "score",
    "score_features",
    "semantic_neighbours",
    "sources",
    "top_neighbours",
]

# `import sfal` must stay free of numpy, torch and pyarrow: the command line starts with it.
_MODULES = {
    "CollectSettings": "sfal.collect.settings",
    "count_encoded": "sfal.api.count",
    "count_features": "sfal.api.count",
    "embed_texts": "sfal.api.embed",
    "read_occurrences": "sfal.store.parts",
    "score": "sfal.api.score",
    "score_features": "sfal.api.score",
}
_SUBMODULES = ("collect", "errors", "sources")  # `collect` is a package that can be called

# Out of type checkers' sight: to them a module with this has every name there can be.
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
        value: object = getattr(import_module(_MODULES.get(name, "sfal._core")), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
