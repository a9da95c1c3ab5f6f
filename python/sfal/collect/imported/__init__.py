"""Firings that others made: read from their files and stored as a run like any other."""
