"""Scores as files: the long Parquet table of each source and the wide CSV of all."""
