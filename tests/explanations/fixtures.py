"""An export on a server, and explanations that were chosen from it."""

from servers import exports
from sfal.explanations.settings import DownloadSettings
from sfal.io.web.http import Patience
from sfal.store.explanations import read_explanations
from sfal.store.manifest import Manifest
from sfal.store.records import SourceRecord
from sfal.store.source_folder import SourceFolder

QUICK = DownloadSettings(patience=Patience(rate_seconds=0.5, first_wait=0.01, attempts=2))


def export(n=6, **fields):
    """Return two batches: n features of the published kind, and n + 2 of another."""
    return exports.export(
        [
            [exports.record(i, **fields) for i in range(n)],
            [exports.newer_record(i) for i in range(n + 2)],
        ]
    )


def source(tmp_path, name=exports.SOURCE):
    return SourceFolder.open(tmp_path, name)


def counted_source(tmp_path, n_features, name=exports.SOURCE):
    """Return a source whose manifest says how many features it has."""
    found = source(tmp_path, name)
    record = SourceRecord(name, neuronpedia_id=name)
    Manifest(source=record, n_features=n_features, settings={}, n_docs=10).save(found.path)
    return found


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
