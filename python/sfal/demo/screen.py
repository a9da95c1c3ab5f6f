"""The text that the demo prints at its end."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sfal.demo import N_COUNTED, N_LABELLED, WINDOW_SIZE
from sfal.report.audit import suspect_lines
from sfal.terminal.table import Column, cut, one_line, render_table, side_by_side

if TYPE_CHECKING:
    from sfal.demo.run import LayerOutcome
    from sfal.scoring.feature import FeatureView, Neighbour

N_SUSPECTS = 3
"""Labels that are probably wrong to show."""
NEAR = 50
"""Length of the start of the other list in which a neighbour counts as a match."""


def screen(layers: "Sequence[LayerOutcome]", figures: Mapping[str, Any], width: int) -> list[str]:
    """Return lines that tell a newcomer what was done and found.

    Parameters
    ----------
    layers : sequence of LayerOutcome
        By layer; the examples are from the last one.
    figures : mapping
        What the recipe measured about the miniature.
    width : int
        Columns.
    """
    last = layers[-1]
    return [
        *_heading("What was counted", width),
        *_paragraph(_counted(last, figures), width),
        *_heading("Do features with similar meanings also fire together?", width),
        *_table(layers),
        "",
        *_paragraph(
            "1: a feature's label places it exactly among the features it fires with. 0: no "
            f"better than a random order, whose NDCG is {last.chance:.3f} here. If the labels are "
            "shuffled among the features, the score falls to about 0, so it does measure "
            "whether the right labels are on the right features.",
            width,
        ),
        *_heading(f"Best explained in layer {last.layer}", width),
        *_paragraph(
            "Left: features that fire in the same windows (phi: correlation). Right: features "
            "with similar labels (cosine similarity of their vectors). #N: place in the other "
            f"list. *: a match, among the first {NEAR} there.",
            width,
        ),
        "",
        *_views(last.best, width),
        *_heading(f"Worst explained in layer {last.layer}", width),
        *_views(last.worst, width),
        *_heading(f"The decision: labels in layer {last.layer} that are probably wrong", width),
        *_paragraph(_suspicion(last), width),
        *_suspects(last, width),
        *_heading("Does that find labels that are known to be wrong?", width),
        *_paragraph(_planted(last), width),
        "",
        *_paragraph(
            "The examples are features that fire in 1 to 15 % of the windows and have at least "
            "three whole words in their label. A low score may mean a bad label or a bad "
            "feature, or that features with similar meanings need not fire together. Labels and "
            "co-occurrences come from the same SAE, though from different articles.",
            width,
        ),
    ]


def _counted(last: "LayerOutcome", figures: Mapping[str, Any]) -> str:
    model = figures["language_model"]
    return (
        f"A language model with {model['parameters'] / 1e6:.1f} million parameters (Gemma 2's "
        f"architecture, trained on Wikipedia summaries and WordNet) read {N_COUNTED:,} articles "
        f"that it had never seen: {last.n_windows:,} windows of {WINDOW_SIZE} tokens. In two of "
        f"its layers, a sparse autoencoder splits the activations into {last.n_features:,} "
        "features. A feature's label is the words on which it fires most strongly in "
        f"{N_LABELLED} other articles."
    )


def _suspicion(last: "LayerOutcome") -> str:
    n, of = len(last.audit.suspects), last.audit.n_labels
    return (
        f"Every label was tried on every feature. For {n:,} features, more than one in twenty of the "
        f"{of:,} labels fits what the feature does at least as well as its own. The worst, with labels "
        "that would fit better:"
    )


def _suspects(last: "LayerOutcome", width: int) -> Iterator[str]:
    for one in last.audit.suspects[:N_SUSPECTS]:
        yield ""
        yield from suspect_lines(one, last.audit.n_labels, width)


def _planted(last: "LayerOutcome") -> str:
    planted = last.planted
    if planted is None:
        return ""
    return (
        f"As a test, the labels of {planted.n_wrong:,} features were exchanged in pairs. A wrong label "
        f"has a worse rank than a right one in {100 * planted.auc:.0f} % of all comparisons (50 % is chance), "
        f"and for {100 * planted.in_ten_best:.0f} % of the wrong ones, the right label is among the ten that "
        f"fit best, of {planted.n:,}."
    )


def _table(layers: "Sequence[LayerOutcome]") -> list[str]:
    titles = ("features", "median score", "labels shuffled")
    columns = [Column(), *(Column(title, "right") for title in titles)]
    rows = [
        (f"layer {o.layer}", f"{o.n_scored:,}", f"{o.median:+.3f}", f"{o.shuffled:+.3f}")
        for o in layers
    ]
    return render_table(columns, rows, indent="  ", separator="    ")


def _views(views: "Sequence[FeatureView]", width: int) -> Iterator[str]:
    side = (width - 5) // 2
    for i, view in enumerate(views):
        if i:
            yield ""
        share = view.windows / view.n_windows
        yield f"  “{view.explanation}”  score {view.sfal:+.2f}"
        yield f"  feature {view.feature}, fires in {share:.1%} of the windows"
        yield from side_by_side(
            ["  fires with it (phi)", *(f"  {_cell(n, side)}" for n in view.functional)],
            ["means the same (cosine)", *(_cell(n, side) for n in view.semantic)],
            side + 2,
        )


def _cell(neighbour: "Neighbour", width: int) -> str:
    rank = neighbour.other_rank
    mark = "*" if rank is not None and rank < NEAR else " "
    place = "" if rank is None else f"#{rank + 1}"
    head = f"{mark} {neighbour.similarity:5.2f} {place:>5}  "
    return head + cut(one_line(neighbour.explanation), width - len(head))


def _heading(text: str, width: int) -> list[str]:
    return ["", f"{text} {'─' * max(width - len(text) - 1, 0)}"]


def _paragraph(text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, width - 2, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
    )
