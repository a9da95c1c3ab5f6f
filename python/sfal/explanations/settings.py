"""Settings of the download and the choice of explanations."""

from dataclasses import dataclass, field
from pathlib import Path

from sfal.errors import InvalidInputError
from sfal.explanations.chooser import Preferences
from sfal.io.gzip_lines import ExpansionLimits
from sfal.io.web.http import Patience


@dataclass(frozen=True)
class DownloadSettings:
    """Where explanations come from, and which one of each feature is chosen."""

    explainers: str | tuple[str, ...] | None = None
    """Only explanations by these models, in order of preference. None: ``gpt-4o-mini``, then any
    other."""
    types: str | tuple[str, ...] | None = None
    """Only explanations of these types, in order of preference. None: ``oai_token-act-pair``, then
    any other."""
    explanations_file: Path | None = None
    """Local file to read them from instead of Neuronpedia; for one source only."""
    feature_column: str | None = None
    """Column of that file with the features. None: found by its name, such as ``feature``."""
    label_column: str | None = None
    """Column of that file with the explanations. None: found by its name, such as ``label``."""
    keep_own: bool = False
    """Keep explanations on disk that come from a file or from examples, and download none."""
    patience: Patience = field(default_factory=Patience)
    """Time limits of the network."""
    limits: ExpansionLimits = field(default_factory=ExpansionLimits)
    """Largest size to which a batch may expand."""

    def __post_init__(self) -> None:
        named = self.feature_column if self.label_column is None else self.label_column
        if named is not None and self.explanations_file is None:
            raise InvalidInputError(
                f"a column {named} is named, but no file with explanations",
                hint="name the file with $explanations_file",
            )

    @property
    def preferences(self) -> Preferences:
        """Which of a feature's explanations is chosen."""
        return Preferences.of(self.explainers, self.types)
