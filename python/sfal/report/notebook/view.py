"""``sfal.view``: the page of some sources, or of one feature, in Jupyter and marimo."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from numpy.typing import ArrayLike

from sfal.errors import InvalidInputError, MissingDependencyError
from sfal.report.html import render_page
from sfal.report.notebook.tables import table_data
from sfal.report.source_data import SourceData
from sfal.report.write import payload_of, read_sources
from sfal.scoring.selection import Selection

if TYPE_CHECKING:
    import pyarrow as pa

    from sfal._core import Histogram, Occurrences
    from sfal.report.notebook.widget import ReportWidget

_log = logging.getLogger(__name__)


def view(
    source_or_table: Any,
    feature: int | None = None,
    *,
    data_dir: str | Path = "sfal-data",
    embedder: str | None = None,
    explainer: str | None = None,
    run: str | None = None,
    occurrences: "Occurrences | Histogram | None" = None,
    embeddings: ArrayLike | None = None,
    labels: Sequence[str] | Mapping[int, str] | None = None,
    max_mb: float = 10,
    height: int = 800,
) -> "ReportWidget":
    """Show scores, labels and neighbours in a notebook.

    Parameters
    ----------
    source_or_table : str, sequence of str, or table
        Name of a source on disk, or several; or a table. That of :func:`sfal.score` shows the
        sources that it names, as they are on disk. That of :func:`sfal.score_features` needs
        `occurrences` and `embeddings`. Tables may be of pyarrow, pandas or polars.
    feature : int, optional
        Feature that is open, of the first source; default: none.
    data_dir : str or Path
        Root of the data tree.
    embedder, explainer, run : str, optional
        Embedder, explainer and run of the sources; default: all, and the source's own run.
    occurrences : Occurrences or Histogram, optional
        Counts that a table in memory was computed from.
    embeddings : array of shape (n_features, D), optional
        Vectors that it was computed from.
    labels : sequence or mapping of str, optional
        Label by feature, for a table in memory.
    max_mb : float
        Most megabytes of the page, which the notebook keeps; lists are shortened to fit.
    height : int
        Height in pixels.

    Returns
    -------
    widget : anywidget.AnyWidget
        What a cell shows; set its `height` to change that.

    Raises
    ------
    MissingDependencyError
        If anywidget is not installed.
    InvalidInputError
        If there is no such feature, or a table in memory lacks what it was computed from.
    SfalError
        If a source is missing or has not been scored.

    Examples
    --------
    >>> sfal.view("gemma-2-2b/0-gemmascope-res-16k", 1234)  # doctest: +SKIP
    """
    try:
        from sfal.report.notebook.widget import ReportWidget
    except ImportError as e:
        raise MissingDependencyError(
            "sfal.view() needs anywidget",
            hint="`pip install '.[notebook]'` in SFAL's clone installs it",
        ) from e
    names = _names(source_or_table)
    if names is None:
        if occurrences is None or embeddings is None:
            raise InvalidInputError(
                "a table alone does not say which features are near each other",
                hint="give the occurrences and embeddings that it was computed from, too",
            )
        sources: Sequence[SourceData] = [
            table_data(_arrow(source_or_table), occurrences, embeddings, labels)
        ]
    else:
        chosen = [(one,) if one else () for one in (embedder, explainer)]
        selection = Selection(sources=names, embeddings=chosen[0], explainers=chosen[1], run=run)
        found = read_sources(Path(data_dir), selection)
        for message in [*found.refused, *found.notes]:
            _log.warning("%s", message)
        sources = found.sources
    payload = payload_of(sources, max_mb)
    return ReportWidget(
        html=render_page(payload), opened=_address(sources[0], feature), height=height
    )


def _names(given: Any) -> tuple[str, ...] | None:
    """Return the names of sources on disk; None for a table in memory."""
    if isinstance(given, str):
        return (given,)
    if isinstance(given, Sequence) and given and all(isinstance(one, str) for one in given):
        return tuple(given)
    table = _arrow(given)
    if "source" not in table.column_names:
        return None
    return tuple(dict.fromkeys(table.column("source").to_pylist()))


def _arrow(table: Any) -> "pa.Table":
    import pyarrow as pa

    if isinstance(table, pa.Table):
        return table
    if not hasattr(table, "__arrow_c_stream__"):
        raise InvalidInputError(
            f"a {type(table).__name__} is neither the name of a source nor a table",
            hint="give a name such as gemma-2-2b/0-gemmascope-res-16k, or a table of scores",
        )
    return pa.table(table)


def _address(source: SourceData, feature: int | None) -> str:
    """Return the fragment that opens a feature; empty without one."""
    if feature is None:
        return ""
    n = len(source.windows)
    if not 0 <= feature < n:
        raise InvalidInputError(
            f"{source.source.name} has no feature {feature}; it has 0 to {n - 1}"
        )
    return f"#/{quote(source.source.name)}/{int(feature)}"
