"""Pickles that would run code, exhaust memory, or crash a reader; made here, never stored."""

import gzip
import os
import pickle
import struct

import pandas as pd

from store.published import pickle_writer as w

CALLABLES = """
os.system posix.system nt.system os.popen os.execv os.remove os.rename os.fork os.kill os._exit
subprocess.Popen subprocess.call subprocess.check_output pty.spawn shutil.rmtree
builtins.eval builtins.exec builtins.compile builtins.__import__ builtins.getattr builtins.open
builtins.breakpoint builtins.map builtins.apply __builtin__.eval __builtin__.exec
importlib.import_module runpy.run_path code.interact timeit.timeit ctypes.CDLL
pickle.loads _pickle.loads marshal.loads types.CodeType types.FunctionType functools.partial
operator.attrgetter operator.methodcaller copyreg._reconstructor copyreg.__newobj__
webbrowser.open urllib.request.urlopen requests.get socket.socket tempfile.mktemp
numpy.load numpy.fromfile numpy.memmap numpy.frombuffer numpy.lib.npyio.load
numpy.testing._private.utils.runstring numpy.core.multiarray.fromfile numpy.ctypeslib.load_library
numpy.core._multiarray_umath.from_dlpack numpy.ndarray.__setstate__
pandas.read_pickle pandas.eval pandas.read_csv pandas.core.computation.eval.eval
pandas.DataFrame.eval pandas.DataFrame.query pandas.io.common.get_handle
pandas._libs.internals.BlockPlacement pandas.core.arrays.categorical.Categorical
pyarrow.lib.foreign_buffer pyarrow.lib.Array._import_from_c pyarrow.lib.memory_map
pyarrow._fs.FileSystem torch.load torch.hub.load joblib.load dill.loads cloudpickle.loads
sys.exit sys.settrace threading.Thread multiprocessing.Process asyncio.run signal.alarm
bdb.Bdb logging.config.dictConfig profile.run cProfile.run doctest.debug_script
""".split()  # noqa: SIM905 - a list literal would be a line each


class Evil:
    """Pickles as a call of os.system."""

    def __reduce__(self):
        return os.system, ("touch PWNED",)


def corpus():
    """Yield (name, bytes, a word that the refusal must hold)."""
    yield from _calls()
    yield from _other_ways_to_call()
    yield from _inside_frames()
    yield from _sizes()
    yield from _forged_arrays()
    yield from _forged_text()
    yield from _forged_frames()
    yield from _broken()


def _calls():
    for path in CALLABLES:
        yield f"call {path}", w.pickled(w.call(path, w.text("touch PWNED"))), path


def _other_ways_to_call():
    evil = w.text("touch PWNED")
    stacked = w.text("os") + w.text("system") + b"\x93"
    yield "stack global", w.pickled(stacked + w.group(evil) + b"R"), "os.system"
    yield "newobj", w.pickled(w.name("os.system") + w.group(evil) + b"\x81"), "os.system"
    keywords = w.name("os.system") + w.group(evil) + b"}\x92"
    yield "newobj with keywords", w.pickled(keywords), "os.system"
    yield "inst", w.pickled(b"(" + evil + b"ios\nsystem\n"), "0x69"
    yield "obj", w.pickled(b"(" + w.name("os.system") + evil + b"o"), "os.system"
    yield "extension 1", w.pickled(b"\x82\x01"), "0x82"
    yield "extension 2", w.pickled(b"\x83\x01\x00"), "0x83"
    yield "extension 4", w.pickled(b"\x84\x01\x00\x00\x00"), "0x84"
    yield "persistent id", w.pickled(b"Pevil\n"), "0x50"
    yield "binary persistent id", w.pickled(w.text("evil") + b"Q"), "0x51"
    dotted = w.text("pandas") + w.text("DataFrame.eval") + b"\x93"
    yield "dotted", w.pickled(dotted + w.group(evil) + b"R"), "DataFrame.eval"
    trick = w.text("os") + b"\x94" + w.text("system") + b"\x94" + b"00h\x00h\x01\x93"
    yield "names from the memo", w.pickled(trick), "0x30"
    memo = w.text("os") + b"q\x00" + w.text("system") + b"q\x01\x93"
    yield "names kept in the memo", w.pickled(memo), "os.system"
    swapped = w.text("pandas") + b"q\x00" + w.text("posix") + b"q\x00h\x00" + w.text("system")
    yield "memo overwritten", w.pickled(swapped + b"\x93"), "posix.system"
    nested = w.call("pandas.DataFrame", w.call("builtins.eval", w.text("1")))
    yield "call in an argument", w.pickled(nested), "builtins.eval"
    called = w.call("pandas.DataFrame") + w.group(evil) + b"R"
    yield "call of what was made", w.pickled(called), "call of something"
    state = w.built(w.call("pandas.DataFrame"), w.call("os.system", evil))
    yield "call in a state", w.pickled(state), "os.system"
    number = w.integer(1) + w.integer(2) + b"\x93"
    yield "global of no names", w.pickled(number), "'?'"
    yield "global with a long name", w.pickled(b"c" + b"o" * 5000), "does not end"
    yield "global with a line break", w.pickled(w.text("os\n") + w.text("system") + b"\x93"), "os"


