"""A pickle machine that builds descriptions of objects, never the objects.

The published embeddings are pickled pandas frames. Unpickling runs whatever a
file names, and a list of allowed names does not help: the constructors that a
frame needs can be made to read invalid pointers or to allocate gigabytes. This
machine knows the opcodes that occur in such frames, imports nothing and calls
nothing. A call in the pickle becomes a record of the names and arguments, which
:mod:`sfal.store.published.frames` then interprets. Readers of other pickles
derive from it.
"""

import struct
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from sfal.store.published.pickle_records import Built, CutShort, Dict, List, Name, Refused, Tuple
from sfal.store.published.pickle_state import APPENDS, BINFLOAT, FRAME, State

_STACK_LIMIT = 100_000
_MARK_LIMIT = 64
_TUPLE_DEPTH_LIMIT = 32
_STOP = b"."[0]


class Machine(State):
    """Runs one pickle and returns a description of what it holds.

    Parameters
    ----------
    data : bytes-like with slicing to bytes (bytes, mmap)
        The pickle, of protocol 2 to 5.
    names : frozenset of str
        The globals that the pickle may refer to, as ``module.name``.
    """

    content: ClassVar[str] = "a frame of numbers and text"
    """What the pickle should hold, for messages."""
    steps: ClassVar[dict[int, Callable[[Any], None]]]
    """What to do at each opcode."""

    def __init__(self, data: Any, names: frozenset[str]) -> None:
        super().__init__(data)
        self._names = names
        self._memo: dict[int, Any] = {}

    @property
    def position(self) -> int:
        """Number of bytes walked."""
        return self._position

    def run(self) -> Any:
        """Walk the opcodes up to STOP.

        Raises
        ------
        Refused
            At the first object that is not known, with its name and position.
        """
        if self._size < 2 or self._data[0] != 0x80 or not 2 <= self._data[1] <= 5:
            raise Refused("it does not start like a pickle of protocol 2 to 5")
        self._position = 2
        stack = self._stack
        while True:
            start = self._position
            if start >= self._size:
                raise CutShort(f"it ends at byte {start}, before its end mark")
            code = self._data[start]
            self._position = start + 1
            if code == _STOP:
                break
            step = self.steps.get(code)
            if step is None:
                raise Refused(
                    f"opcode {code:#04x} at byte {start} does not occur in {self.content}"
                )
            try:
                step(self)
            except Refused as e:
                e.args = (f"{e} (byte {start})",)
                raise
            if len(stack) > _STACK_LIMIT:
                raise Refused(f"more than {_STACK_LIMIT:,} objects are on the stack")
        if len(stack) != 1 or self._marks:
            raise Refused("it ends with objects left over or with none at all")
        return stack[0]

    # One method per opcode or group of similar opcodes; `steps` below assigns them.

    def _frame(self) -> None:
        self._charge(8)
        n = self._length(8)
        if n > self._size - self._position:
            raise CutShort(f"a frame of {n:,} bytes goes beyond the end of the file")

    def _mark(self) -> None:
        self._charge(32)
        if len(self._marks) >= _MARK_LIMIT:
            raise Refused(f"more than {_MARK_LIMIT} nested collections")
        position = self._position
        if position < self._size and self._data[position] == BINFLOAT and self._float_run():
            return
        self._marks.append(len(self._stack))

    def _none(self) -> None:
        self._stack.append(None)

    def _true(self) -> None:
        self._stack.append(True)

    def _false(self) -> None:
        self._stack.append(False)

    def _float(self) -> None:
        self._stack.append(struct.unpack(">d", self._take(8))[0])

    def _int4(self) -> None:
        self._stack.append(int.from_bytes(self._take(4), "little", signed=True))

    def _int1(self) -> None:
        self._stack.append(self._take(1)[0])

    def _int2(self) -> None:
        self._stack.append(int.from_bytes(self._take(2), "little"))

    def _long1(self) -> None:
        n = self._take(1)[0]
        if n > 9:
            raise Refused("an integer beyond 64 bits")
        self._stack.append(int.from_bytes(self._take(n), "little", signed=True))

    def _text(self, size_bytes: int) -> None:
        n = self._length(size_bytes)
        self._charge(64 + 4 * n)
        try:
            self._stack.append(self._take(n).decode("utf-8", "surrogatepass"))
        except UnicodeDecodeError as e:
            raise Refused("a text that is not UTF-8") from e

    def _bytes(self, size_bytes: int) -> None:
        n = self._length(size_bytes)
        if n > self._size - self._position:
            raise CutShort(f"it declares {n:,} bytes where fewer are left")
        self._charge(64 + n)
        self._stack.append(self._take(n))

    def _empty_list(self) -> None:
        self._charge(120)
        self._stack.append(List())

    def _append(self) -> None:
        value = self._pop()
        self._charge(40)
        self._top(List, "a list").values.append(value)

    def _appends(self) -> None:
        values = self._pop_mark()
        self._charge(40 * len(values))
        self._top(List, "a list").values.extend(values)

    def _push_tuple(self, values: list[Any]) -> None:
        self._charge(120 + 40 * len(values))
        made = Tuple(values)
        if made.depth > _TUPLE_DEPTH_LIMIT:
            raise Refused(f"tuples nested more than {_TUPLE_DEPTH_LIMIT} deep")
        self._stack.append(made)

    def _empty_tuple(self) -> None:
        self._push_tuple([])

    def _tuple(self) -> None:
        self._push_tuple(self._pop_mark())

    def _tuple1(self) -> None:
        self._push_tuple([self._pop()])

    def _tuple2(self) -> None:
        second = self._pop()
        self._push_tuple([self._pop(), second])

    def _tuple3(self) -> None:
        third, second = self._pop(), self._pop()
        self._push_tuple([self._pop(), second, third])

    def _empty_dict(self) -> None:
        self._charge(120)
        self._stack.append(Dict())

    def _set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self._charge(100)
        self._top(Dict, "a dictionary").pairs.append((key, value))

    def _set_items(self) -> None:
        values = self._pop_mark()
        if len(values) % 2:
            raise Refused("a dictionary key without a value")
        self._charge(60 * len(values))
        self._top(Dict, "a dictionary").pairs.extend(zip(values[::2], values[1::2], strict=True))

    def _put_at(self, size_bytes: int) -> None:
        self._put(self._length(size_bytes))

    def _put(self, key: int) -> None:
        if not self._stack:
            raise Refused("an opcode asks for an object that is not there")
        self._charge(100)
        self._memo[key] = self._stack[-1]

    def _memoize(self) -> None:
        self._put(len(self._memo))

    def _get(self, size_bytes: int) -> None:
        key = self._length(size_bytes)
        if key not in self._memo:
            raise Refused(f"memo entry {key} is read before it is written")
        self._stack.append(self._memo[key])

    def _push_name(self, module: Any, name: Any) -> None:
        self._charge(160)
        path = f"{module}.{name}" if type(module) is str and type(name) is str else "?"
        if path not in self._names:
            raise Refused(f"it names {path[:120]!r}, which {self.content} does not need")
        self._stack.append(Name(path))

    def _global(self) -> None:
        words = []
        for _ in range(2):
            window = self._data[self._position : self._position + 256]
            line, newline, _rest = window.partition(b"\n")
            if not newline:
                raise Refused("a global whose name does not end")
            self._position += len(line) + 1
            words.append(line.decode("utf-8", "replace"))
        self._push_name(*words)

    def _stack_global(self) -> None:
        name = self._pop()
        self._push_name(self._pop(), name)

    def _call(self) -> None:
        args, callee = self._pop(), self._pop()
        if type(callee) is not Name or type(args) is not Tuple:
            raise Refused("a call of something that is not a name, or without a tuple of arguments")
        self._charge(200)
        self._stack.append(Built(callee, args))

    def _build(self) -> None:
        state = self._pop()
        self._charge(40)
        target = self._top(Built, "an object")
        if target.state is not None:
            raise Refused("the state of an object is set twice")
        target.state = state


