"""Readers of the published scripts' files: histograms and pickled embeddings."""
