"""How scores are computed."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from sfal.errors import InvalidInputError
from sfal.explanations.label_audit import check_leaks

Candidates = Literal["comparable", "all"]
"""Features that may stand in a list: those that are scored, or all."""
Ties = Literal["average", "index"]
"""What neighbours that tie count: the mean over all their orders, or that of ascending index."""
Measure = Literal[
    "phi", "abs_phi", "llr", "npmi", "odds", "lift", "cole", "jaccard", "cosine"
]  # fmt: skip
"""Measures of co-occurrence."""
CANDIDATES: tuple[Candidates, ...] = get_args(Candidates)
TIES: tuple[Ties, ...] = get_args(Ties)
MEASURES: tuple[Measure, ...] = get_args(Measure)

BLOCK_BYTES = 1 << 31
"""Most bytes of lists in one block of rows; below it all rows are one block."""


@dataclass(frozen=True)
class ScoreSettings:
    """How scores are computed; which sources are scored is a `Selection`."""

    top_n: int = 1023
    """Neighbours per feature that carry a gain."""
    n_windows: int | None = None
    """Number of windows, for histograms that do not state it."""
    block_bytes: int = BLOCK_BYTES
    """Most bytes of neighbour lists at a time; a smaller limit gives more blocks, and the same scores."""
    candidates: Candidates = "comparable"
    """Features that may stand in a list. ``comparable``: those that fire, but not always, and are
    explained. ``all``: every feature, as published; dead and unexplained ones fill lists by ties."""
    ties: Ties = "average"
    """``average``: the mean over all orders of the neighbours that tie, so that scores do not depend on
    how features are numbered. ``index``: ascending index."""
    measure: Measure = "phi"
    """Measure of co-occurrence that ranks the functional neighbours."""
    reliability: bool = True
    """Whether scores of parts of the documents say how precise each score is; needs occurrences."""
    leaks: str = "drop"
    """``drop`` labels that are the explainer's reasoning or prompt, so that their features count as
    unexplained, or ``keep`` them; see :mod:`sfal.explanations.label_audit`."""

    def __post_init__(self) -> None:
        """Refuse values that do not exist.

        Raises
        ------
        InvalidInputError
            If `top_n` or `n_windows` is below 1, or a name is unknown.
        """
        check_leaks(self.leaks)
        for name, value in (("top_n", self.top_n), ("n_windows", self.n_windows)):
            if value is not None and value < 1:
                raise InvalidInputError(f"{name} is {value}", hint=f"give ${name} of at least 1")
        for name, given, known in (
            ("candidates", self.candidates, CANDIDATES),
            ("ties", self.ties, TIES),
        ):
            if given not in known:
                raise InvalidInputError(
                    f"{name} is {given!r}", hint=f"give ${name} as {' or '.join(known)}"
                )
        if self.measure not in MEASURES:
            from sfal import _core

            # The core names the measures, and the one that has the same order as an unknown name.
            _core.functional_neighbours(_core.Occurrences(1), 1, self.measure)

    def published(self) -> "ScoreSettings":
        """Return the same settings with the published rules.

        All candidates, ties by index, phi, and every label, leaked ones too.
        """
        return replace(self, candidates="all", ties="index", measure="phi", leaks="keep")
