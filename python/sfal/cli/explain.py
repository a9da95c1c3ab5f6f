"""``sfal explain``: label features by their top tokens, for sources that nobody has explained."""

from typing import TYPE_CHECKING

import click

from sfal.cli.options import Common, command, fail_for

if TYPE_CHECKING:
    from sfal.explanations.driver import LabelResult


@command("explain")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "--words",
    type=click.IntRange(1, 20),
    default=4,
    show_default=True,
    help="Most words of a label.",
)
@click.option("--force", is_flag=True, help="Replace explanations of another kind.")
def explain(common: Common, sources: tuple[str, ...], words: int, force: bool) -> None:
    """Label features by the words on which they fire most strongly.

    For sources that Neuronpedia does not explain. The words come from the
    examples that `sfal cooc` gathers with --examples, in the documents after
    those that are counted. The labels are explanations of type top-tokens by
    sfal, embedded and scored like any other.

    Caution: labels and co-occurrences come from the same SAE on the same kind
    of text, though from other documents. A score with these labels says
    whether features with similar top tokens fire together, not whether an
    independent explanation fits.

    \b
    sfal cooc sae --sae ./my-sae --model ./my-model --site res --layer 3 --examples 2000
    sfal explain my-model/3-my-sae-res
    sfal embeddings embed --source my-model/3-my-sae-res
    """
    from sfal.explanations.driver import explain_features

    results = explain_features(
        sources, common.data_dir, n_words=words, force=force, on_result=_show
    )
    fail_for([result.error for result in results if result.error is not None])


def _show(result: "LabelResult") -> None:
    summary = result.labelled
    if summary is None:
        return
    first, stop = summary.documents
    missing = summary.n_features - summary.n_explained
    click.echo(
        f"{summary.source}: {summary.n_explained:,} of {summary.n_features:,} features labelled "
        f"by their top tokens in documents {first} to {stop - 1} of {summary.corpus}, "
        f"{missing:,} never fire there" + (", unchanged" if summary.unchanged else "")
    )
