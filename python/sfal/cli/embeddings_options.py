"""Options of ``sfal embeddings``, in the groups in which its commands take them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sfal.cli.param_types import INTEGERS, MANY

_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _options(*options: _Decorator) -> _Decorator:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


PRESET_OPTIONS = ("model", "layers", "sae_type", "sae_features", "target_l0")
"""Options that choose sources of a family instead of by name."""

sources_options = _options(
    click.option(
        "--source",
        "names",
        type=MANY,
        default=(),
        help="Sources by Neuronpedia id, such as gemma-2-2b/0-gemmascope-res-16k. "
        "Default: all that lie in the data folder, else those of `sfal cooc gemma`.",
    ),
    click.option("--model", help="Instead: gemma, llama, or such a model's hub id."),
    click.option("--layers", type=INTEGERS, help="With --model: layers; default: the preset's."),
    click.option("--sae-type", type=MANY, help="With --model: res, mlp, att; default: res."),
    click.option("--sae-features", default=None, help="With --model: width, such as 16k or 8x."),
    click.option("--target-l0", type=click.IntRange(1), help="With --model: L0 of the SAE."),
)
choice_options = _options(
    click.option(
        "--explainer",
        type=MANY,
        default=None,
        help="Only explanations by these models, the first ones first. "
        "Default: gpt-4o-mini, then any other.",
    ),
    click.option(
        "--type",
        "types",
        type=MANY,
        default=None,
        help="Only explanations of these types, the first ones first. "
        "Default: oai_token-act-pair, then any other.",
    ),
)
file_options = click.option(
    "--explanations",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Take them from this CSV, JSONL or Parquet file (columns feature, explanation).",
)
embedding_options = _options(
    click.option(
        "--embedding-model",
        "models",
        type=MANY,
        default=None,
        help="Hub ids, folders, or neuronpedia for the export's own vectors. "
        "Default: Qwen/Qwen3-Embedding-0.6B.",
    ),
    click.option("--embedding-name", help="Name of a folder's model, instead of local/FOLDER."),
    click.option("--revision", help="Commit, branch or tag of a hub model."),
    click.option("--batch-size", type=click.IntRange(1, 4096), default=32, show_default=True),
    click.option(
        "--trust-remote-code",
        is_flag=True,
        help="Let the model's own repository run code here (gte-Qwen2 and bilingual need it).",
    ),
)
