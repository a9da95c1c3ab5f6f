"""Firing rates on Neuronpedia beside ours: a check of what was counted.

If an SAE reads at another place or on another scale than the one that was
explained, different features fire. The batches below ``features/`` of
Neuronpedia's export say how often each feature fired on its dashboards
(``frac_nonzero``). Texts and units differ from ours, so only the order of the
features is compared.
"""

import json
import logging
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from sfal.errors import Note, SfalError
from sfal.explanations.records import feature_number
from sfal.io.atomic import read_json, write_json
from sfal.io.gzip_lines import DamagedGzipError, ExpansionLimits, lines
from sfal.io.web.http import Client, Patience
from sfal.io.web.http_errors import NotFoundError
from sfal.io.web.s3 import StoredObject, list_bucket
from sfal.sources.neuronpedia import ADDRESS_HINT, base_url
from sfal.store.layout import EXPORT
from sfal.store.parts import iterate_parts
from sfal.store.source_folder import SourceFolder

_log = logging.getLogger(__name__)

LEAST_CORRELATION = 0.5
"""Rank correlation below which the features that fire are probably others."""

_FILE = "firing-rates.json"
_MAX_BATCHES = 4
_MAX_BYTES = 64 << 20
"""Most bytes that are fetched for the check."""
_MAX_WINDOWS = 20_000
_MIN_WINDOWS = 100
_MIN_FEATURES = 30
"""Features in common that must fire; in less text, or among fewer, the order is chance."""
_LIMITS = ExpansionLimits(max_line_bytes=16 << 20)


def check_firing_rates(source: SourceFolder, patience: Patience | None = None) -> Note | None:
    """Compare how often features fire here and on Neuronpedia's dashboards.

    Parameters
    ----------
    source : SourceFolder
        The source. Nothing is done unless it is on Neuronpedia and has been counted.
    patience : Patience, optional
        Time limits of the network.

    Returns
    -------
    Note or None
        A note if the rates rank the features differently. None if they agree,
        or if they cannot be compared: a check must not stop anything.
    """
    if source.neuronpedia_id is None:
        return None
    try:
        ours = _our_rates(source)
        if ours is None:
            return None
        theirs = _their_rates(source, source.neuronpedia_id, patience or Patience(attempts=1))
    except (SfalError, DamagedGzipError, OSError) as e:
        _log.info("%s: firing rates are not compared: %s", source.name, e)
        return None
    common = [feature for feature in sorted(theirs) if feature < len(ours)]
    if np.count_nonzero(ours[common]) < _MIN_FEATURES:
        return None
    correlation = _spearman(ours[common], np.array([theirs[feature] for feature in common]))
    if correlation is None or correlation >= LEAST_CORRELATION:
        return None
    return Note(
        f"{source.name}: {len(common):,} features fire in another order of frequency than on "
        f"Neuronpedia's dashboards (rank correlation {correlation:.2f}): what was counted is "
        "probably not the SAE that was explained, or it reads elsewhere or on another scale",
        hint="compare $site, $layer and $input_scale with the SAE's documentation",
    )


def _our_rates(source: SourceFolder) -> NDArray[np.int64] | None:
    """Return in how many of the first windows each feature fires; None if too few were counted."""
    for run in source.all_runs:
        manifest = run.readable_manifest
        if manifest is None or manifest.n_windows < _MIN_WINDOWS:
            continue
        counts = np.zeros(manifest.n_features, dtype=np.int64)
        n_windows = 0
        for windows in iterate_parts(run.path, manifest):
            counts += np.bincount(windows.indices, minlength=manifest.n_features)
            n_windows += len(windows.indptr) - 1
            if n_windows >= _MAX_WINDOWS:
                break
        return counts
    return None


def _their_rates(source: SourceFolder, neuronpedia_id: str, patience: Patience) -> dict[int, float]:
    """Return ``frac_nonzero`` by feature, fetched once and then kept beside the export."""
    path = source.path / EXPORT / _FILE
    if path.exists():
        kept = read_json(path)
        if isinstance(kept, dict) and kept.get("source") == neuronpedia_id:
            rates = kept.get("frac_nonzero")
            if isinstance(rates, dict):
                return _checked(rates)
    client = Client(base_url(), patience, ADDRESS_HINT)
    listing = list_bucket(client, f"v1/{neuronpedia_id}/features/batch-", max_pages=2)
    found: dict[int, float] = {}
    for stored in _some(listing.objects):
        with TemporaryDirectory(prefix="sfal-") as folder:
            batch = Path(folder) / "batch.jsonl.gz"
            try:
                client.retry(stored.key, partial(_fetch, client, stored, batch))
            except NotFoundError:
                continue
            found |= _rates_in(batch)
    write_json(path, {"source": neuronpedia_id, "frac_nonzero": {str(k): found[k] for k in found}})
    return found


def _some(objects: tuple[StoredObject, ...]) -> list[StoredObject]:
    """Return a few batches from all over the SAE, as many as the limit of bytes allows."""
    small = [o for o in objects if o.key.endswith(".jsonl.gz") and o.size <= _MAX_BYTES]
    step = max(1, len(small) // _MAX_BATCHES)
    chosen: list[StoredObject] = []
    for stored in small[::step][:_MAX_BATCHES]:
        if sum(o.size for o in chosen) + stored.size <= _MAX_BYTES:
            chosen.append(stored)
    return chosen


def _fetch(client: Client, stored: StoredObject, path: Path) -> None:
    with path.open("wb") as file:
        client.get(stored.key, file, stored.size)


def _rates_in(batch: Path) -> dict[int, float]:
    found: dict[str, object] = {}
    for line in lines(batch, _LIMITS):
        try:
            row = json.loads(line) if line else None
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            found[str(row.get("index"))] = row.get("frac_nonzero")
    return _checked(found)


def _checked(rates: dict[str, object]) -> dict[int, float]:
    found = {}
    for index, rate in rates.items():
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
            continue
        try:
            found[feature_number(index)] = float(rate)
        except ValueError:
            continue
    return found


def _spearman(a: NDArray[np.int64], b: NDArray[np.float64]) -> float | None:
    """Return the rank correlation, ties by mean rank; None if one of them is constant."""
    from scipy.stats import rankdata

    x, y = rankdata(a), rankdata(b)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])
