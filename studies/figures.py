"""Draw the figures of docs/studies.md from the results. Run as ``python -m studies.figures``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from studies.results import read_results

FIGURES = Path(__file__).parents[1] / "docs" / "figures"
_RAW, _CORRECTED, _THIRD = "#0b6e99", "#c2541b", "#6a6a6a"


def mean_by(rows: Sequence[dict[str, Any]], key: str, value: str) -> tuple[list[Any], list[float]]:
    """Return the distinct values of a key, in order, and the mean of another one for each."""
    keys = list(dict.fromkeys(row[key] for row in rows))
    same = ([row[value] for row in rows if row[key] == k] for k in keys)
    return keys, [float(np.array(values, dtype=np.float64).mean()) for values in same]  # null: NaN


def dose(axes: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Draw scores and what is found against the share of labels exchanged."""
    for value, label, colour, line in (
        ("auc", "AUC of label_rank", _THIRD, "-"),
        ("in_ten_best", "right label among the ten best", _THIRD, "--"),
        ("sfal", "median sfal", _RAW, "-"),
        ("corrected", "median sfal_corrected", _CORRECTED, "-"),
    ):
        shares, means = mean_by(rows, "share", value)
        axes.plot(np.array(shares) * 100, means, line, color=colour, marker="o", ms=3, label=label)
    axes.set(xscale="log", ylim=(-0.05, 1.02), xlabel="labels exchanged in pairs, %")
    ticks = [1, 2, 5, 10, 25, 50, 100]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()


def size(axes: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Draw raw and corrected medians against the size of the corpus."""
    _of, windows = mean_by(rows, "of", "windows")
    for value, label, colour in (
        ("sfal", "median sfal", _RAW),
        ("corrected", "median sfal_corrected", _CORRECTED),
    ):
        axes.plot(windows, mean_by(rows, "of", value)[1], "o-", ms=3, color=colour, label=label)
    axes.set(xscale="log", xlabel="windows", ylim=(0, None))
    axes.set_xticks(windows, [f"{n:,.0f}" for n in windows])
    axes.minorticks_off()


def quality(axes: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Draw median scores of SAEs against the mean F1 of their latents."""
    for sae, marker in (("the true features", "*"), ("perturbed", "o")):
        chosen = sorted((r for r in rows if r["sae"] == sae), key=lambda row: float(row["f1"]))
        for value, colour in (("sfal", _RAW), ("corrected", _CORRECTED)):
            label = f"{sae}: {'median sfal' if value == 'sfal' else 'corrected'}"
            x, y = ([row[name] for row in chosen] for name in ("f1", value))
            axes.plot(x, y, f"{marker}-", ms=4, lw=0.8, color=colour, label=label)
    axes.set(xlim=(0, 1.03), ylim=(0, 1), xlabel="mean F1 of the latents")


def main() -> None:
    """Draw every figure whose results exist."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "sfal", "font.size": 9})
    import matplotlib.pyplot as plt

    smollm2, synthetic = read_results("smollm2"), read_results("synthetic")
    for name, draw, rows in (
        ("smollm2-dose", dose, smollm2.get("dose_response")),
        ("smollm2-size", size, smollm2.get("corpus_size")),
        ("synthetic-quality", quality, synthetic.get("quality")),
    ):
        if rows is None:
            continue
        figure, axes = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
        draw(axes, rows)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=8)
        figure.savefig(FIGURES / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
