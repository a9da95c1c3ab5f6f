"""A source on disk: its runs, explanations and embeddings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from sfal.store.embeddings import find_vectors
from sfal.store.folders import find_source_folders, is_source_folder, subfolders
from sfal.store.layout import EXPLANATIONS, RUNS, run_dir, source_dir
from sfal.store.published.layout import FAMILIES, find_pickled_embeddings, model_in_name
from sfal.store.records import SourceRecord
from sfal.store.run_folder import RunFolder

if TYPE_CHECKING:
    import pyarrow as pa

_FAMILY_MODELS = {"gemma": "gemma-2-9b", "llama": "llama3.1-8b"}
"""Models of the published data, for file names that do not say."""


@dataclass(frozen=True)
class SourceFolder(RunFolder):
    """The folder of a source, which is also the folder of its first run.

    A folder need not exist: a source whose explanations are fetched first has
    none yet. What its name and its manifests say is worked out here only.
    """

    root: Path
    """Root of the data tree."""
    name: str
    """Name of the source: its folder below the root."""

    @classmethod
    def open(cls, root: Path, name: str) -> Self:
        """Return the source of a name, on disk or not.

        Parameters
        ----------
        root : Path
            Root of the data tree.
        name : str
            Such as ``gemma-2-2b/0-gemmascope-res-16k``.

        Raises
        ------
        InvalidInputError
            If the name would leave the data tree.
        """
        return cls(source_dir(root, name), root, name)

    @classmethod
    def all(cls, root: Path) -> Iterator[Self]:
        """Find every source of a data tree.

        Parameters
        ----------
        root : Path
            Root of our data tree, of the published one, or of both.

        Yields
        ------
        SourceFolder
            In alphabetical order at each level of the tree.
        """
        for folder in find_source_folders(root):
            yield cls(folder, root, folder.relative_to(root).as_posix())

    @classmethod
    def containing(cls, folder: Path) -> Self | None:
        """Return the source to which a folder, or the folder of a further run, belongs.

        None if the folder holds no run, explanations or histogram. The name is
        that of the manifest, else the last two components of the path.
        """
        if not is_source_folder(folder):
            return None
        path = folder.resolve()
        if path.parent.name == RUNS:
            path = path.parent.parent
        depth = 2
        manifest = RunFolder(path).readable_manifest
        name = manifest.source.name if manifest is not None else None
        if name is not None and path.parts[-name.count("/") - 1 :] == tuple(name.split("/")):
            depth = name.count("/") + 1
        root = path.parents[min(depth, len(path.parents)) - 1]
        return cls(path, root, path.relative_to(root).as_posix())

    @property
    def layout(self) -> Literal["ours", "published"]:
        """Whether the source is part of our data tree or of the published data."""
        return "published" if self._family is not None else "ours"

    @property
    def runs(self) -> tuple[RunFolder, ...]:
        """Further runs with other settings, in alphabetical order."""
        return tuple(map(RunFolder, subfolders(self.path / RUNS)))

    @property
    def all_runs(self) -> tuple[RunFolder, ...]:
        """The first run and the further ones; the first may not have been started."""
        return (self, *self.runs)

    @property
    def is_counted(self) -> bool:
        """Whether any run has been started, or holds a histogram; nothing is read."""
        return any(run.has_counts for run in self.all_runs)

    def run(self, name: str | None) -> RunFolder:
        """Return a further run by its name, or the first one.

        Raises
        ------
        InvalidInputError
            If the name would leave the source's folder.
        """
        return self if name is None else RunFolder(run_dir(self.path, name))

    @cached_property
    def record(self) -> SourceRecord | None:
        """What the first readable manifest says about the source; None if there is none."""
        manifests = (run.readable_manifest for run in self.all_runs)
        return next((manifest.source for manifest in manifests if manifest is not None), None)

    @property
    def model(self) -> str:
        """Neuronpedia's id of the language model, or the name of its folder."""
        if self._family is not None:
            histograms = self.histograms
            known = model_in_name(histograms[0]) if histograms else None
            return known or _FAMILY_MODELS[self._family]
        if "/" in self.name or self.record is None or self.record.model is None:
            return self.name.split("/")[0]
        return self.record.model

    @property
    def model_names(self) -> frozenset[str]:
        """Every name of the language model: its id, its folder, its family, its hub id."""
        names = {self.model, self.name.split("/")[0]}
        if self._family is not None:
            names.add(self._family)
        if self.record is not None and self.record.model is not None:
            names.add(self.record.model)
        return frozenset(names)

    @property
    def layer(self) -> int | None:
        """The layer; None if neither a manifest nor the name says."""
        if self.record is not None and self.record.layer is not None:
            return self.record.layer
        number = re.match(r"(\d+)(?:-|$)", self.path.name)
        return int(number[1]) if number else None

    @property
    def neuronpedia_id(self) -> str | None:
        """``model/source`` on Neuronpedia; None if it is not there.

        Without a manifest the name itself counts if it looks like such an id.
        """
        if self.record is not None:
            return self.record.neuronpedia_id
        looks_like_id = self.layout == "ours" and self.name.count("/") == 1
        return self.name if looks_like_id else None

    @property
    def n_features(self) -> int | None:
        """Width of the SAE; None if no manifest says."""
        manifests = (run.readable_manifest for run in self.all_runs)
        return next((m.n_features for m in manifests if m is not None), None)

    @property
    def has_explanations(self) -> bool:
        """Whether explanations have been chosen; they are not read."""
        return (self.path / EXPLANATIONS).exists()

    def explanations(self) -> "pa.Table":
        """Read the explanations; see :func:`sfal.store.explanations.read_explanations`."""
        from sfal.store.explanations import read_explanations

        return read_explanations(self.path)

    @property
    def embeddings(self) -> dict[tuple[str, str], Path]:
        """Files of embeddings by (embedder, stem), in alphabetical order.

        Ours replace published ones of the same name. The embedder is a hub id, ``local/NAME`` or ``neuronpedia``, the stem
        ``{type}_{explainer}`` or ``mixed``.
        """
        found = find_pickled_embeddings(self.path) | find_vectors(self.path)
        return dict(sorted(found.items()))

    @property
    def _family(self) -> str | None:
        """Family of models in the published data; None in our tree."""
        return FAMILIES.get(self.path.parent.name)
