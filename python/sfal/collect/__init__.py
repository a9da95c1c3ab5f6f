"""Stage 1: which features occur in which windows of a corpus."""