def _inside_frames():
    evil = w.call("os.system", w.text("touch PWNED"))
    for protocol in (2, 3, 4, 5):
        body = pickle.dumps(pd.DataFrame({"index": [0], "embedding": [Evil()]}), protocol)
        yield f"cell, protocol {protocol}", body, "posix.system"
    deep = pd.DataFrame({"index": [0], "embedding": [[1.0, [Evil()]]]})
    yield "cell in a cell", pickle.dumps(deep), "posix.system"
    attributes = pd.DataFrame({"index": [0]})
    attributes.attrs["x"] = Evil()
    yield "attributes", pickle.dumps(attributes), "posix.system"
    yield "row label", pickle.dumps(pd.DataFrame({"a": [1]}, index=[Evil()])), "posix.system"
    label = w.new_index("Index", data=w.objects((3,), w.text("index"), evil, w.text("d")))
    yield "column label", w.frame(labels=label), "os.system"
    yield "attribute of a frame", w.frame(attrs=w.mapping(a=evil)), "os.system"
    yield "block that is a call", w.frame(blocks=w.group(evil)), "os.system"
    item = w.built(w.call("numpy.dtype", evil), w.group(w.integer(3), w.text("<")))
    yield (
        "item type",
        w.frame(index=w.block(w.array((1, 2), item, w.binary(b"")), w.placed(0, 1))),
        "os.system",
    )
    yield "placement", w.frame(index=w.block(w.numbers((1, 2), [0, 1]), evil)), "os.system"
    series = pickle.dumps(pd.Series([1, 2]))
    yield "series", series, "Series"
    yield "timestamps", pickle.dumps(pd.DataFrame({"t": pd.to_datetime(["2020"])})), "Datetime"
    yield "categories", pickle.dumps(pd.DataFrame({"t": pd.Categorical(["a"])})), "Categorical"
    yield "sets", pickle.dumps(pd.DataFrame({"t": [{1, 2}]})), "0x8f"
    yield (
        "a class of another module",
        pickle.dumps(pd.DataFrame({"t": [Exception("x")]})),
        "Exception",
    )


