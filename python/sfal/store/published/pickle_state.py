"""What a pickle machine works on: the bytes of a file, a stack, and its marks, within limits.

Long lists of floats make up nearly all of a file. They are not walked one opcode
at a time: a run of BINFLOAT opcodes (nine bytes each) becomes a strided view.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from sfal.store.published.pickle_records import CutShort, List, Refused

MEMORY_LIMIT = 1 << 30
"""Most bytes that the objects described by a file may take, by a generous estimate."""

APPENDS, BINFLOAT, FRAME = b"e"[0], b"G"[0], 0x95

_RUN_STRIDE = 9
_RUN_WINDOW = 1024


class State:
    """A pickle that is being walked.

    Parameters
    ----------
    data : bytes-like with slicing to bytes (bytes, mmap)
        The pickle.
    """

    def __init__(self, data: Any) -> None:
        self._data = data
        self._size = len(data)
        self._codes: npt.NDArray[np.uint8] = np.frombuffer(data, dtype=np.uint8)
        self._position = 0
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._charged = 0

    def _charge(self, n_bytes: int) -> None:
        self._charged += n_bytes
        if self._charged > MEMORY_LIMIT:
            raise Refused(f"what it describes would take more than {MEMORY_LIMIT >> 20} MiB")

    def _take(self, n: int) -> bytes:
        start = self._position
        if n > self._size - start:
            raise CutShort(f"it declares {n:,} bytes where {self._size - start:,} are left")
        self._position = start + n
        piece: bytes = self._data[start : start + n]
        return piece

    def _length(self, n: int) -> int:
        return int.from_bytes(self._take(n), "little")

    def _is_empty(self) -> bool:
        """Return whether nothing is on the stack above the last mark."""
        return len(self._stack) <= (self._marks[-1] if self._marks else 0)

    def _peek(self) -> Any:
        if self._is_empty():
            raise Refused("an opcode asks for an object that is not there")
        return self._stack[-1]

    def _pop(self) -> Any:
        self._peek()
        return self._stack.pop()

    def _top(self, kind: type[Any], what: str) -> Any:
        top = self._peek()
        if type(top) is not kind:
            raise Refused(f"something is put into what is not {what}")
        return top

    def _pop_mark(self) -> list[Any]:
        if not self._marks:
            raise Refused("an opcode asks for a mark that is not there")
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def _float_run(self) -> bool:
        """Append a batch that consists of floats alone to the list on the stack, or do nothing."""
        stack = self._stack
        if self._is_empty() or type(stack[-1]) is not List:
            return False
        runs: list[npt.NDArray[np.float64]] = []
        position = self._position
        while position < self._size:
            code = self._data[position]
            if code == BINFLOAT:
                n = self._run_length(position)
                if n == 0:
                    return False
                values = position + 1
                runs.append(np.ndarray((n,), ">f8", self._codes, values, (_RUN_STRIDE,)))
                position += _RUN_STRIDE * n
            elif code == FRAME and position + _RUN_STRIDE <= self._size:
                position += _RUN_STRIDE
            elif code == APPENDS:
                self._charge(200 * len(runs))
                stack[-1].values.extend(runs)
                self._position = position + 1
                return True
            else:
                return False
        return False

    def _run_length(self, position: int) -> int:
        """Count the complete BINFLOAT opcodes that follow each other from `position`."""
        whole = (self._size - position) // _RUN_STRIDE
        n = 0
        while n < whole:
            window = min(_RUN_WINDOW, whole - n)
            first = position + n * _RUN_STRIDE
            others = self._codes[first : first + window * _RUN_STRIDE : _RUN_STRIDE] != BINFLOAT
            if others.any():
                return n + int(others.argmax())
            n += window
        return n
