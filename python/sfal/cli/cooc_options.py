"""Options of ``sfal cooc gemma``, ``llama`` and ``sae``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sfal.cli.param_types import InputScale

_PATH = click.Path(path_type=Path)
_POSITIVE = click.IntRange(min=1)

_SHARED = [
    click.option(
        "--n-docs",
        type=_POSITIVE,
        default=10_000,
        show_default=True,
        help="Documents, the first of the corpus, empty ones counted.",
    ),
    click.option(
        "--k", type=_POSITIVE, default=256, show_default=True, help="Window size in tokens."
    ),
    click.option(
        "--max-length",
        type=click.IntRange(min=2),
        default=1024,
        show_default=True,
        help="Tokens kept of a document, BOS included.",
    ),
    click.option(
        "--tail",
        type=click.Choice(["drop", "keep"]),
        default="drop",
        show_default=True,
        help="A shorter window at a document's end; keep: kept from k/2 tokens on.",
    ),
    click.option(
        "--text-column",
        default="text",
        show_default=True,
        help="Column of the corpus, or key of its JSON lines, with the text.",
    ),
    click.option("--corpus-config", help="Configuration of a data set of the hub."),
    click.option("--split", default="train", show_default=True, help="Split of a data set."),
    click.option("--corpus-revision", help="Commit of a data set of the hub."),
    click.option("--revision", help="Commit of the language model on the hub."),
    click.option("--trust-remote-code", is_flag=True, help="Let the model's own Python code run."),
    click.option(
        "--shard", metavar="I/N", help="Count the I-th of N disjoint shares of the documents."
    ),
    click.option(
        "--batch-tokens",
        type=_POSITIVE,
        default=8192,
        show_default=True,
        help="Tokens that pass the model at once, padding included.",
    ),
    click.option("--dtype", default="auto", show_default=True, help="Of the language model."),
    click.option("--sae-dtype", default="float32", show_default=True, help="Of the SAEs."),
    click.option(
        "--top-k",
        type=_POSITIVE,
        help="Fire only the K greatest features of a token, instead of the SAE's own gate.",
    ),
    click.option(
        "--input-scale",
        type=InputScale(),
        default="auto",
        show_default=True,
        help="Factor on an SAE's input; auto: as SAELens loads it.",
    ),
    click.option(
        "--decoder-norm-gate",
        is_flag=True,
        help="Weigh features by their decoder's norm before the gate.",
    ),
    click.option(
        "--examples",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        metavar="M",
        help="Keep the strongest tokens of every feature in the M documents behind those "
        "counted, for `sfal explain`.",
    ),
    click.option(
        "--part-windows",
        type=_POSITIVE,
        default=8192,
        show_default=True,
        help="Windows after which a part is written.",
    ),
    click.option(
        "--histogram",
        type=click.Choice(["npz", "none"]),
        default="npz",
        show_default=True,
        help="Whether to write the counts as the published scripts do.",
    ),
    click.option("--save-dir", type=_PATH, help="Folder of the .npz; default: the source's."),
    click.option("--source", "source_name", metavar="NAME", help="Folder name of the source."),
    click.option("--run", metavar="NAME", help="Name of a further run, with other settings."),
    click.option(
        "--resume", is_flag=True, help="Check all parts first, redo what is missing or damaged."
    ),
    click.option(
        "--dry-run",
        is_flag=True,
        help="Say what would be downloaded, computed and stored, and how long it would take; do "
        "nothing else.",
    ),
]


def shared(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that all commands of stage 1 take."""
    for option in reversed(_SHARED):
        function = option(function)
    return function


def corpus(default: str) -> Callable[..., Any]:
    """Add --corpus, with the family's default."""
    return click.option(
        "--corpus",
        default=default,
        show_default=True,
        help="Hub id, or a local .txt, .jsonl[.gz|.zst] or .parquet file.",
    )
