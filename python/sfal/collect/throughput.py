"""How fast text passes, measured by every run and stored in its manifest for estimates."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sfal.terminal.units import time_text

if TYPE_CHECKING:
    from sfal.collect.model.language_model import LanguageModel

KEY = "speed"
"""Its name among the manifest's volatile fields."""


@dataclass(frozen=True)
class Speed:
    """Text that passed a model and its SAEs, and the time it took."""

    device: str
    """A GPU's name, or the CPU and its threads."""
    dtype: str
    """Precision of the model."""
    layers: int
    """Layers run."""
    sources: int
    """SAEs that shared each pass."""
    tokens: int = 0
    """Tokens of the documents, truncated to the maximum length."""
    seconds: float = 0.0
    """Time from document to window, including waiting for the corpus."""

    @property
    def rate(self) -> float:
        """Tokens per second."""
        return self.tokens / self.seconds

    def plus(self, tokens: int, seconds: float) -> "Speed":
        """Add tokens and seconds."""
        return replace(self, tokens=self.tokens + tokens, seconds=self.seconds + seconds)

    def on(self, workers: int) -> "Speed":
        """Return the conditions of several devices of this kind that work at the same time."""
        return replace(self, device=on_several(self.device, workers))

    def conditions(self) -> str:
        """Describe what was measured, and under which conditions."""
        return (
            f"{self.tokens:,} tokens in {time_text(self.seconds)}, {_count(self.layers, 'layer')}, "
            f"{_count(self.sources, 'SAE')}, {self.dtype} on {self.device}"
        )

    @classmethod
    def of_manifest(cls, volatile: Mapping[str, Any]) -> "Speed | None":
        """Return what a run measured; None if it measured nothing, or the entry is invalid."""
        try:
            found = cls(**volatile[KEY])
            return found if found.tokens > 0 and found.seconds > 0 else None
        except (KeyError, TypeError):
            return None


def initial_speed(model: "LanguageModel", n_sources: int) -> Speed:
    """Return the conditions of a run, before any text has passed."""
    return Speed(
        device_name(model.device.type),
        str(model.metadata["dtype"]),
        int(model.metadata["layers_run"]),
        n_sources,
    )


def on_several(device: str, workers: int) -> str:
    """Return the name of several devices of one name, each with a worker."""
    return device if workers == 1 else f"{workers} × {device}"


def device_name(device: str) -> str:
    """Return a device's name, which distinguishes it from others of its kind."""
    import torch

    if device == "cpu":
        return f"a CPU with {_count(torch.get_num_threads(), 'thread')}"
    return str(torch.cuda.get_device_name()) if device == "cuda" else device


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
