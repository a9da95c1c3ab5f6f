"""Scores, labels and neighbours of a source as files for other tools."""