Machine.steps = {
    ord("("): Machine._mark,
    BINFLOAT: Machine._float,
    FRAME: Machine._frame,
    APPENDS: Machine._appends,
    ord("N"): Machine._none,
    0x88: Machine._true,
    0x89: Machine._false,
    ord("J"): Machine._int4,
    ord("K"): Machine._int1,
    ord("M"): Machine._int2,
    0x8A: Machine._long1,
    0x8C: partial(Machine._text, size_bytes=1),
    ord("X"): partial(Machine._text, size_bytes=4),
    0x8D: partial(Machine._text, size_bytes=8),
    ord("C"): partial(Machine._bytes, size_bytes=1),
    ord("B"): partial(Machine._bytes, size_bytes=4),
    0x8E: partial(Machine._bytes, size_bytes=8),
    # A bytearray, which is treated like bytes here.
    0x96: partial(Machine._bytes, size_bytes=8),
    ord("]"): Machine._empty_list,
    ord("a"): Machine._append,
    ord(")"): Machine._empty_tuple,
    ord("t"): Machine._tuple,
    0x85: Machine._tuple1,
    0x86: Machine._tuple2,
    0x87: Machine._tuple3,
    ord("}"): Machine._empty_dict,
    ord("s"): Machine._set_item,
    ord("u"): Machine._set_items,
    0x94: Machine._memoize,
    ord("q"): partial(Machine._put_at, size_bytes=1),
    ord("r"): partial(Machine._put_at, size_bytes=4),
    ord("h"): partial(Machine._get, size_bytes=1),
    ord("j"): partial(Machine._get, size_bytes=4),
    ord("c"): Machine._global,
    0x93: Machine._stack_global,
    ord("R"): Machine._call,
    0x81: Machine._call,  # NEWOBJ: cls.__new__(*args), described in the same way
    ord("b"): Machine._build,
}
