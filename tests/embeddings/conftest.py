"""Fixtures of more than one module."""

import pytest

from embeddings import staged
from servers import s3


@pytest.fixture
def bucket(monkeypatch):
    with s3.serve(staged.export()) as bucket:
        monkeypatch.setenv("SFAL_NEURONPEDIA_URL", bucket.url)
        yield bucket
