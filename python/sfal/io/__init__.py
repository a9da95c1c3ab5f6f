"""Bytes: files, locks, downloads and the hub. Knows nothing of features or windows."""
