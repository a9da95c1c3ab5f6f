"""Write the tables of docs/studies.md from the results. Run as ``python -m studies.tables``."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from studies.figures import mean_by
from studies.results import read_results

PAGE = Path(__file__).parents[1] / "docs" / "studies.md"
Rows = Sequence[dict[str, Any]]
_TABLE = re.compile(r"(<!-- table (\w+) (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def number(value: float | None) -> str:
    """Return a score or share with as many digits as it deserves."""
    if value is None or math.isnan(value):
        return "–"
    text = f"{value:.3f}".replace("-", "−")
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def percent(value: float | None) -> str:
    """Return a share in per cent."""
    return "–" if value is None or math.isnan(value) else f"{value * 100:.{value < 0.1:d}f} %"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], n_text: int = 1) -> str:
    """Lay out a table whose first columns are text and the others numbers."""
    rule = ["---"] * n_text + ["--:"] * (len(head) - n_text)
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, rule, *rows))


def summary(one: dict[str, Any]) -> str:
    """Return the facts of the SmolLM2 study."""
    facts = (
        ("features, scored", f"{one['scored']:,} of {one['features']:,}"),
        ("windows of 16 tokens, documents", f"{one['windows']:,}, {one['documents']:,}"),
        ("share of the windows in which a feature occurs, mean", percent(one["share_of_windows"])),
        ("median `sfal`", number(one["sfal"])),
        ("median `sfal_corrected`", number(one["corrected"])),
        ("median `ceiling`", number(one["ceiling"])),
        ("median `se`", number(one["median_se"])),
        ("median `label_rank`", f"{one['median_label_rank']:.0f}"),
        ("own label among the best 1 % of all labels", percent(one["best_percent_of_labels"])),
    )
    return markdown(("", ""), facts)


def dose(rows: Rows) -> str:
    """Return what is found, by share of exchanged labels."""
    names = ("auc", "in_ten_best", "low_p_wrong", "low_p_right", "sfal", "corrected")
    means = {name: dict(zip(*mean_by(rows, "share", name), strict=True)) for name in names}
    shown = {name: number if name in ("auc", "sfal", "corrected") else percent for name in names}
    head = (
        "exchanged",
        "AUC of `label_rank`",
        "right label among the ten best",
        "wrong, `p_label` ≤ .05",
        "right, `p_label` ≤ .05",
        "median `sfal`",
        "corrected",
    )
    return markdown(
        head,
        (
            (f"{share * 100:.0f} %", *(shown[name](means[name][share]) for name in names))
            for share in means["auc"]
        ),
    )


def coverage(rows: Rows) -> str:
    """Return the coverage of intervals, by size of the corpora."""
    of, means = mean_by(rows, "of", "coverage")
    pairs = [str(sum(row["of"] == n for row in rows)) for n in of]
    share = {2: "a half", 3: "a third", 6: "a sixth"}
    body = ((share[n], k, number(m)) for n, k, m in zip(of, pairs, means, strict=True))
    return markdown(("each corpus", "pairs of corpora", "coverage"), body)


def size(rows: Rows) -> str:
    """Return medians by size of the corpus, and their distance from those of all the text."""
    names = ("windows", "sfal", "corrected", "ceiling")
    of, *columns = (mean_by(rows, "of", name) for name in names)
    windows, raw, corrected, ceiling = of[1], *(column[1] for column in columns)
    body = [
        (
            "all" if n == 1 else f"1/{n}",
            f"{w:,.0f}",
            number(r),
            f"{r / raw[0] - 1:+.0%}".replace("-", "−").replace("%", " %"),
            number(c),
            f"{c / corrected[0] - 1:+.0%}".replace("-", "−").replace("%", " %"),
            number(k),
        )
        for n, w, r, c, k in zip(of[0], windows, raw, corrected, ceiling, strict=True)
    ]
    head = ("text", "windows", "median `sfal`", "", "`sfal_corrected`", "", "`ceiling`")
    return markdown(head, body)


def calibration(rows: Rows) -> str:
    """Return how often p-values lie below a level under shuffled labels."""
    levels, chance = mean_by(rows, "level", "p_chance")
    label = mean_by(rows, "level", "p_label")[1]
    body = (
        (number(level), number(a), number(b))
        for level, a, b in zip(levels, chance, label, strict=True)
    )
    return markdown(("level", "`p_chance` at most", "`p_label` at most"), body, 0)


def quality(rows: Rows) -> str:
    """Return scores by the quality of the SAE."""
    head = ("SAE", "mean F1", "median `sfal`", "corrected", "`ceiling`", "rank correlation of F1")
    body = []
    for row in rows:
        name = row["sae"]
        if "noise" in row:
            name = f"true directions, noise {row['noise']:g}"
        within = row["rank_correlation_with_f1"]["sfal"]
        figures = (row["f1"], row["sfal"], row["corrected"], row["ceiling"], within)
        body.append((name, *(number(value) for value in figures)))
    return markdown((*head[:-1], "F1 and `sfal` within, rank correlation"), body)


def corrupted(rows: Rows) -> str:
    """Return scores by share of corrupted labels, beside the F1 of the labels."""
    body = []
    for share in dict.fromkeys(row["share"] for row in rows):
        same = [row for row in rows if row["share"] == share]
        f1, sfal, fixed = (np.mean([r[name] for r in same]) for name in ("f1", "sfal", "corrected"))
        ranks = [
            np.mean(np.array([r["rank_correlation_with_f1"][name] for r in same], dtype=np.float64))
            for name in ("sfal", "sfal_corrected", "label_rank")
        ]
        found = [r["planted"]["auc"] if "planted" in r else np.nan for r in same]
        auc = np.mean(np.array(found, dtype=np.float64))
        shown = [number(float(value)) for value in (f1, sfal, fixed, *ranks, auc)]
        body.append((f"{share * 100:.0f} %", *shown))
    head = ("exchanged", "mean F1 of the labels", "median `sfal`", "corrected")
    rank = ("F1 and `sfal`", "F1 and corrected", "F1 and −`label_rank`")
    return markdown((*head, *rank, "AUC of `label_rank`"), body)


def perfect(rows: Rows) -> str:
    """Return the scores of perfect labels by size of the corpus."""
    names = ("sfal", "ceiling", "root_of_ceiling", "corrected")
    head = ("samples", "median `sfal`", "`ceiling`", "its root", "`sfal_corrected`")
    body = ((f"{r['samples']:,}", *(number(r[name]) for name in names)) for r in rows)
    return markdown(head, body, 0)


def mistakes(rows: Rows) -> str:
    """Return how well wrong labels are found, by their distance from the right ones."""
    body = (
        (r["mistake"], number(r["auc"]), percent(r["low_p"]), number(r["sfal_of_wrong"]))
        for r in rows
        if "auc" in r
    )
    head = ("replaced by", "AUC of `label_rank`", "`p_label` ≤ .05", "median `sfal` of the wrong")
    return markdown(head, body)


def defects(rows: Rows) -> str:
    """Return the scores of defective latents."""
    body = (
        (
            r["defect"],
            number(r["f1"]),
            number(r["sfal"]),
            number(r["ceiling"]),
            number(r["sfal_corrected"] if r["ceiling"] >= 0.05 else math.nan),
            f"{r['label_rank']:.0f}",
        )
        for r in rows
    )
    return markdown(
        ("defect", "F1", "`sfal`", "`ceiling`", "`sfal_corrected`", "`label_rank`"), body
    )


TABLES: dict[tuple[str, str], Callable[[Any], str]] = {
    ("smollm2", "summary"): summary,
    ("smollm2", "dose_response"): dose,
    ("smollm2", "coverage"): coverage,
    ("smollm2", "corpus_size"): size,
    ("smollm2", "calibration"): calibration,
    ("synthetic", "quality"): quality,
    ("synthetic", "corrupted"): corrupted,
    ("synthetic", "perfect"): perfect,
    ("synthetic", "mistakes"): mistakes,
    ("synthetic", "defects"): defects,
}


def filled(page: str) -> str:
    """Return the page with all its tables written again from the results."""

    def table(match: re.Match[str]) -> str:
        rows = read_results(match[2])[match[3]]
        return f"{match[1]}\n{TABLES[match[2], match[3]](rows)}\n{match[4]}"

    return _TABLE.sub(table, page)


def main() -> None:
    """Write the tables into the page."""
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
