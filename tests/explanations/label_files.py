"""Label files, and what is read from them."""

import json
from collections import Counter

from sfal.explanations.user_files.columns import LabelColumns
from sfal.explanations.user_files.reader import LabelPlace, read_explanations_file

TEXTS = {0: "zero", 3: "three, naïve", 12: "twelve"}


def read(path, **place):
    left_out = Counter()
    records = list(read_explanations_file(path, left_out, LabelPlace(**place)))
    return {r.feature: r.text for r in records}, left_out


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def as_json(path, document):
    return write(path, json.dumps(document))


def note_of(path, **columns):
    notes = []
    for _ in read_explanations_file(path, Counter(), None, LabelColumns(**columns), notes):
        pass
    return [note.message for note in notes]
