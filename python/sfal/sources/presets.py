"""Defaults for Gemma Scope and Llama Scope."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """Defaults for a family of models, used unless others are requested."""

    model: str
    """Hub id of the language model."""
    corpora: tuple[str, ...]
    """Hub ids of corpora, the preferred one first; the others are used where it is missing."""
    layers: dict[str, tuple[int, ...]]
    """Layers by the size in the model's name; those of 9b and Llama are the paper's."""
    sites: tuple[str, ...] = ("res",)
    """Sites of the SAEs."""

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models of every size, in lower case and without their owner."""
        stem = self.model.rpartition("/")[2].lower().rpartition("-")[0]
        return tuple(f"{stem}-{size}" for size in self.layers)


PRESETS = {
    "gemma": Preset(
        model="google/gemma-2-2b",
        corpora=("monology/pile-uncopyrighted", "DKYoon/SlimPajama-6B"),
        layers={
            "2b": (0, 5, 10, 15, 25),
            "9b": (0, 8, 17, 25, 41),
            "9b-it": (9, 20, 31),
            "27b": (10, 22, 34),
        },
    ),
    "llama": Preset(
        model="meta-llama/Llama-3.1-8B",
        corpora=(
            "cerebras/SlimPajama-627B",
            "DKYoon/SlimPajama-6B",
            "monology/pile-uncopyrighted",
        ),
        layers={"8b": (0, 8, 17, 25, 31)},
    ),
}
