"""One run of a source on disk."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sfal.errors import ArtifactError, SfalError
from sfal.store.layout import SCORES
from sfal.store.manifest import Manifest, has_manifest
from sfal.store.published.layout import find_histograms

if TYPE_CHECKING:
    from sfal._core import Occurrences


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run: its manifest, its counts, its scores.

    Nothing is read before it is needed. The manifest is read once; open the
    folder again after another process has written to it.
    """

    path: Path
    """The folder; it need not exist."""

    @property
    def is_started(self) -> bool:
        """Whether a run has been started in the folder."""
        return has_manifest(self.path)

    @cached_property
    def manifest(self) -> Manifest | None:
        """The manifest; None if no run has been started.

        Raises
        ------
        ArtifactError
            If it is damaged or has another format.
        """
        return Manifest.load(self.path) if self.is_started else None

    @cached_property
    def readable_manifest(self) -> Manifest | None:
        """The manifest; None also if it cannot be read, which is reported where it is needed."""
        try:
            return self.manifest
        except SfalError:
            return None

    @property
    def histograms(self) -> list[Path]:
        """Histograms in the folder, ours or published, in alphabetical order."""
        return find_histograms(self.path)

    @property
    def histogram(self) -> Path | None:
        """The histogram in the folder; None if there is none.

        Raises
        ------
        ArtifactError
            If there are several, since nothing says which one counts.
        """
        found = self.histograms
        if len(found) > 1:
            raise ArtifactError(
                f"{self.path} holds {len(found)} histograms, {' and '.join(p.name for p in found)}",
                hint="leave one of them there",
            )
        return found[0] if found else None

    @property
    def has_counts(self) -> bool:
        """Whether the folder holds occurrences or a histogram; neither is read."""
        return self.is_started or bool(self.histograms)

    def occurrences(self) -> "Occurrences":
        """Read the occurrences, bit-packed, in the order of the corpus.

        Raises
        ------
        MissingError
            If no run has been started.
        ArtifactError
            If the manifest or a part is missing or damaged.
        """
        from sfal.store.occurrences import read_occurrences

        return read_occurrences(self.path)

    @property
    def scores(self) -> Path | None:
        """The file of scores; None if the run has not been scored."""
        path = self.path / SCORES
        return path if path.exists() else None
