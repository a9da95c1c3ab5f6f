"""The recipe that makes the miniature: `python -m sfal.demo.build`."""
