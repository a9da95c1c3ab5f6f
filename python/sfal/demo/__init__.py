"""A complete, tiny subject for SFAL that travels inside the package.

A Gemma-2-architecture language model of two million parameters, trained on
Wikipedia summaries and WordNet, sparse autoencoders on two of its layers in
Gemma Scope's layout, a word-vector embedder, and text that none of them was
trained on. `README.md` beside this file says what it can and cannot show.
"""

from pathlib import Path

DATA = Path(__file__).with_name("data")
"""Folder of the miniature's files."""
N_COUNTED = 1000
"""Held-out articles, the first of the file, over which occurrences are counted."""
N_LABELLED = 600
"""Held-out articles behind them, in which labels are looked for."""
WINDOW_SIZE = 32
"""Tokens a window. A summary has some 135 tokens: 256, the usual size, would keep next to none."""
