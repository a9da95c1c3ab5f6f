"""Sources whose explanations are wanted: named, of a preset, or on disk."""

from dataclasses import dataclass
from pathlib import Path

from sfal.store.source_folder import SourceFolder


@dataclass(frozen=True)
class ExplainedSource:
    """A source whose explanations are wanted."""

    name: str
    """Folder below the data folder."""
    neuronpedia_id: str | None
    """``model/source`` on Neuronpedia, if it is there."""
    n_features: int | None = None
    """Features of the SAE, if a run on disk says it."""


def named_source(data_dir: Path, name: str, neuronpedia_id: str | None = None) -> ExplainedSource:
    """Return the source of a name, with what a run of it on disk says."""
    source = SourceFolder.open(data_dir, name)
    return ExplainedSource(name, neuronpedia_id or source.neuronpedia_id, source.n_features)


def sources_on_disk(data_dir: Path) -> list[str]:
    """Return the names of our sources in a data tree, in order."""
    return sorted(s.name for s in SourceFolder.all(data_dir) if s.layout == "ours")
