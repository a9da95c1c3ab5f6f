"""Mutations of files: of bytes, of the content of containers, and of values in JSON and TOML."""

import copy
import gzip
import io
import json
import struct
import zipfile

import zstandard

_BYTES = (0, 1, 0x7F, 0x80, 0xFF, 10, 13, 34, 44, 92)
_NUMBERS = (0, 1, 0xFF, 1 << 15, 1 << 31, (1 << 31) - 1, (1 << 32) - 1, 1 << 40, (1 << 63) - 1)
_VALUES = (
    None, True, False, 0, -1, 1 << 31, 1 << 63, 1 << 70, -(1 << 70), 0.5, -0.0, 1e308, "", "x" * 5000,
    "..", "../../etc/passwd", "/etc/passwd", "a\0b", "\ud800", "\x1b[2J", "__import__('os')", [], {},
    [None], [[[]]], {"": None}, {"in": -1}, [1e400], float("nan"), float("inf"),
)  # fmt: skip


def mutated(rng, name, data, others):
    """Return a file's content, changed according to its kind.

    Parameters
    ----------
    rng : random.Random
    name : str
        File name, whose ending tells the kind of content.
    data : bytes
        The content.
    others : list of bytes
        Contents to splice with.
    """
    if rng.random() < 0.7:
        if name.endswith(".json"):
            return _json(rng, data)
        if name.endswith(".jsonl"):
            return _lines(rng, data, others)
        if name.endswith(".gz"):
            return gzip.compress(mutated(rng, name[:-3], gzip.decompress(data), others), mtime=0)
        if name.endswith(".zst"):
            return zstandard.compress(mutated(rng, name[:-4], zstandard.decompress(data), others))
        if name.endswith(".npz") or (data[:2] == b"PK" and name.endswith((".pt", ".pth"))):
            return _member(rng, data, others)
        if name.endswith(".toml"):
            return _toml(rng, data)
    return _bytes(rng, data, others)


def _bytes(rng, data, others):
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at = rng.randrange(len(changed) + 1)
        length = rng.choice((1, 2, 4, 8, 64, len(changed)))
        kind = rng.randrange(8)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(changed):
            changed[at] = rng.choice(_BYTES)
        elif kind == 2:
            size, code = rng.choice(((2, "H"), (4, "I"), (8, "Q")))
            number = rng.choice(_NUMBERS) & (256**size - 1)
            changed[at : at + size] = struct.pack(rng.choice("<>") + code, number)
        elif kind == 3:
            del changed[at : at + length]
        elif kind == 4:
            changed[at:at] = changed[at : at + length]
        elif kind == 5:
            changed[at:at] = rng.randbytes(min(length, 64))
        elif kind == 6:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            changed[at : at + length] = other[start : start + length]
        else:
            del changed[at:]
    return bytes(changed)


def _member(rng, data, others):
    """Change the content of one member of a zip, with matching sizes and checksums."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info: archive.read(info) for info in archive.infolist()}
    chosen = rng.choice(list(members))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for info, content in members.items():
            content = _bytes(rng, content, others) if info is chosen else content
            archive.writestr(info.filename, content, info.compress_type)
    return out.getvalue()


def _json(rng, data):
    value = json.loads(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(value))
        if not places:
            break
        holder, key = rng.choice(places)
        if rng.random() < 0.2:
            del holder[key]
        elif rng.random() < 0.2:
            holder[key] = str(holder[key])
        else:
            holder[key] = copy.deepcopy(rng.choice(_VALUES))
    return json.dumps(value).encode()


_TOML = (
    "0", "-1", "1.5", "nan", "inf", "true", '""', '"x"', '"../x"', '"/"', "[]", "[[]]", "[1, [2]]",
    "{}", "{a = 1}", "[{a = 1}]", "1979-05-27T07:32:00Z", "9223372036854775807", '"\\u0000"', '"a,b"',
)  # fmt: skip


def _toml(rng, data):
    lines = data.decode().splitlines()
    at = rng.choice([i for i, line in enumerate(lines) if "=" in line])
    lines[at] = f"{lines[at].partition('=')[0]}= {rng.choice(_TOML)}"
    return "\n".join(lines).encode()


def _places(value):
    """Yield every (container, key) inside a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def _lines(rng, data, others):
    lines = data.splitlines()
    at = rng.randrange(len(lines))
    lines[at] = _json(rng, lines[at]) if rng.random() < 0.7 else _bytes(rng, lines[at], others)
    return b"\n".join(lines) + b"\n"
