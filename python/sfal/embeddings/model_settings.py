"""Settings that embedding models need beyond sentence-transformers' defaults.

To support a model that needs special settings, add an entry to the table.
"""

import re
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ModelSettings:
    """The settings of one model."""

    pooling: str | None = None
    """Pooling with which the model was trained; another one is an error."""
    padding_side: str | None = None
    """Side on which inputs are padded, if it matters."""
    half_on_cuda: bool = False
    """Whether the weights are loaded in bfloat16 on a GPU."""
    needs_code: bool = False
    """Whether the repository's own code must run."""
    ends_with_eos: bool = False
    """Whether the last token must be EOS, which is what is pooled."""
    config: dict[str, Any] = field(default_factory=dict)
    """Changes to the model's configuration."""


_SETTINGS: tuple[tuple[str, ModelSettings], ...] = (
    (
        r"Qwen3-Embedding-.*",
        ModelSettings(pooling="lasttoken", padding_side="left", half_on_cuda=True),
    ),
    (
        # The repository's code attends in both directions; without it quality collapses silently.
        # That code calls a method of the cache that newer transformers lack, hence no cache.
        r"gte-Qwen2-.*",
        ModelSettings(
            pooling="lasttoken",
            half_on_cuda=True,
            needs_code=True,
            ends_with_eos=True,
            config={"use_cache": False},
        ),
    ),
    (r"bilingual-embedding-.*", ModelSettings(pooling="mean", needs_code=True)),
)


def settings_for(model: str) -> ModelSettings:
    """Return the settings for a hub id or folder, found by the last part of its name."""
    last = model.rstrip("/").rpartition("/")[2]
    return next((s for pattern, s in _SETTINGS if re.fullmatch(pattern, last)), ModelSettings())
