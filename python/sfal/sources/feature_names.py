"""Names under which files that others made hold the index of a feature."""

import re

FEATURE_NAMES = tuple(
    f"{noun}{ending}"
    for noun in ("feature", "latent", "neuron", "sae_feature", "sae_latent", "feat")
    for ending in ("", "_id", "_index", "_idx", "_number", "_num", "_no")
)
"""Names of columns, the preferred one first; see :func:`plain`."""


def plain(name: str) -> str:
    """Return a column's name in lower case and without separators, as names are compared.

    Examples
    --------
    >>> plain("Latent-ID") == plain("latent_id")
    True
    """
    return re.sub(r"[^a-z0-9]", "", name.lower())
