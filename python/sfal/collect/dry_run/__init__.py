"""Estimates of what a run would download, compute and store."""
