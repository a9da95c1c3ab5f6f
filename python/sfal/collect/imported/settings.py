"""Settings of an import of firings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sfal.collect.options import Checked, option
from sfal.errors import InvalidInputError

ROLES = ("document", "position", "window", "feature", "activation")
"""What a column or array of a file may hold."""


def parse_ids(text: str) -> tuple[int, ...]:
    """Read token ids, separated by commas or spaces; an empty text means none.

    Raises
    ------
    InvalidInputError
        If a word is not a non-negative integer.
    """
    words = text.replace(",", " ").split()
    for word in words:
        if not word.isdecimal():
            raise InvalidInputError(f"{word!r} is not a token id")
    return tuple(sorted({int(word) for word in words}))


def parse_columns(text: str) -> dict[str, str]:
    """Read which column holds what, such as ``document=sample,feature=latent``.

    Raises
    ------
    InvalidInputError
        If the text does not have this form.
    """
    found: dict[str, str] = {}
    for entry in text.split(","):
        role, equals, name = (word.strip() for word in entry.partition("="))
        if not equals or not name:
            raise InvalidInputError(f"{entry!r} is not of the form document=NAME")
        found[role] = name
    return found


@dataclass(frozen=True, kw_only=True)
class ImportSettings(Checked):
    """How firings are read and cut into windows."""

    window_size: int = field(
        default=256, metadata=option("Window size in tokens.", flag="--k", minimum=1)
    )
    tail: Literal["drop", "keep"] = field(
        default="drop",
        metadata=option(
            "Drop the tokens after a document's last whole window, or keep them as a shorter "
            "window if they are at least half a window.",
            choices=("drop", "keep"),
        ),
    )
    n_features: int | None = field(
        default=None,
        metadata=option(
            "Number of features of the SAE; default: what the files say, else the largest feature "
            "that fires, plus one.",
            flag="--features",
            minimum=1,
        ),
    )
    n_docs: int | None = field(
        default=None,
        metadata=option(
            "Number of documents, so that those without a firing count too; default: those that "
            "the files name.",
            minimum=1,
        ),
    )
    document_length: int | None = field(
        default=None,
        metadata=option(
            "Tokens of every document; default: what the files say, else up to the last position "
            "that they name.",
            minimum=1,
        ),
    )
    special_ids: tuple[int, ...] | None = field(
        default=None,
        metadata=option(
            "Ids of BOS, EOS and PAD, which do not count as tokens of a window, for files that "
            "hold the tokens; '' if there are none; default: those of the named model's tokenizer, "
            "if it is on this machine.",
            metavar="ID,…",
            parse=parse_ids,
        ),
    )
    columns: Mapping[str, str] = field(
        default_factory=dict,
        metadata=option(
            "Names of columns that differ, such as document=sample,feature=latent.",
            metavar="ROLE=NAME,…",
            parse=parse_columns,
        ),
    )
    model: str | None = field(default=None, metadata=option("Language model, for the records."))
    layer: int | None = field(
        default=None, metadata=option("Layer from 0, for the records.", minimum=0)
    )
    neuronpedia_id: str | None = field(
        default=None,
        metadata=option(
            "MODEL/SOURCE on Neuronpedia, if it explains this SAE; default: the source's name, if "
            "SAELens knows it as such."
        ),
    )
    run: str | None = field(
        default=None,
        metadata=option(
            "Name of a further run of the same source with other settings.", metavar="NAME"
        ),
    )
    redo_damaged: bool = field(
        default=False,
        metadata=option(
            "Check all parts first, and import again if any is missing or damaged.",
            flag="--resume",
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = sorted(set(self.columns) - set(ROLES))
        if unknown:
            raise InvalidInputError(
                f"columns names {', '.join(unknown)}; a file has {', '.join(ROLES)}"
            )
        if self.n_features is not None and self.n_features > 1 << 32:
            raise InvalidInputError(f"n_features is {self.n_features}, but at most 2^32 fit")

    def recorded(self) -> dict[str, Any]:
        """Return the settings that decide the result, as a manifest records them."""
        return {
            "window_size": self.window_size,
            "tail": self.tail,
            "imported": {
                "n_features": self.n_features,
                "n_docs": self.n_docs,
                "document_length": self.document_length,
                "special_ids": None if self.special_ids is None else list(self.special_ids),
                "columns": dict(self.columns),
            },
        }
