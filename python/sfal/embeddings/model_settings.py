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
    prompt: str | None = None
    """Words before each text that the authors advise for symmetric tasks, in which all texts are
    of one kind; empty: none. None: whatever the model's repository applies by default."""


_RETRIEVE = "Instruct: Retrieve semantically similar text.\nQuery: "
"""Prompt of the E5 models that follow instructions, for semantic similarity."""


_SETTINGS: tuple[tuple[str, ModelSettings], ...] = (
    (
        r"Qwen3-Embedding-.*",
        ModelSettings(pooling="lasttoken", padding_side="left", half_on_cuda=True, prompt=""),
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
            prompt="",
        ),
    ),
    (r"bilingual-embedding-.*", ModelSettings(pooling="mean", needs_code=True)),
    # The card: "query: " for symmetric tasks, and for embeddings used as features.
    (r"(?:multilingual-)?e5-(?:small|base|large)(?:-v2)?", ModelSettings(prompt="query: ")),
    (r"(?:multilingual-e5-large|e5-mistral-7b)-instruct", ModelSettings(prompt=_RETRIEVE)),
    (r"stella_en_.*", ModelSettings(prompt=_RETRIEVE)),
    # The card: every text must begin with the name of a task.
    (r"nomic-embed-text-v.*", ModelSettings(prompt="clustering: ")),
    (
        r"instructor-(?:base|large|xl)",
        ModelSettings(prompt="Represent the sentence for clustering: "),
    ),
    (r"embeddinggemma-.*", ModelSettings(prompt="task: sentence similarity | query: ")),
    # Their prompts are for the queries of a retrieval only.
    (r"bge-.*|gte-.*|mxbai-embed-.*|snowflake-arctic-embed-.*|UAE-.*", ModelSettings(prompt="")),
)


def settings_for(model: str) -> ModelSettings:
    """Return the settings for a hub id or folder, found by the last part of its name."""
    last = model.rstrip("/").rpartition("/")[2]
    return next((s for pattern, s in _SETTINGS if re.fullmatch(pattern, last)), ModelSettings())
