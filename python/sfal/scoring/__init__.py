"""Stage 3: compare the functional and the semantic neighbourhood of every feature."""
