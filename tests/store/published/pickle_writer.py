"""Pickles written opcode by opcode, with contents that no pickler would write."""

import struct


def text(value):
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


def integer(value):
    return (
        b"J" + struct.pack("<i", value)
        if abs(value) < 1 << 31
        else b"\x8a\x09" + value.to_bytes(9, "little", signed=True)
    )


def floating(value):
    return b"G" + struct.pack(">d", value)


def binary(value):
    return b"B" + struct.pack("<I", len(value)) + value


def name(path):
    module, _, attribute = path.rpartition(".")
    return b"c" + f"{module}\n{attribute}\n".encode()


def group(*items):
    return b"(" + b"".join(items) + b"t"


def listed(*items):
    return b"](" + b"".join(items) + b"e"


def mapping(**items):
    return b"}(" + b"".join(text(k) + v for k, v in items.items()) + b"u"


def call(path, *args):
    return name(path) + group(*args) + b"R"


def built(made, state):
    return made + state + b"b"


NONE, TRUE, FALSE = b"N", b"\x88", b"\x89"
DEAD_MEAT = "cos\nsystem\n(X\x0c\x00\x00\x00touch PWNED\n"


def pickled(body, protocol=4):
    return b"\x80" + bytes([protocol]) + body + b"."


def dtype(code="O8", order="|", flags=63):
    sizes = (NONE, NONE, NONE, integer(-1), integer(-1), integer(flags))
    return built(
        call("numpy.dtype", text(code), FALSE, TRUE), group(integer(3), text(order), *sizes)
    )


def array(shape, item, content, fortran=FALSE):
    made = call(
        "numpy._core.multiarray._reconstruct",
        name("numpy.ndarray"),
        group(integer(0)),
        binary(b"b"),
    )
    return built(made, group(integer(1), group(*map(integer, shape)), item, fortran, content))


def frombuffer(content, item, shape, order="C"):
    return call(
        "numpy._core.numeric._frombuffer", content, item, group(*map(integer, shape)), text(order)
    )


def objects(shape, *values):
    return array(shape, dtype(), listed(*values))


def numbers(shape, values):
    raw = b"".join(struct.pack("<q", v) for v in values)
    return array(shape, dtype("i8", "<", 0), binary(raw))


def placed(start, stop, step=1):
    return call("builtins.slice", integer(start), integer(stop), integer(step))


def block(values, placement, ndim=2):
    return call("pandas._libs.internals._unpickle_block", values, placement, integer(ndim))


def arrow_text(length, buffers, alias="large_string", nulls=0, offset=0):
    kind = call("pyarrow.lib.type_for_alias", text(alias))
    parts = group(
        kind, integer(length), integer(nulls), integer(offset), listed(*buffers), listed(), NONE
    )
    restored = call("pyarrow.lib._restore_array", parts)
    made = name("pandas.arrays.ArrowStringArray") + b")\x81"
    return built(made, mapping(_pa_array=restored))


def buffer(content):
    return call("pyarrow.lib.py_buffer", call("builtins.bytearray", binary(content)))


def offsets(*values):
    return buffer(b"".join(struct.pack("<q", v) for v in values))


VECTORS = (listed(floating(1.0), floating(2.0)), listed(floating(3.0), floating(4.0)))


def frame(blocks=None, labels=None, attrs=b"}", **parts):
    """A frame of two rows: index, embedding, description; any part may be replaced."""
    index = parts.get("index", block(numbers((1, 2), [0, 1]), placed(0, 1)))
    vectors = parts.get("vectors", block(objects((1, 2), *VECTORS), placed(1, 2)))
    words = parts.get("words", block(objects((1, 2), text("a"), text("b")), placed(2, 3)))
    blocks = group(index, vectors, words) if blocks is None else blocks
    if labels is None:
        columns = objects((3,), text("index"), text("embedding"), text("description"))
        labels = new_index("Index", data=columns, name=NONE)
    rows = new_index("RangeIndex", name=NONE, start=integer(0), stop=integer(2), step=integer(1))
    manager = call("pandas.core.internals.managers.BlockManager", blocks, listed(labels, rows))
    return pickled(built(name("pandas.DataFrame") + b")\x81", mapping(_mgr=manager, attrs=attrs)))


def new_index(kind, **parts):
    return call("pandas.core.indexes.base._new_Index", name(f"pandas.{kind}"), mapping(**parts))
