"""Sparse autoencoders: file layouts, loaders, gates."""
