"""What an SAE's configuration says about the activations that it was trained on."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sfal.errors import ArtifactError, InvalidInputError
from sfal.sources.configuration.fields import KNOWN_ARGUMENTS, KNOWN_FIELDS
from sfal.sources.configuration.saelens import flattened

_STEPS = {"pythia": "step{}", "stanford": "checkpoint-{}"}
"""Names of the checkpoints' branches on the hub, by a word in the model's name."""


@dataclass(frozen=True)
class Training:
    """How the inputs of an SAE were made in its training; see :meth:`Training.parse`.

    The defaults say nothing, which means a plain model read as it is.
    """

    model: str | None = None
    """The language model as the configuration spells it."""
    revision: str | None = None
    """Commit, branch or tag of the language model."""
    hook: str | None = None
    """``hook_name``: TransformerLens' name of the hook, or a module path."""
    module: str | None = None
    """``hf_hook_name``: the module path of the same place."""
    other_layer: int | None = None
    """``hook_layer``, if it is not the layer in the hook's name."""
    prepend_bos: bool | None = None
    """Whether BOS came first."""
    context_size: int | None = None
    """Tokens per training context, BOS included."""
    head: int | None = None
    """The attention head that the SAE reads, from 0; None: all of them."""
    positions: tuple[int | None, ...] | None = None
    """Start, stop and step of the positions that were trained on; None: all of them."""
    excluded_ids: tuple[int, ...] = ()
    """Token ids that were left out, if the configuration lists them."""
    dtype: str | None = None
    """Precision of the language model."""
    centred: bool = False
    """``center_writing_weights``: the mean over d_model was taken off whatever is written to the
    residual stream."""
    folded_norms: bool = False
    """``fold_ln``: the norms' gains were moved into the weights after them."""
    folded_value_biases: bool = False
    """``fold_value_biases``: attention's value biases were moved into its output bias."""
    refactored_attention: bool = False
    """``refactor_factored_attn_matrices``: the bases of keys, queries and values were changed."""
    unknown: tuple[str, ...] = ()
    """Fields and arguments that SFAL does not know."""

    @classmethod
    def parse(cls, config: Mapping[str, Any], where: str) -> "Training":
        """Read SAELens' configuration of an SAE, as any of its versions wrote it.

        Parameters
        ----------
        config : mapping
            Content of ``cfg.json``, with or without ``metadata``.
        where : str
            File or SAE, for messages.

        Raises
        ------
        ArtifactError
            If a field has the wrong type.
        InvalidInputError
            If the SAE was trained in a way that SFAL cannot repeat.
        """
        flat = flattened(config)
        get = _Getter(flat, where)
        arguments = flat.get("model_from_pretrained_kwargs") or {}
        if not isinstance(arguments, Mapping):
            raise ArtifactError(f"{where}: model_from_pretrained_kwargs is not a JSON object")
        of_model = _Getter(arguments, f"{where}: model_from_pretrained_kwargs")
        model = get.text("model_name")
        excluded = flat.get("exclude_special_tokens")
        dtype = arguments.get("torch_dtype", arguments.get("dtype"))
        found = cls(
            model=model,
            revision=_revision(of_model, model or ""),
            hook=get.text("hook_name"),
            module=get.text("hf_hook_name"),
            other_layer=_other_layer(get),
            prepend_bos=get.flag("prepend_bos"),
            context_size=get.count("context_size"),
            head=get.count("hook_head_index"),
            positions=get.positions("seqpos_slice") or _offsets(get),
            excluded_ids=_ids(excluded),
            dtype=None if dtype is None else str(dtype).removeprefix("torch."),
            centred=bool(of_model.flag("center_writing_weights")),
            folded_norms=bool(of_model.flag("fold_ln")),
            folded_value_biases=bool(of_model.flag("fold_value_biases")),
            refactored_attention=bool(of_model.flag("refactor_factored_attn_matrices")),
            unknown=(
                *sorted(set(flat) - KNOWN_FIELDS),
                *(
                    f"model_from_pretrained_kwargs.{name}"
                    for name in sorted(set(arguments) - KNOWN_ARGUMENTS)
                ),
            ),
        )
        found._check(where)
        return found

    def _check(self, where: str) -> None:
        at_heads = (self.hook or "").endswith(("attn.hook_z", ".hook_z"))
        if self.head is not None and not at_heads:
            raise InvalidInputError(
                f"{where} reads head {self.head} at {self.hook or 'a hook that it does not name'}; "
                "SFAL knows single heads at attn.hook_z only"
            )
        if self.refactored_attention and at_heads:
            raise InvalidInputError(
                f"{where} was trained on heads whose bases were changed "
                "(refactor_factored_attn_matrices), which SFAL cannot repeat"
            )


