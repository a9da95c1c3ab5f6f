"""Stage 1 against the forward passes and matrix products that it cannot do without.

    python benches/collect.py DIR [--shape smollm2] [--layers 5 11] [--documents 64] [--repeat 3]
    python benches/collect.py DIR --shape gemma-2-2b --layers 0 5 10 15 25 --device cuda --published 8

A language model with random weights in a real model's shape, and SAEs on some of its layers, are
made in DIR. *Ours* is `sfal.collect`, from text to Parquet parts, less the loading of model and
SAEs. *Bare* is the same batches of tokens through the same cut model, and one product with each
SAE's encoder, nothing kept. Both run in turn, in one process. The *bound* is the time of the matrix
products alone, at the rate of a large product measured here. `--published N` adds the published
method on N documents: batch 1, all layers, every hook's activations kept, a dense outer product a
window. On a CPU all sides run on one thread and the figures are seconds of processor time.
"""

import argparse
import shutil
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path

import torch

from collect_case import LENGTH, SHAPES, WINDOW, build, sources
from collect_peers import bare, bound, clock_of, published


@contextmanager
def timers(device, names, *, fine):
    """Seconds spent in some functions, less those of others among them that they call.

    Those of a thread beside the main one have names of their own. Not `fine`: a GPU is waited for
    at the beginning and the end of the outermost functions only.
    """
    spent, kept, here, main = defaultdict(float), [], threading.local(), threading.current_thread()
    thread_clock = time.perf_counter if device == "cuda" else time.thread_time

    def clock(outermost):
        if threading.current_thread() is not main:
            return thread_clock()
        return clock_of(device)() if fine or outermost else time.perf_counter()

    def timed(function, name):
        def call(*args, **kwargs):
            running = here.__dict__.setdefault("running", [])
            running.append(0.0)
            start = clock(len(running) == 1)
            try:
                return function(*args, **kwargs)
            finally:
                took = clock(len(running) == 1) - start
                beside = "" if threading.current_thread() is main else ", in a thread"
                spent[name + beside] += took - running.pop()
                if running:
                    running[-1] += took

        return call

    for name, (owner, attribute) in names.items():
        kept.append((owner, attribute, getattr(owner, attribute)))
        setattr(owner, attribute, timed(getattr(owner, attribute), name))
    try:
        yield spent
    finally:
        for owner, attribute, function in kept:
            setattr(owner, attribute, function)


def ours(folder, layers, documents, device, *, split=False):
    """Seconds of `sfal.collect` without loading, what they went to, and the windows found."""
    from sfal.collect import driver, firing
    from sfal.collect.model import language_model
    from sfal.collect.sae import sae as saes
    from sfal.collect.session import loading, session
    from sfal.collect.settings import CollectSettings
    from sfal.store.parts import iterate_parts

    settings = CollectSettings(
        corpus=str(folder / "corpus.jsonl"), n_docs=documents, window_size=WINDOW,
        max_length=LENGTH, device=device, histogram="none",
    )  # fmt: skip
    names = {
        "loading": (loading, "load_model"),
        "loading SAEs": (loading, "load_saes"),
        "corpus, Parquet and the rest": (driver, "collect"),
    }
    parts = {
        "language model": (language_model.LanguageModel, "activations"),
        "SAEs": (saes.Sae, "fires_in"),
        "windows to CSR, transfer": (firing, "_to_csr"),
        "check and stack": (firing, "_fired"),
        "tokenise and plan": (session, "plan_buffer"),
    }
    shutil.rmtree(folder / "data", ignore_errors=True)
    with timers(device, names | (parts if split else {}), fine=split) as spent:
        results = driver.collect(sources(folder, layers), settings, folder / "data")
    spent.pop("loading"), spent.pop("loading SAEs")
    (error,) = {result.error for result in results}
    if error:
        raise error
    whole = sum(seconds for name, seconds in spent.items() if "thread" not in name)
    return whole, spent, [next(iterate_parts(result.folder)) for result in results]


def main():
    """Make the case, check that all sides agree, then time them in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--shape", choices=SHAPES, default="smollm2")
    parser.add_argument("--layers", type=int, nargs="+", default=[5, 11])
    parser.add_argument("--documents", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--published", type=int, default=0, metavar="DOCUMENTS")
    options = parser.parse_args()
    if options.device == "cpu":
        torch.set_num_threads(1)
    layers, device = options.layers, options.device
    case = options.directory / options.shape
    build(case, options.shape, layers, options.documents, device)
    what = (case, layers, options.documents, device)
    whole, spent, found = ours(*what, split=True)
    bare(*what, check=found)
    pairs = []
    for _ in range(options.repeat):
        seconds, _, _ = ours(*what)
        base, n_tokens = bare(*what)
        pairs.append((seconds, base))
    best, base = (min(some) for some in zip(*pairs, strict=True))
    n_windows = sum(piece.n_windows for piece in found)
    mean = sum(len(piece.indices) for piece in found) / n_windows
    print(f"{options.shape}, layers {layers}, {n_tokens:,} tokens, {n_windows} windows,")
    print(f"{mean:,.0f} of {SHAPES[options.shape][2]:,} features a window, on {device}")
    ratios = ", ".join(f"{a / b:.3f}" for a, b in sorted(pairs, key=lambda pair: pair[0] / pair[1]))
    print(
        f"ours {best:.2f} s ({n_tokens / best:,.0f} tokens/s), bare {base:.2f} s; pairs: {ratios}"
    )
    print(f"where the time goes, in a run of {whole:.2f} s that waits for each part:")
    for name, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"    {name:<32} {seconds:8.3f} s  {seconds / whole:6.1%}")
    least = bound(case, layers, device, n_tokens, options.documents)
    for name, (work, dtype, seconds) in least.items():
        rate = work / seconds / 1e12
        print(f"bound, {name}: {work / 1e12:.2f} TFLOP in {dtype} at {rate:.3f} TFLOP/s")
    share = sum(seconds for _, _, seconds in least.values()) / best
    print(f"bound {share * best:.2f} s: ours runs at {share:.0%} of it")
    if options.published:
        seconds, passed = published(case, layers, options.published, device, found)
        ratio = n_tokens / best / (passed / seconds)
        print(f"published method: {passed / seconds:,.0f} tokens/s, ours {ratio:.1f} x")


if __name__ == "__main__":
    main()
