"""Shares of a corpus's documents, and the buffers that they are made of."""

from dataclasses import dataclass

from sfal.errors import InvalidInputError

BUFFER_DOCUMENTS = 128
"""Documents that are sorted by length and batched together.

The composition of a batch decides the last bits of an activation, so a run
always passes the same buffers, counted from its first document.
"""


@dataclass(frozen=True)
class Shard:
    """One of several shares of the documents, contiguous and disjoint."""

    index: int
    """Which one, from 1."""
    of: int
    """How many there are."""

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.of:
            raise InvalidInputError(
                f"shard {self.index}/{self.of}: shards of {self.of} are 1/{self.of} "
                f"to {self.of}/{self.of}"
            )

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read a shard from text such as ``2/8``.

        Raises
        ------
        InvalidInputError
            If the text is not of that form, or the index is out of range.
        """
        index, slash, of = text.partition("/")
        if not (slash and index.strip().isdecimal() and of.strip().isdecimal()):
            raise InvalidInputError(
                f"shard {text!r} is not of the form i/n", hint="give $shard(2/8) for the 2nd of 8"
            )
        return cls(int(index), int(of))

    def documents(self, n_docs: int) -> tuple[int, int]:
        """Return the ordinals of the share's first document and of the one after its last.

        Where every share has at least a buffer of documents, shares begin and
        end with a buffer, so that together they give the bits of a single run.
        """
        first, stop = (n_docs * i // self.of for i in (self.index - 1, self.index))
        if n_docs >= self.of * BUFFER_DOCUMENTS:
            first -= first % BUFFER_DOCUMENTS
            if self.index < self.of:
                stop -= stop % BUFFER_DOCUMENTS
        return first, stop

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"
