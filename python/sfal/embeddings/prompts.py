"""Prompts: the words that an embedding model expects before each text.

The explanations of a source are compared with each other, so all of them get
the same prompt: the one that a model's authors advise for symmetric tasks, not
that of queries or of documents.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sfal.embeddings.model_settings import settings_for
from sfal.errors import InvalidInputError

MAX_CHARACTERS = 2000
"""Most characters of a prompt."""


@dataclass(frozen=True)
class PromptChoice:
    """Which prompt is requested: a text, the name of one of the model's prompts, or neither."""

    text: str | None = None
    """The prompt itself; empty for none, whatever the model's own default."""
    name: str | None = None
    """Name under which the model's repository keeps it."""

    def __post_init__(self) -> None:
        if self.text is not None and self.name is not None:
            raise InvalidInputError(
                "a prompt is given by its text and by its name",
                hint="give either $prompt or $prompt_name",
            )
        if self.text is not None and len(self.text) > MAX_CHARACTERS:
            raise InvalidInputError(
                f"the prompt has {len(self.text):,} characters; at most {MAX_CHARACTERS:,} are read"
            )

    @property
    def is_given(self) -> bool:
        """Whether a prompt is requested at all."""
        return self.text is not None or self.name is not None

    def known_text(self, model: str) -> str | None:
        """Return the prompt as far as it is known before the model is loaded, or None.

        Parameters
        ----------
        model : str
            Hub id or path of the model, whose family may have a default.
        """
        if self.is_given:
            return self.text
        return settings_for(model).prompt

    def facts(self, model: str, prompts: Mapping[str, str], default: str | None) -> dict[str, Any]:
        """Return the prompt of a loaded model, for the vectors' metadata.

        Parameters
        ----------
        model : str
            Hub id or path of the model.
        prompts : mapping of str to str
            Prompts in the model's repository, by name.
        default : str or None
            Name of the one that the repository applies by default.

        Returns
        -------
        dict
            ``prompt``, unless there is none; ``prompt_name``, if it was
            requested so; ``prompt_default``, if it is the repository's own.

        Raises
        ------
        InvalidInputError
            If the model has no prompt of the requested name.
        """
        if self.name is not None:
            if self.name not in prompts:
                names = ", ".join(sorted(prompts)) or "none at all"
                raise InvalidInputError(
                    f"{model} has no prompt named {self.name}; it has {names}",
                    hint="give one of these as $prompt_name, or the words as $prompt",
                )
            return {"prompt": prompts[self.name], "prompt_name": self.name}
        text = self.known_text(model)
        if text is not None:
            return {"prompt": text} if text else {}
        own = prompts.get(default or "", "")
        return {"prompt": own, "prompt_default": default} if own else {}

    def is_that_of(self, model: str, metadata: Mapping[str, Any]) -> bool:
        """Return whether vectors with this metadata were made with the requested prompt."""
        if self.name is not None:
            return metadata.get("prompt_name") == self.name
        text = self.known_text(model)
        if text is not None:
            return bool(metadata.get("prompt", "") == text)
        return "prompt" not in metadata or "prompt_default" in metadata
