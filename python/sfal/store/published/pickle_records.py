"""Inert records of what a pickle describes; its objects are never made."""

from typing import Any


class Refused(Exception):  # noqa: N818 - the readers turn it into an ArtifactError
    """Something in a pickle that a frame of numbers and text does not hold."""


class CutShort(Refused):
    """A pickle that ends before what it declares."""


class Name:
    """A global that the pickle refers to; not imported."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path


class Built:
    """A call in the pickle, never made: the callee, its arguments, and the state set afterwards."""

    __slots__ = ("args", "callee", "state")

    def __init__(self, callee: Name, args: "Tuple") -> None:
        self.callee = callee.path
        self.args = args.values
        self.state: Any = None


class Tuple:
    """A tuple, with its depth, so that nesting can be limited."""

    __slots__ = ("depth", "values")

    def __init__(self, values: list[Any]) -> None:
        self.values = values
        self.depth: int = 1 + max((v.depth for v in values if type(v) is Tuple), default=0)


class List:
    """A list. An array among its values stands for a run of that many floats."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: list[Any] = []


class Dict:
    """A dictionary as the pairs that were set, in order; keys are never hashed."""

    __slots__ = ("pairs",)

    def __init__(self) -> None:
        self.pairs: list[tuple[Any, Any]] = []

    def get(self, key: str) -> Any:
        """Return the value set last for a text key, None if there is none."""
        for name, value in reversed(self.pairs):
            if type(name) is str and name == key:
                return value
        return None
