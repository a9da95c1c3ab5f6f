"""How fast text passes: measured by every run, and kept in its manifest for estimates."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sfal.collect.settings import CollectSettings
from sfal.terminal.units import time_text

if TYPE_CHECKING:
    from sfal.collect.model.language_model import LanguageModel

KEY = "speed"
"""Where the manifest keeps it, among its volatile fields."""


@dataclass(frozen=True)
class Speed:
    """Text that passed a model and its SAEs, and the time that this took."""

    device: str
    """What it ran on: a GPU's name, or the CPU and its threads."""
    dtype: str
    """The model's."""
    layers: int
    """Layers that were run."""
    sources: int
    """SAEs that shared the passes."""
    tokens: int = 0
    """Tokens of the documents, cut to the greatest length."""
    seconds: float = 0.0
    """Time from document to window, waiting for the corpus included."""

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds

    def plus(self, tokens: int, seconds: float) -> "Speed":
        """With more text and time."""
        return replace(self, tokens=self.tokens + tokens, seconds=self.seconds + seconds)

    def conditions(self) -> str:
        """Under which it was measured, in words."""
        return (
            f"{self.tokens:,} tokens in {time_text(self.seconds)}, {_count(self.layers, 'layer')}, "
            f"{_count(self.sources, 'SAE')}, {self.dtype} on {self.device}"
        )

    @classmethod
    def of_manifest(cls, volatile: Mapping[str, Any]) -> "Speed | None":
        """What a run measured; None where it has not, or the entry makes no sense."""
        try:
            found = cls(**volatile[KEY])
            return found if found.tokens > 0 and found.seconds > 0 else None
        except (KeyError, TypeError):
            return None


def standing_start(model: "LanguageModel", n_sources: int, settings: CollectSettings) -> Speed:
    """Conditions of a run, before anything has passed."""
    return Speed(
        device_name(settings),
        str(model.metadata["dtype"]),
        int(model.metadata["layers_run"]),
        n_sources,
    )


def device_name(settings: CollectSettings) -> str:
    """The device that will be used, told from others."""
    import torch

    if settings.device == "cpu":
        return f"a CPU with {_count(torch.get_num_threads(), 'thread')}"
    return str(torch.cuda.get_device_name())


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
