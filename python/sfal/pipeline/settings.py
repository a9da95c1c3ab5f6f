"""Settings of a run of all stages."""

from dataclasses import dataclass, field
from pathlib import Path

from sfal.collect.settings import CollectSettings
from sfal.embeddings.settings import EmbedSettings
from sfal.errors import InvalidInputError
from sfal.explanations.settings import DownloadSettings
from sfal.scoring.settings import ScoreSettings


@dataclass(frozen=True)
class RunSettings:
    """Settings of each stage."""

    collect: CollectSettings = field(default_factory=CollectSettings)
    """Stage 1."""
    download: DownloadSettings = field(default_factory=lambda: DownloadSettings(keep_own=True))
    """Stage 2, first half."""
    embed: EmbedSettings = field(default_factory=EmbedSettings)
    """Stage 2, second half."""
    score: ScoreSettings = field(default_factory=ScoreSettings)
    """Stage 3."""
    counted: bool = False
    """Take what has been counted as it is, whatever the settings of stage 1 say."""
    output: Path | None = None
    """Wide CSV of all scores; None: none is written."""

    def __post_init__(self) -> None:
        if self.collect.shard is not None:
            raise InvalidInputError(
                "a shard cannot be scored on its own",
                hint="count the shards with $do_count and join them with $do_merge first, then "
                "leave out $shard",
            )