def _sizes():
    huge = struct.pack("<Q", 1 << 40)
    yield "text of 2^40 bytes", w.pickled(b"\x8d" + huge), "MiB"
    yield "text of 2^31 bytes", w.pickled(b"X" + struct.pack("<I", (1 << 31) - 1)), "MiB"
    yield "text a little too long", w.pickled(b"X" + struct.pack("<I", 100)), "declares"
    yield "bytes of 2^40", w.pickled(b"\x8e" + huge), "declares"
    yield "bytearray of 2^40", w.pickled(b"\x96" + huge), "declares"
    yield "bytes of 2^31", w.pickled(b"B" + struct.pack("<I", 1 << 31)), "declares"
    yield "frame of 2^62 bytes", w.pickled(b"\x95" + struct.pack("<Q", 1 << 62)), "frame"
    yield "memo entry 2^31", w.pickled(b"Nr" + struct.pack("<I", 1 << 31)), "not a pandas frame"
    yield "memo entry that is not there", w.pickled(b"j" + struct.pack("<I", 1 << 31)), "memo"
    yield "integer of 2^32 digits", w.pickled(b"\x8b" + struct.pack("<I", 1 << 31)), "0x8b"
    yield "integer of 255 bytes", w.pickled(b"\x8a\xff" + b"\xff" * 255), "64 bits"
    yield "a million marks", w.pickled(b"(" * 1_000_000), "nested"
    yield "a million lists in each other", w.pickled(b"]" * 90_000 + b"a" * 89_999), "not a pandas"
    yield "lists in lists without end", w.pickled(b"]" * 1_000_000), "stack"
    yield "nested tuples", w.pickled(b")" + b"\x85" * 1_000_000), "deep"
    key = b"}" + b")" + b"\x85" * 1_000_000 + b"Ns"
    yield "nested tuple as a key", w.pickled(key), "deep"
    yield "a list in itself", w.pickled(b"]\x94h\x00a"), "not a pandas frame"
    laughs = b"]\x94" + b"".join(
        b"](" + b"h" + bytes([i]) * 1 + b"h" + bytes([i]) + b"e\x94" for i in range(60)
    )
    yield "a billion laughs", w.pickled(laughs), "left over"
    zeros = w.call("builtins.bytearray", w.integer(1 << 34))
    content = w.frombuffer(zeros, w.dtype("i8", "<", 0), (1, 2))
    yield "bytearray(2**34) as numbers", w.frame(index=w.block(content, w.placed(0, 1))), "bytes"
    bomb = w.call("pyarrow.lib.py_buffer", zeros)
    words = w.block(w.arrow_text(2, (w.NONE, w.offsets(0, 1, 2), bomb)), w.placed(2, 3))
    yield "bytearray(2**34) as text", w.frame(words=words), "bytes"
    row = w.listed(*[w.floating(1.0)] * 20_000) + b"q\x07"
    shared = w.objects((1, 20_000), row, *[b"h\x07"] * 19_999)
    index = w.block(w.numbers((1, 20_000), range(20_000)), w.placed(0, 1))
    words = w.block(w.objects((1, 20_000), *[w.NONE] * 20_000), w.placed(2, 3))
    vectors = w.block(shared, w.placed(1, 2))
    yield (
        "one vector, shared 20,000 times",
        w.frame(index=index, vectors=vectors, words=words),
        "vectors of",
    )