@dataclass(frozen=True)
class _Getter:
    """Typed access to the fields of a JSON object; null counts as absent."""

    fields: Mapping[str, Any]
    where: str

    def text(self, name: str) -> str | None:
        value = self.fields.get(name)
        return self._typed(name, value, value is None or isinstance(value, str), "a text") or None

    def flag(self, name: str) -> bool | None:
        value = self.fields.get(name)
        good = value is None or isinstance(value, bool)
        found: bool | None = self._typed(name, value, good, "true or false")
        return found

    def count(self, name: str) -> int | None:
        value = self.fields.get(name)
        good = value is None or (_is_int(value) and value >= 0)
        found: int | None = self._typed(name, value, good, "a whole number from 0")
        return found

    def positions(self, name: str) -> tuple[int | None, ...] | None:
        value = self.fields.get(name)
        good = value is None or (
            isinstance(value, list | tuple)
            and len(value) <= 3
            and all(item is None or _is_int(item) for item in value)
        )
        found = self._typed(name, value, good, "a list of up to three whole numbers")
        if found is None or list(range(64))[slice(*(found or (None,)))] == list(range(64)):
            return None
        return tuple(found)

    def _typed(self, name: str, value: Any, good: bool, expected: str) -> Any:
        if not good:
            raise ArtifactError(f"{self.where}: {name} is {str(value)[:60]!r}, not {expected}")
        return value


def _other_layer(get: _Getter) -> int | None:
    """Return the layer beside the hook's name, if the name states another."""
    if isinstance(get.fields.get("hook_layer"), list | tuple):
        return None  # a sweep's layers
    layer = get.count("hook_layer")
    named = re.search(r"(?:^|\.)(?:blocks|layers|h)\.(\d+)(?:\.|$)", get.text("hook_name") or "")
    return None if named is None or layer in (None, int(named[1])) else layer


def _offsets(get: _Getter) -> tuple[int | None, ...] | None:
    """Return the positions that SAELens 3 left out at the start and the end of its contexts."""
    start, end = get.count("start_pos_offset"), get.count("end_pos_offset")
    return (start or None, -end if end else None) if start or end else None


def _revision(arguments: _Getter, model: str) -> str | None:
    """Return the branch that TransformerLens' arguments name."""
    revision = arguments.text("revision")
    step = arguments.count("checkpoint_value")
    if revision is None and step is not None:
        for word, branch in _STEPS.items():
            if word in model.lower():
                return branch.format(step)
    if revision is None and (step is not None or arguments.count("checkpoint_index") is not None):
        raise InvalidInputError(
            f"{arguments.where} names a checkpoint of {model or 'a model'} by its number in "
            "TransformerLens, which SFAL does not know",
            hint="name the checkpoint's commit or branch with $revision and remove the argument "
            "from the configuration",
        )
    return revision


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _ids(value: object) -> tuple[int, ...]:
    """Return the token ids in a list; none if it is true or false."""
    if not isinstance(value, list | tuple):
        return ()
    return tuple(item for item in value if _is_int(item))
