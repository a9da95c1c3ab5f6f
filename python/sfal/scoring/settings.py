"""How scores are computed."""

from dataclasses import dataclass

from sfal.errors import InvalidInputError
from sfal.explanations.label_audit import check_leaks
from sfal.scoring.neighbour_lists import BLOCK_BYTES


@dataclass(frozen=True)
class ScoreSettings:
    """How scores are computed; which sources are scored is a `Selection`."""

    top_n: int = 1023
    """Neighbours per feature that carry a gain."""
    n_windows: int | None = None
    """Number of windows, for histograms that do not state it."""
    block_bytes: int = BLOCK_BYTES
    """Most bytes of neighbour lists at a time; a smaller limit gives more blocks, and the same scores."""
    leaks: str = "drop"
    """``drop`` labels that are the explainer's reasoning or prompt, so that their features count as
    unexplained, or ``keep`` them; see :mod:`sfal.explanations.label_audit`."""

    def __post_init__(self) -> None:
        """Refuse numbers below 1.

        Raises
        ------
        InvalidInputError
            If `top_n` or `n_windows` is below 1, or `leaks` is neither value.
        """
        check_leaks(self.leaks)
        for name, value in (("top_n", self.top_n), ("n_windows", self.n_windows)):
            if value is not None and value < 1:
                raise InvalidInputError(f"{name} is {value}", hint=f"give ${name} of at least 1")
