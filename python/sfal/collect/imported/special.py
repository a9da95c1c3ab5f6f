"""Which token ids are special in an import: those named, or those of the model's tokenizer."""

from collections.abc import Sequence
from dataclasses import replace

from sfal.collect.imported.delphi import DelphiCache
from sfal.collect.imported.rows import Reader
from sfal.collect.imported.settings import ImportSettings
from sfal.collect.run import portable_name
from sfal.errors import Note


def resolve_special_ids(
    readers: Sequence[Reader], settings: ImportSettings
) -> tuple[ImportSettings, Note | None]:
    """Return settings with the special ids that count, and a note if they had to be assumed.

    Only files that hold their tokens need them. If the user names the language
    model, its tokenizer decides, if it is on this machine; nothing is fetched.

    Parameters
    ----------
    readers : sequence of Reader
        The files.
    settings : ImportSettings
        What the user says.
    """
    first = readers[0]
    if settings.special_ids is not None or all(r.facts.tokens is None for r in readers):
        return settings, None
    model = settings.model
    ids = None if model is None else _ids_of(model)
    if model is not None and ids is not None:
        listed = ", ".join(map(str, ids)) or "none"
        return replace(settings, special_ids=ids), Note(
            f"the ids of BOS, EOS and PAD are taken from the tokenizer of {portable_name(model)} "
            f"({listed}); they do not count as tokens",
            "give $special_ids if the tokens are of another tokenizer",
        )
    model = model or (first.model if isinstance(first, DelphiCache) else None)
    of_model = f" of {model}" if model else ""
    return settings, Note(
        f"the ids of BOS, EOS and PAD{of_model} are not known: they count as tokens like others",
        "give $special_ids, or an empty list if the texts have none, or a $model whose tokenizer "
        "is on this machine",
    )


def _ids_of(model: str) -> tuple[int, ...] | None:
    """Return the special ids of a tokenizer; None if it is not on this machine."""
    from transformers import AutoTokenizer

    from sfal.collect.model.tokenizer import Tokenizer

    try:
        inner = AutoTokenizer.from_pretrained(model, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, ImportError):
        return None
    return tuple(sorted(Tokenizer(inner, model).special_ids))
