"""A source: a language model, a site in it, and an SAE on that site."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from sfal.errors import Note
from sfal.sources.configuration.training import Training

Site = Literal[
    "res",
    "res_pre",
    "res_mid",
    "mlp",
    "att",
    "attn_out",
    "mlp_in",
    "ln1",
    "ln2",
    "mlp_input",
    "neurons",
    "embed",
    "custom",
]
"""Where in a layer an SAE reads its input.

``res`` is the residual stream after the layer, ``res_pre`` before it, and
``res_mid`` between attention and MLP; ``mlp`` what the MLP adds to the stream,
``att`` the concatenated head outputs before the output projection,
``attn_out`` what attention adds to the stream. ``mlp_in`` is the stream that
the MLP's norm reads, ``ln2`` that stream normalised but not yet multiplied by
the norm's gain, ``ln1`` the same for attention's norm, ``mlp_input`` what the
MLP takes after norm and gain, and ``neurons`` the input of its last
projection. ``embed`` is the token embeddings as they enter the stream, without
positions; ``custom`` is a module given by its path.
"""
SITES: tuple[str, ...] = get_args(Site)
"""Every site."""


@dataclass(frozen=True)
class SaeRef:
    """Where the weights of an SAE are, and in which layout."""

    kind: Literal["gemma_scope", "llama_scope", "saelens", "repository", "local"]
    """Layout: Gemma Scope npz, Llama Scope safetensors, anything SAELens loads, a folder of a hub
    repository in SAELens' layout, a local file or folder."""
    repo_id: str | None = None
    """Repository on the hub."""
    path: str | None = None
    """Folder inside the repository, or the local file or folder."""
    release: str | None = None
    """SAELens release, if there is one."""
    sae_id: str | None = None
    """SAELens id inside the release."""
    revision: str | None = None
    """Commit, branch or tag of the repository."""

    @property
    def published_path(self) -> str:
        """The SAE's path as the published scripts put it into file names."""
        if self.kind == "llama_scope":
            return f"{self.path}/checkpoints/final.safetensors"
        if self.kind == "local" and self.path is not None:
            return Path(self.path).resolve().name.removesuffix(".npz")
        return self.path or self.sae_id or "sae"


@dataclass(frozen=True)
class Source:
    """A language model, a site in it, and an SAE on that site."""

    name: str
    """Folder below the data folder: the Neuronpedia id if there is one."""
    model: str
    """Hub id or local folder of the language model."""
    site: Site
    """Where in the layer the SAE reads."""
    layer: int
    """Layer, from 0."""
    sae: SaeRef
    """The SAE."""
    neuronpedia_id: str | None = None
    """``model/source`` on Neuronpedia, if exactly this SAE is there."""
    hook_module: str | None = None
    """Module path for site ``custom``, such as ``model.layers.3.output``."""
    prepend_bos: bool | None = None
    """Whether the SAE was trained with BOS in front; None: unknown, which means yes."""
    training: Training = field(default_factory=Training, compare=False)
    """How the SAE's inputs were made in its training, as its configuration says."""
    notes: tuple[Note, ...] = field(default=(), compare=False)
    """What the user should know about the choice of this SAE."""
