"""How an SAE's training differs from the run that counts it, as notes for the user."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfal.collect.model.hook_points import HookPoint
from sfal.collect.settings import ModelConfig
from sfal.errors import Note
from sfal.sources.hooks import looks_like_module, place_of_hook, place_of_module
from sfal.sources.models import is_other_model
from sfal.sources.source import Source
from sfal.store.manifest import Manifest

if TYPE_CHECKING:
    from sfal.collect.model.language_model import LanguageModel


def prepared_inputs(source: Source, model: "LanguageModel") -> dict[str, Any]:
    """Return what is done to tokens and activations because an SAE was trained so.

    It belongs to a run's inputs: a run that was begun without it cannot go on
    with it. Empty if the model is read as it is.

    Parameters
    ----------
    source : Source
        What is counted.
    model : LanguageModel
        The model that it reads.
    """
    facts = HookPoint.of(source).prepared
    if model.tokenizer.first_token(source.prepend_bos) == "eos":
        facts["first_token"] = "eos"
    return facts


def training_notes(source: Source, config: ModelConfig, model: "LanguageModel") -> list[Note]:
    """Return what the user should know about an SAE's training; nothing for a plain SAE.

    Parameters
    ----------
    source : Source
        What is counted.
    config : ModelConfig
        How its language model is loaded.
    model : LanguageModel
        The model that it reads.
    """
    training = source.training
    notes = []
    if training.model is not None and is_other_model(training.model, source.model):
        notes.append(
            Note(
                f"the SAE was trained on {training.model}, but is counted on {source.model}",
                "if these are not the same model, name the SAE's own with $model",
            )
        )
    if training.revision is not None and config.revision not in (None, training.revision):
        notes.append(
            Note(
                f"the SAE was trained on revision {training.revision} of the language model, but "
                f"is counted on {config.revision}",
                "leave out $revision to take the SAE's own",
            )
        )
    if training.revision is not None and "repo" not in model.fingerprint:
        notes.append(
            Note(
                f"the SAE was trained on revision {training.revision} of the language model; the "
                f"folder {source.model} is taken as it is"
            )
        )
    if training.dtype is not None and training.dtype != model.metadata["dtype"]:
        notes.append(
            Note(
                f"the SAE was trained on activations in {training.dtype}, but is counted on "
                f"{model.metadata['dtype']}: features near their threshold may differ",
                f"set $dtype({training.dtype}) to repeat the training",
            )
        )
    if source.site == "custom" and (
        training.centred or training.folded_norms or training.folded_value_biases
    ):
        notes.append(
            Note(
                "the SAE was trained on a model whose weights TransformerLens had changed "
                "(center_writing_weights, fold_ln or fold_value_biases), and these changes are "
                f"not known at module {source.hook_module}: it is read as it is",
                "name a $site in place of $hook_module",
            )
        )
    own = place_of_hook(training.hook, training.module)
    if training.other_layer is not None and own is not None and own.layer == source.layer:
        notes.append(
            Note(
                f"the SAE's configuration names layer {training.other_layer} (hook_layer) beside "
                f"the hook {training.hook}; layer {source.layer} is read",
                "name another layer with $layer",
            )
        )
    path = _other_spelling(source, model)
    if path is not None:
        notes.append(
            Note(
                f"the SAE's configuration names {path}, as models of another kind call it; layer "
                f"{source.layer} of {source.model} is read",
                "if that is not the SAE's model, name its own with $model",
            )
        )
    if training.positions is not None:
        words = ":".join("" if end is None else str(end) for end in training.positions)
        notes.append(
            Note(
                f"the SAE was trained on the positions {words} of its contexts only "
                "(seqpos_slice); tokens at all positions are counted"
            )
        )
    others = sorted(set(training.excluded_ids) - model.tokenizer.special_ids)
    if others:
        notes.append(
            Note(
                f"the SAE was trained without {len(others)} tokens that are counted here "
                f"(exclude_special_tokens: {', '.join(map(str, others[:8]))}"
                f"{' …' if len(others) > 8 else ''})"
            )
        )
    if training.unknown:
        notes.append(
            Note(
                "the SAE's configuration has fields that SFAL does not know: "
                f"{', '.join(training.unknown[:12])}{' …' if len(training.unknown) > 12 else ''}",
                "if one of them changes which features fire, these counts are not the SAE's",
            )
        )
    return notes


def _other_spelling(source: Source, model: "LanguageModel") -> str | None:
    """Return the path of the layer that an SAE names, if the model has no such module."""
    path = source.training.module or source.training.hook
    if path is None or source.site not in ("res", "res_pre"):
        return None
    place = place_of_module(path) if looks_like_module(path) else None
    if place is None or (place.site, place.layer) != (source.site, source.layer):
        return None
    return None if model.has_module(path) else path


def context_note(source: Source, manifest: Manifest, folder: Path) -> Note | None:
    """Return a note on windows beyond the contexts that an SAE was trained on.

    Parameters
    ----------
    source : Source
        What was counted.
    manifest : Manifest
        Of the finished run.
    folder : Path
        The run's folder.
    """
    from sfal.store.parts import iterate_parts

    limit = source.training.context_size
    size, longest = manifest.window_size, manifest.settings.get("max_length")
    if not limit or not size or not isinstance(longest, int) or limit >= longest:
        return None
    # The position of a window's last token, from 0, after BOS; a special token inside a document
    # would move it further back.
    first = 0 if source.prepend_bos is False else 1
    beyond = sum(
        int((first + (windows.ordinals.astype("int64") + 1) * size > limit).sum())
        for windows in iterate_parts(folder)
    )
    if not beyond:
        return None
    share = beyond / manifest.n_windows
    return Note(
        f"{share:.1%} of the windows reach beyond the {limit} tokens of the SAE's training "
        f"contexts, since documents are read up to {longest} tokens",
        f"set $max_length({limit}) to leave these windows out",
    )