def _forged_arrays():
    def index(values, placement=None):
        return w.frame(index=w.block(values, placement or w.placed(0, 1)))

    eight = w.binary(b"\0" * 16)
    number = w.dtype("i8", "<", 0)
    yield "shape beyond the bytes", index(w.array((1, 1 << 30), number, eight)), "bytes"
    yield "shape of 2^40 by 2^40", index(w.array((1 << 39, 1 << 39), number, eight)), "bytes"
    yield "negative shape", index(w.array((1, -2), number, eight)), "shape"
    yield "negative product", index(w.array((-1, -2), number, eight)), "shape"
    yield "shape of three", index(w.array((1, 1, 2), number, eight)), "shape"
    yield "objects from bytes", index(w.frombuffer(eight, w.dtype(), (1, 2))), "objects"
    yield "objects from bytes by state", index(w.array((1, 2), w.dtype(), eight)), "list of them"
    forged = w.dtype("O8", "|", 0)
    yield "object type without its flag", index(w.frombuffer(eight, forged, (1, 2))), "objects"
    yield "too few objects", index(w.array((1, 2), w.dtype(), w.listed(w.NONE))), "1 objects"
    for code in ("V8", "S8", "U2", "M8[ns]", "m8[ns]", "c16", "f16", "O", "i3", "x", "i8,O"):
        values = w.frombuffer(eight, w.dtype(code, "<", 0), (1, 2))
        yield f"item type {code}", index(values), "objects" if code == "O" else code
    fields = w.built(
        w.call("numpy.dtype", w.text("i8"), w.FALSE, w.TRUE),
        w.group(w.integer(3), w.text("<"), w.NONE, w.group(w.text("a")), w.mapping(a=w.NONE)),
    )
    yield "item type with fields", index(w.frombuffer(eight, fields, (1, 2))), "fields"
    yield "order of no kind", index(w.frombuffer(eight, number, (1, 2), "K")), "order"
    yield "byte order of no kind", index(w.frombuffer(eight, w.dtype("i8", "?", 0), (1, 2))), "i8"
    twice = w.built(w.numbers((1, 2), [0, 1]), w.group())
    yield "state set twice", index(twice), "twice"
    yield "array without state", index(w.call("numpy._core.multiarray._reconstruct")), "array"
    yield "ndarray called", index(w.call("numpy.ndarray", w.group(w.integer(1 << 30)))), "array"
    encoded = w.call("_codecs.encode", w.text("abc"), w.text("rot13"))
    yield "another codec", index(w.array((1, 2), number, encoded)), "rot13"
    beyond = w.call("_codecs.encode", w.text("語" * 16), w.text("latin1"))
    yield "text beyond latin-1", index(w.array((1, 2), number, beyond)), "latin-1"
    scalar = w.call("numpy._core.multiarray.scalar", w.dtype(), w.integer(0x41414141))
    cells = w.block(w.objects((1, 2), scalar, scalar), w.placed(2, 3))
    yield "scalar of a forged object", w.frame(words=cells), "scalar"
    cells = w.block(w.objects((1, 2), w.name("numpy.dtype"), w.NONE), w.placed(2, 3))
    yield "a type as a cell", w.frame(words=cells), "text or a number"


def _forged_text():
    def words(*args, **kwargs):
        return w.frame(words=w.block(w.arrow_text(*args, **kwargs), w.placed(2, 3)))

    content = w.buffer(b"ab")
    good = w.offsets(0, 1, 2)
    yield (
        "offsets beyond the text",
        words(2, (w.NONE, w.offsets(0, 1, 1 << 40), content)),
        "offsets",
    )
    yield "negative offsets", words(2, (w.NONE, w.offsets(-8, 1, 2), content)), "offsets"
    yield "falling offsets", words(2, (w.NONE, w.offsets(0, 2, 1), content)), "offsets"
    yield "fewer offsets than rows", words(2, (w.NONE, w.offsets(0, 1), content)), "shorter"
    yield "2^40 rows", words(1 << 40, (w.NONE, good, content)), "shorter"
    yield "rows below 0", words(-2, (w.NONE, good, content)), "negative"
    yield "an offset below 0", words(2, (w.NONE, good, content), offset=-1), "negative"
    yield "an offset beyond", words(2, (w.NONE, good, content), offset=1 << 40), "shorter"
    yield "numbers as text", words(2, (w.NONE, good, content), alias="int64"), "not of text"
    yield "an alias of no type", words(2, (w.NONE, good, content), alias="evil"), "not of text"
    yield "one buffer", words(2, (good,)), "parts"
    yield "text that is not UTF-8", words(2, (w.NONE, good, w.buffer(b"\xff\xfe"))), "UTF-8"
    bitmap = w.offsets(*range(1001))
    yield "short validity", words(1000, (w.buffer(b"\1"), bitmap, w.buffer(b"a" * 1000))), "shorter"
    address = w.call("pyarrow.lib.py_buffer", w.integer(0x7FFF0000))
    yield "a buffer at an address", words(2, (w.NONE, good, address)), "bytes"


