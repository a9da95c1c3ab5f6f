"""What tests of stage 2 begin with: an export on a server, explanations chosen, texts embedded."""

from servers import exports
from sfal.embeddings.driver import embed_explanations
from sfal.embeddings.embedders import EmbedderRef
from sfal.explanations.driver import DownloadSettings, explanations_of
from sfal.io.http import Patience
from sfal.store.explanations import read_explanations
from sfal.store.targets import ExplainedSource

SOURCE = ExplainedSource(exports.SOURCE, exports.SOURCE)
QUICK = DownloadSettings(patience=Patience(rate_seconds=0.5, first_wait=0.01, attempts=2))
HUB = EmbedderRef("someone/model")


def export(n=6, **fields):
    """Two batches: n features of the published kind, and two further of another."""
    return exports.export(
        [
            [exports.record(i, **fields) for i in range(n)],
            [exports.newer_record(i) for i in range(n + 2)],
        ]
    )


def folder(tmp_path):
    return tmp_path / exports.SOURCE


def texts(tmp_path):
    table = read_explanations(folder(tmp_path))
    return dict(
        zip(
            table.column("feature").to_pylist(),
            table.column("explanation").to_pylist(),
            strict=True,
        )
    )


def embed(tmp_path, embedder, ref=HUB, source=SOURCE):
    table = explanations_of(source, tmp_path)
    return embed_explanations(source, tmp_path, table, ref, lambda: embedder)


def never():
    raise AssertionError("the model was loaded though nothing was to be embedded")
