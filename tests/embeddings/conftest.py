"""A server with an export, for tests of more than one module."""

import pytest

from explanations import fixtures
from servers import s3


@pytest.fixture
def bucket(monkeypatch):
    with s3.serve(fixtures.export()) as bucket:
        monkeypatch.setenv("SFAL_NEURONPEDIA_URL", bucket.url)
        yield bucket
