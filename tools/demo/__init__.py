"""The recipe for the miniature: `python -m tools.demo`."""
