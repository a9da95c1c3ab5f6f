"""Stage 3: compare the functional and the semantic neighbourhoods of every feature."""
