"""The recipe that makes the miniature: `python -m tools.demo`."""
