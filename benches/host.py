"""What stage 1 does beside the device: how busy it would keep a GPU.

    python benches/host.py DIR [--rate 100000] [--saes 5] [--documents 512]

A stand-in for the device sleeps as long as one that passes RATE tokens a second would compute, and
gives windows in which 12 % of 16,384 features fire. Everything else is `sfal.collect`: reading,
tokenising, planning, Parquet. The device's share is the time that the stand-in slept, and what the
lists of windows took, which a GPU would make itself.
"""

import argparse
import shutil
import time
from pathlib import Path
from unittest import mock

import torch

from collect_case import LENGTH, SHAPES, WINDOW, build, sources

N_FEATURES, DENSITY = 16_384, 0.12


def main():
    """Make the case, and count it with the stand-in."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rate", type=float, default=100_000, metavar="TOKENS_A_SECOND")
    parser.add_argument("--saes", type=int, default=5)
    parser.add_argument("--documents", type=int, default=1024)
    options = parser.parse_args()
    torch.set_num_threads(1)
    layers, case = list(range(options.saes)), options.directory / "host"
    family, sizes, _ = SHAPES["tiny"]
    SHAPES["host"] = (family, sizes | {"num_hidden_layers": options.saes}, N_FEATURES)
    build(case, "host", layers, options.documents, "cpu")

    from sfal.collect import count as counting
    from sfal.collect import driver
    from sfal.collect import firing as firing_module
    from sfal.collect.model.language_model import LanguageModel
    from sfal.collect.sae.sae import Sae
    from sfal.collect.settings import CollectSettings

    firing = torch.rand((64, N_FEATURES), generator=torch.Generator().manual_seed(0)) < DENSITY
    device, whole = 0.0, 0.0

    def on_device(work):
        nonlocal device
        start = time.perf_counter()
        done = work()
        device += time.perf_counter() - start
        return done

    def activations(self, batch):
        longest = max(map(len, batch))
        on_device(lambda: time.sleep(len(batch) * longest / options.rate))
        return {at: torch.zeros((len(batch), longest, self.widths[at])) for at in self.points}

    def counted(*args):
        nonlocal whole
        with (
            mock.patch.object(LanguageModel, "activations", activations),
            mock.patch.object(Sae, "fires_in", lambda _, x, out=None: firing[: len(x)]),
            mock.patch.object(
                firing_module, "_to_csr", lambda fired: on_device(lambda: to_csr(fired))
            ),
        ):
            start = time.perf_counter()
            count(*args)
            whole = time.perf_counter() - start

    settings = CollectSettings(
        corpus=str(case / "corpus.jsonl"), n_docs=options.documents, window_size=WINDOW,
        max_length=LENGTH, device="cpu", histogram="none",
    )  # fmt: skip
    shutil.rmtree(case / "data", ignore_errors=True)
    count, to_csr = counting.count, firing_module._to_csr
    with mock.patch.object(counting, "count", counted):
        results = driver.collect(sources(case, layers), settings, case / "data")
    if any(result.error for result in results):
        raise SystemExit(str(results))
    counts = results[0].manifest.counts
    print(f"{counts.tokens:,} tokens, {counts.windows:,} windows, {options.saes} SAEs")
    print(f"{counts.tokens_in_windows:,} tokens pass the device, at {options.rate:,.0f} a second")
    print(f"{whole:.2f} s, the device busy {device / whole:.1%}")


if __name__ == "__main__":
    main()
