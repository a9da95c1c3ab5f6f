"""Explanations that are embedded by a given model."""

from explanations.fixtures import source
from sfal.embeddings.embedders import EmbedderRef
from sfal.embeddings.source_embeddings import embed_source
from sfal.explanations.source_explanations import explanations_of

HUB = EmbedderRef("someone/model")


def embed(tmp_path, embedder, ref=HUB):
    table = explanations_of(source(tmp_path))
    return embed_source(source(tmp_path), table, ref, lambda: embedder)


def never():
    raise AssertionError("the model was loaded although there was nothing to embed")
