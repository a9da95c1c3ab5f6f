"""Settings of the embedding of explanations."""

from dataclasses import dataclass

from sfal.collect.executors.placement import Placement
from sfal.embeddings.embedders import DEFAULT_EMBEDDER, EmbedderRef, resolve_embedder
from sfal.embeddings.prompts import PromptChoice
from sfal.errors import InvalidInputError
from sfal.explanations.chooser import Preferences, names_of
from sfal.explanations.label_audit import check_leaks


@dataclass(frozen=True)
class EmbedSettings(Placement):
    """Which embedders embed which explanations, and how."""

    embedding_models: str | tuple[str, ...] = (DEFAULT_EMBEDDER,)
    """Hub ids, folders with a sentence-transformers model, or ``neuronpedia`` for the vectors of
    Neuronpedia's export."""
    embedding_name: str | None = None
    """Name of the one model, a folder, instead of ``local/FOLDER``."""
    revision: str | None = None
    """Commit, branch or tag of hub models."""
    trust_remote_code: bool = False
    """Whether Python code in a model's repository may run."""
    batch_size: int = 32
    """Texts per batch."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps`` …"""
    explainers: str | tuple[str, ...] | None = None
    """Only explanations by these models, in order of preference; None: those that were chosen."""
    types: str | tuple[str, ...] | None = None
    """Only explanations of these types, in order of preference; None: those that were chosen."""
    prompt: str | None = None
    """Words before each text, empty for none. None: what the model's authors advise for symmetric
    tasks, if anything."""
    prompt_name: str | None = None
    """Instead of `prompt`: its name in the model's repository."""
    leaks: str = "drop"
    """``drop`` labels that are the explainer's reasoning or prompt, which then have no vector, or
    ``keep`` them; see :mod:`sfal.explanations.label_audit`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        n_models = len(self._models)
        if self.embedding_name is not None and n_models != 1:
            raise InvalidInputError(
                f"the name {self.embedding_name} is for one model, but {n_models} are given",
                hint="give one $embedding_models",
            )
        check_leaks(self.leaks)
        PromptChoice(self.prompt, self.prompt_name)
        if self.batch_size < 1:
            raise InvalidInputError(f"batch_size is {self.batch_size}, but must be at least 1")

    @property
    def _models(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(names_of(self.embedding_models) or ()))

    @property
    def preferences(self) -> Preferences:
        """Which of a feature's explanations is embedded."""
        return Preferences.of(self.explainers, self.types)

    def embedders(self) -> list[EmbedderRef]:
        """Return the embedders, each once, not loaded.

        Raises
        ------
        InvalidInputError
            If there is none, or one of them is a folder without a model.
        """
        if not self._models:
            raise InvalidInputError("no embedder is given", hint="name one as $embedding_models")
        prompt = PromptChoice(self.prompt, self.prompt_name)
        return [
            resolve_embedder(
                model, self.embedding_name, self.revision, self.trust_remote_code, prompt
            )
            for model in self._models
        ]
