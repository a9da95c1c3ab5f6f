"""The miniature: a complete, tiny subject for SFAL, included in the package.

It consists of a language model of two million parameters with Gemma 2's
architecture, trained on Wikipedia summaries and WordNet; sparse autoencoders on
two of its layers, in Gemma Scope's layout; a word-vector embedder; and text
that none of them was trained on. `README.md` in this folder says what it can
and cannot show.
"""

from pathlib import Path

DATA = Path(__file__).with_name("data")
"""Folder with the miniature's files."""
N_COUNTED = 1000
"""Held-out articles, from the start of the file, in which occurrences are counted."""
N_LABELLED = 600
"""Held-out articles after those, from which labels are made."""
WINDOW_SIZE = 32
"""Tokens per window. A summary has about 135 tokens, so 256, the usual size, would keep almost none."""
