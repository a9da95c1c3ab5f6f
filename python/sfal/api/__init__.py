"""The stages as functions over arrays and tables: what a notebook calls."""
