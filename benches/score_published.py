"""Compare `sfal score` with the published method, from process start to CSV, on the published layout.

    python benches/published_case.py DIR
    python benches/score_published.py DIR [--repeat 3] [--baseline-repeat 1]

The baseline follows the published method step by step in NumPy, torch and pandas: a float32 phi
of all pairs, cosines of all pairs, two full sorts of every row, and a Python loop over features with
a dictionary of gains for each. It needs about 11 GB for 16,384 features. Each run is a separate
process; wall time, processor time and peak memory are those of the whole process. Before any time
is printed, both must agree: nine in ten scored features within 1e-4, all within 0.05 (the phi of
the baseline is float32, so neighbours whose phi differs by less than 1e-7 come in another order).
It is `sfal score --published` that is compared: without it, candidates and ties follow SFAL's own rule.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

TOP_N = 1023


def baseline(data_dir, output):
    """Score one source as the published method does."""
    import numpy as np
    import pandas as pd
    import torch

    (npz,) = data_dir.glob("*/*/*cooccurrences.npz")
    (pkl,) = data_dir.glob("*/*/*/*/*_embeddings.pkl")
    with np.load(npz) as file:
        counts = torch.from_numpy(file["histogram"].astype(np.float32))
        total = float(file["n_chunks"])
    fires = counts.diagonal().clone()
    rest = total - fires
    only_i = fires[:, None] - counts
    only_j = fires[None, :] - counts
    neither = (total - fires[:, None] - fires[None, :] + counts).clamp(min=0.0)
    spread = fires[:, None] * fires[None, :] * rest[:, None] * rest[None, :]
    phi = (counts * neither - only_i * only_j) / spread.clamp(min=1e-12).sqrt()
    phi[spread < 1e-12] = 0.0
    phi = phi.clamp(-1.0, 1.0)
    phi.fill_diagonal_(-torch.inf)
    del only_i, only_j, neither, spread

    frame = pd.read_pickle(pkl).set_index("index")
    width = len(frame["embedding"].iloc[0])
    frame = frame.reindex(range(len(counts)))
    vectors = np.stack([v if isinstance(v, list) else [0.0] * width for v in frame["embedding"]])
    vectors = vectors.astype(np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(norms == 0, 1, norms)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)

    semantic = np.argsort(-cosine, axis=1)[:, :TOP_N]
    functional = torch.argsort(phi, dim=1, descending=True)[:, :TOP_N].numpy()
    discount = np.log2(np.arange(2, TOP_N + 2))
    scores = []
    for i in range(len(counts)):
        gains = {j: 1.1 ** (TOP_N - rank) - 1 for rank, j in enumerate(semantic[i])}
        dcg = sum(gains.get(j, 0) / discount[rank] for rank, j in enumerate(functional[i]))
        ideal = sum(gains[j] / discount[rank] for rank, j in enumerate(semantic[i]))
        scores.append(dcg / ideal if ideal else 0.0)
    frame["ndcg"] = scores
    frame[["true_description", "ndcg"]].to_csv(output)


def measure(command):
    """Measure wall time, processor time and peak memory of a process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[:4]} failed with {process.returncode}")
    return {
        "wall_s": round(wall, 2),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_gb": round(usage.ru_maxrss * 1024 / 1e9, 2),
    }


def column(path, starts_with):
    """Read the numbers of one CSV column by feature, without empty cells."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    (name,) = [n for n in rows[0] if n.startswith(starts_with)]
    return {int(row["index"]): float(row[name]) for row in rows if row[name]}


def main():
    """Check that both sides agree, then print their measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--baseline-repeat", type=int, default=1)
    parser.add_argument("--run-baseline", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run_baseline:
        baseline(options.directory, options.run_baseline)
        return
    theirs, ours = options.directory / "baseline.csv", options.directory / "ours.csv"
    again = [sys.executable, __file__, str(options.directory), "--run-baseline", str(theirs)]
    score = [sys.executable, "-m", "sfal", "score", "--data-dir", str(options.directory)]
    score += ["--output", str(ours)]
    results = {}
    for name, rule in (("sfal score", []), ("sfal score --published", ["--published"])):
        runs = [measure(score + rule) for _ in range(options.repeat)]
        results[name] = min(runs, key=lambda r: r["wall_s"])
    if options.baseline_repeat:
        runs = [measure(again) for _ in range(options.baseline_repeat)]
        expected, found = column(theirs, "ndcg"), column(ours, "ndcg_")
        apart = sorted(abs(found[i] - expected[i]) for i in found)
        most, worst = apart[int(0.9 * len(apart))], apart[-1]
        if most > 1e-4 or worst > 0.05:
            raise SystemExit(f"the scores differ: by {most} for one in ten, by {worst} at most")
        best = min(runs, key=lambda r: r["wall_s"])
        results |= {"published method": best, "largest difference": worst}
        results["times faster"] = round(best["wall_s"] / results["sfal score"]["wall_s"], 1)
        results["times less processor"] = round(best["cpu_s"] / results["sfal score"]["cpu_s"], 1)
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
