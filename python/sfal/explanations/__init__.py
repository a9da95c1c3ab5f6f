"""Stage 2, first half: fetch explanations and choose one per feature."""
