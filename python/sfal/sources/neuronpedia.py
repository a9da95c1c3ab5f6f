"""What Neuronpedia's public export says about a source: which SAE was explained.

``v1/{model}/{source}/source.jsonl`` is the source's row in Neuronpedia's
database. It names the SAE by its SAELens release, by its folder in a
repository of the hub, or by both, so a source can be counted although SAELens'
registry does not know it.
"""

import io
import json
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sfal.errors import CorruptError, Note, SfalError
from sfal.io.web.http import Client, Patience
from sfal.io.web.http_errors import NotFoundError
from sfal.store.layout import check_name

_log = logging.getLogger(__name__)

DEFAULT_URL = "https://neuronpedia-datasets.s3.us-east-1.amazonaws.com"
ADDRESS_HINT = "check the network and SFAL_NEURONPEDIA_URL"
"""What to do if the bucket does not answer."""

_MAX_BYTES = 4 << 20
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_UNNORMALISED = re.compile(r"gemma-2-2b/\d+-gemmascope-transcoder-16k")


@dataclass(frozen=True)
class ExplainedSae:
    """The SAE of a source, as Neuronpedia records it."""

    release: str | None = None
    """SAELens release."""
    sae_id: str | None = None
    """SAELens id inside the release."""
    repo_id: str | None = None
    """Repository on the hub."""
    folder: str | None = None
    """Folder inside the repository; empty: its root."""
    config: dict[str, Any] = field(default_factory=dict)
    """The SAE's configuration as SAELens had it; often empty."""

    @classmethod
    def parse(cls, content: bytes, what: str) -> "ExplainedSae":
        """Read ``source.jsonl``: one JSON object on its first line.

        Raises
        ------
        CorruptError
            If it is something else.
        """
        try:
            lines = content.decode("utf-8-sig").strip().splitlines()
            row = json.loads(lines[0]) if lines else None
        except (ValueError, RecursionError) as e:
            raise CorruptError(f"{what} cannot be read as JSON") from e
        if not isinstance(row, dict):
            raise CorruptError(f"{what} is not a JSON object")
        config = row.get("saelensConfig")
        if isinstance(config, str):
            try:
                config = json.loads(config)
            except (ValueError, RecursionError):
                config = None
        repo_id, folder = _text(row.get("hfRepoId")), _text(row.get("hfFolderId"), empty=True)
        if repo_id is not None:
            # Both are sometimes kept as addresses, or the folder with the repository in front.
            repo_id = repo_id.removeprefix("https://huggingface.co/").strip("/")
            repo_id = repo_id if _REPOSITORY.fullmatch(repo_id) else None
        return cls(
            release=_text(row.get("saelensRelease")),
            sae_id=_text(row.get("saelensSaeId")),
            repo_id=repo_id,
            folder=None if folder is None else folder.strip("/"),
            config=config if isinstance(config, dict) else {},
        )

    def places(self) -> Iterator[tuple[str, str | None]]:
        """Yield where the SAE may be: release or repository, and id or folder."""
        if self.release and self.sae_id:
            yield self.release, self.sae_id
        if self.repo_id:
            yield self.repo_id, self.folder or None


def base_url() -> str:
    """Return the export's address: ``$SFAL_NEURONPEDIA_URL``, or Neuronpedia's bucket."""
    return os.environ.get("SFAL_NEURONPEDIA_URL", "").strip() or DEFAULT_URL


def explained_sae(neuronpedia_id: str, patience: Patience | None = None) -> ExplainedSae | None:
    """Return what Neuronpedia's export says about a source; None if it has no such source.

    Parameters
    ----------
    neuronpedia_id : str
        Such as ``gemma-2-2b/0-gemmascope-res-16k``.
    patience : Patience, optional
        Time limits; by default a single attempt.

    Raises
    ------
    DownloadError
        If the export cannot be reached.
    CorruptError
        If its record of the source cannot be read.
    """
    if neuronpedia_id.count("/") != 1:
        return None
    try:
        key = f"v1/{check_name(neuronpedia_id, 'Neuronpedia id')}/source.jsonl"
    except SfalError:
        return None
    client = Client(base_url(), patience or Patience(attempts=1), ADDRESS_HINT)
    body = io.BytesIO()

    def attempt() -> None:
        body.seek(0)
        body.truncate()
        client.get(key, body, _MAX_BYTES)

    try:
        client.retry(key, attempt)
    except NotFoundError:
        return None
    return ExplainedSae.parse(body.getvalue(), f"{client.base_url}/{key}")


def explanation_notes(neuronpedia_id: str | None) -> tuple[Note, ...]:
    """Return what the user should know about the explanations of a source on Neuronpedia."""
    if neuronpedia_id is None or not _UNNORMALISED.fullmatch(neuronpedia_id):
        return ()
    return (
        Note(
            f"{neuronpedia_id} was explained on another tensor than the one that its transcoder "
            "was trained on: the dashboards encode the stream before the norm of the MLP, so the "
            "explanations are of other firings than those that are counted"
        ),
    )


def _text(value: object, *, empty: bool = False) -> str | None:
    if not isinstance(value, str) or len(value) > 500 or not value.isprintable():
        return None
    text = value.strip()
    return text if text or empty else None
