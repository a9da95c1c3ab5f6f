"""``sfal explain``: labels from top activating tokens, where nobody has explained a source."""

from typing import TYPE_CHECKING

import click

from sfal.cli.interrupt import stopped
from sfal.cli.options import Common, command, fail_for
from sfal.errors import SfalError

if TYPE_CHECKING:
    from sfal.explanations.from_examples import LabelSummary


@command("explain")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "--words", type=click.IntRange(1, 20), default=4, show_default=True, help="Words of a label."
)
@click.option("--force", is_flag=True, help="Replace explanations of another kind.")
def explain(common: Common, sources: tuple[str, ...], words: int, force: bool) -> None:
    """Label features by the words on which they fire most strongly.

    For sources that Neuronpedia does not explain. The words come from the
    examples that `sfal cooc` gathers with --examples, in documents behind
    those that are counted. The labels are explanations of type top-tokens by
    sfal, embedded and scored like any other.

    A caution: labels and co-occurrences come from the same SAE on the same
    kind of text, though from other documents. A score with these labels says
    whether features with like top tokens fire together, not whether an
    independent explanation fits.

    \b
    sfal cooc sae --sae ./my-sae --model ./my-model --site res --layer 3 --examples 2000
    sfal explain my-model/3-my-sae-res
    sfal embeddings embed --source my-model/3-my-sae-res
    """
    from sfal.explanations.from_examples import explain_source

    refused: list[SfalError] = []
    for name in dict.fromkeys(sources):
        try:
            with stopped(f"while labelling {name}"):
                summary = explain_source(name, common.data_dir, words, force=force)
        except SfalError as e:
            refused.append(e)
            continue
        click.echo(_describe(summary))
    fail_for(refused)


def _describe(summary: "LabelSummary") -> str:
    first, stop = summary.documents
    missing = summary.n_features - summary.n_explained
    return (
        f"{summary.source}: {summary.n_explained:,} of {summary.n_features:,} features labelled "
        f"by their top tokens in documents {first} to {stop - 1} of {summary.corpus}, "
        f"{missing:,} never fire there" + (", unchanged" if summary.unchanged else "")
    )