def _forged_frames():
    number = w.numbers((1, 2), [0, 1])
    yield "a step of 0", w.frame(index=w.block(number, w.placed(0, 1, 0))), "slice"
    far = w.block(number, w.call("builtins.slice", w.integer(0), w.integer(1 << 60), w.integer(1)))
    yield "placed beyond the columns", w.frame(index=far), "columns"
    below = w.block(number, w.numbers((1,), [-1]))
    yield "placed below 0", w.frame(index=below), "outside"
    yield "two columns in one place", w.frame(index=w.block(number, w.placed(2, 3))), "one place"
    yield (
        "columns left out",
        w.frame(blocks=w.group(w.block(number, w.placed(0, 1)))),
        "all columns",
    )
    longer = w.block(w.numbers((1, 3), [0, 1, 2]), w.placed(0, 1))
    yield "columns of different lengths", w.frame(index=longer), "lengths"
    flat = w.block(w.numbers((2,), [0, 1]), w.placed(0, 1))
    yield "a block of one dimension", w.frame(index=flat), "block"
    twice = w.objects((3,), w.text("index"), w.text("index"), w.text("index"))
    yield "labels alike", w.frame(labels=w.new_index("Index", data=twice)), "names"
    yield (
        "labels of numbers",
        w.frame(labels=w.new_index("Index", data=w.numbers((3,), [0, 1, 2]))),
        "names",
    )
    yield "labels by range", w.frame(labels=w.new_index("RangeIndex", start=w.integer(0))), "array"
    uneven = w.objects((1, 2), w.VECTORS[0], w.listed(w.floating(1.0)))
    yield "vectors of different lengths", w.frame(vectors=w.block(uneven, w.placed(1, 2))), "length"
    texts = w.objects((1, 2), w.listed(w.text("a")), w.listed(w.text("b")))
    yield "vectors of text", w.frame(vectors=w.block(texts, w.placed(1, 2))), "text"
    missing = w.objects((1, 2), w.VECTORS[0], w.NONE)
    yield "a missing vector", w.frame(vectors=w.block(missing, w.placed(1, 2))), "without a vector"
    halves = w.block(w.objects((1, 2), w.floating(0.5), w.text("x")), w.placed(0, 1))
    yield "an index of halves", w.frame(index=halves), "whole number"


def _broken():
    whole = pickle.dumps(pd.DataFrame({"index": [0, 1], "embedding": [[1.0], [2.0]]}))
    for share in (0.02, 0.2, 0.4, 0.6, 0.8, 0.95, 0.99):
        yield f"cut at {share:.0%}", whole[: int(len(whole) * share)], ""
    yield "empty", b"", "empty"
    yield "one byte", b"\x80", "protocol"
    yield "text", b"index,embedding\n0,1\n", "protocol"
    yield "compressed", gzip.compress(whole), "protocol"
    yield "protocol 0", pickle.dumps([1], 0), "protocol"
    yield "protocol 9", b"\x80\x09N.", "protocol"
    yield "zeros", bytes(1000), "protocol"
    yield "unknown opcode", w.pickled(b"\xff"), "0xff"
    yield "nothing on the stack", w.pickled(b""), "none at all"
    yield "two on the stack", w.pickled(b"NN"), "left over"
    for code in (
        b"a",
        b"e",
        b"s",
        b"u",
        b"t",
        b"\x85",
        b"\x86",
        b"\x87",
        b"R",
        b"b",
        b"\x81",
        b"\x93",
        b"q\x00",
        b"\x94",
    ):
        yield f"opcode {code[0]:#04x} without anything", w.pickled(code), "not there"
    yield "append to a tuple", w.pickled(b")Na"), "not a list"
    yield "append across a mark", w.pickled(b"](Na"), "not there"
    yield "items of a list", w.pickled(b"](NNu"), "not a dictionary"
    yield "state of a list", w.pickled(b"]Nb"), "not an object"
    yield "a key without a value", w.pickled(b"}(Nu"), "without a value"
    yield "reduce a text", w.pickled(w.text("os.system") + b")R"), "call of something"
    yield "reduce without a tuple", w.pickled(w.name("pandas.DataFrame") + b"]R"), "tuple"
    yield "floats cut short", w.pickled(b"](" + w.floating(1.0) * 3)[:-6], "declares"
    yield "out-of-band buffer", w.pickled(b"\x97"), "0x97"
    yield "old text", w.pickled(b"U\x04abcd"), "0x55"
    yield "None", w.pickled(b"N"), "not a pandas frame"
    yield "a list", w.pickled(b"]"), "not a pandas frame"
    yield "surrogates", w.pickled(b"X\x02\x00\x00\x00\xff\xff"), "UTF-8"
