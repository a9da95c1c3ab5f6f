"""Stage 1 against the forward passes and matrix products that it cannot do without.

    python benches/collect.py DIR [--shape smollm2] [--layers 5 11] [--documents 64] [--repeat 3]
    python benches/collect.py DIR --shape gemma-2-2b --layers 0 5 10 15 25 --device cuda --published 8

A language model with random weights in a real model's shape, and SAEs on some of its layers, are
made in DIR. *Ours* is `sfal.collect`, from text to Parquet parts, less the loading of model and
SAEs. *Bare* is the same batches of tokens through the same cut model, and one product with each
SAE's encoder, nothing kept. Both run in turn, in one process. `--published N` adds the published
method on N documents: batch 1, all layers, every hook's activations kept, a dense outer product a
window. On a CPU both sides run on one thread and the figures are seconds of processor time.
"""

import argparse
import json
import shutil
import sys
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import tiny

SHAPES = {
    "tiny": ("llama", {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4,
                       "num_attention_heads": 4, "num_key_value_heads": 2}, 1024),
    "smollm2": ("llama", {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
                          "num_attention_heads": 9, "num_key_value_heads": 3}, 16_384),
    "gemma-2-2b": ("gemma2", {"hidden_size": 2304, "intermediate_size": 9216,
                              "num_hidden_layers": 26, "num_attention_heads": 8,
                              "num_key_value_heads": 4, "head_dim": 256}, 16_384),
    "llama-3.1-8b": ("llama", {"hidden_size": 4096, "intermediate_size": 14_336,
                               "num_hidden_layers": 32, "num_attention_heads": 32,
                               "num_key_value_heads": 8}, 32_768),
}  # fmt: skip
"""Family, sizes, and features of an SAE."""

WINDOW, LENGTH = 256, 1024


def build(folder, shape, layers, documents, device):
    """Model, SAEs and corpus, unless they are there."""
    from transformers import AutoModel, Gemma2Config, Gemma2Model, LlamaConfig, LlamaModel

    family, sizes, n_features = SHAPES[shape]
    config_class, model_class = (
        (Gemma2Config, Gemma2Model) if family == "gemma2" else (LlamaConfig, LlamaModel)
    )
    asked = {"shape": shape, "layers": layers, "documents": documents}
    if (folder / "case.json").exists() and json.loads((folder / "case.json").read_text()) == asked:
        return
    shutil.rmtree(folder, ignore_errors=True)
    config = config_class(
        **sizes, vocab_size=49_152, max_position_embeddings=2048,
        bos_token_id=2, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    with tiny.quiet_transformers(), torch.device(device):
        model = model_class(config).to(torch.bfloat16 if device == "cuda" else torch.float32)
        model.save_pretrained(folder / "lm")
        tiny.tokenizer(folder / "lm")
        model = AutoModel.from_pretrained(folder / "lm").eval().to(device)
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("etaoinshrdlu"), rng.integers(2, 9))) for _ in range(3_000)]
    with (folder / "corpus.jsonl").open("w") as file:
        for _ in range(documents):
            text = " ".join(rng.choice(words, 900))
            file.write(json.dumps({"text": text}) + "\n")
    ids = torch.randint(3, 300, (2, 256), device=device)
    with torch.no_grad():
        hidden = model(ids, output_hidden_states=True).hidden_states
    for layer in layers:
        d_model, spread = sizes["hidden_size"], hidden[layer + 1].float().std().item()
        arrays = tiny.weights(d_model, n_features, layer, bias=-3.2)
        arrays["W_enc"] /= spread
        arrays["threshold"] = tiny.thresholds(n_features, layer, scale=0.1)
        (folder / f"sae{layer}").mkdir()
        np.savez(folder / f"sae{layer}" / "params.npz", **arrays)
    (folder / "case.json").write_text(json.dumps(asked))


def sources(folder, layers):
    """The SAEs as the command line would name them."""
    from sfal.sources import resolve_local

    return [resolve_local(folder / f"sae{n}", str(folder / "lm"), "res", n) for n in layers]


@contextmanager
def timers(device, names):
    """Seconds spent in some functions, less those of others among them that they call."""
    spent, running, kept = defaultdict(float), [], []

    def clock():
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() if device == "cuda" else time.process_time()

    def timed(function, name):
        def call(*args, **kwargs):
            running.append(0.0)
            start = clock()
            try:
                return function(*args, **kwargs)
            finally:
                took = clock() - start
                spent[name] += took - running.pop()
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


def ours(folder, layers, documents, device):
    """Seconds of `sfal.collect` without loading, by what they went to, and the windows found."""
    from sfal.cooc import collect as driver
    from sfal.cooc import language_model, saes, windows
    from sfal.cooc.settings import CollectSettings
    from sfal.store.parts import iterate_parts

    settings = CollectSettings(
        corpus=str(folder / "corpus.jsonl"), n_docs=documents, window_size=WINDOW,
        max_length=LENGTH, device=device, histogram="none",
    )  # fmt: skip
    names = {
        "loading": (driver, "load_model"),
        "loading SAEs": (driver, "load_saes"),
        "language model": (language_model.LanguageModel, "activations"),
        "SAE": (saes.Sae, "fires_in"),
        "windows to CSR, transfer": (windows, "_to_csr"),
        "check and stack": (windows, "_fired"),
        "tokenise and plan": (driver, "plan_buffer"),
        "whole": (driver, "collect"),
    }
    shutil.rmtree(folder / "data", ignore_errors=True)
    with timers(device, names) as spent:
        results = driver.collect(sources(folder, layers), settings, folder / "data")
    for loading in ("loading", "loading SAEs"):
        spent.pop(loading)
    spent["corpus, Parquet and the rest"] = spent.pop("whole")
    (error,) = {result.error for result in results}
    if error:
        raise error
    found = [next(iterate_parts(result.folder)) for result in results]
    return dict(spent), found


def bare(folder, layers, documents, device, check=None):
    """Seconds of the same batches through the model and the encoders; tokens passed."""
    from sfal.cooc import corpus as corpora
    from sfal.cooc.activations import load_language_model
    from sfal.cooc.batches import buffers, plan_buffer
    from sfal.cooc.load import point
    from sfal.cooc.settings import BUFFER_DOCUMENTS, CollectSettings

    settings = CollectSettings(
        corpus=str(folder / "corpus.jsonl"), window_size=WINDOW, max_length=LENGTH, device=device
    )
    places = [point(source) for source in sources(folder, layers)]
    model = load_language_model(str(folder / "lm"), places, device=device)
    encoders = []
    for layer in layers:
        with np.load(folder / f"sae{layer}" / "params.npz") as arrays:
            encoders.append(torch.from_numpy(arrays["W_enc"]).to(device))
    texts = corpora.open_corpus(settings.corpus).documents(0)
    plans = [
        plan_buffer(buffer.texts, model, settings, None)
        for buffer in buffers(texts, 0, documents, BUFFER_DOCUMENTS)
    ]
    hidden = {}
    decoder = model._decoder
    for layer in layers:
        decoder.layers[layer].register_forward_hook(
            lambda _m, _i, out, n=layer: hidden.update(
                {n: out[0] if isinstance(out, tuple) else out}
            )
        )
    seconds, n_tokens = 0.0, 0
    clock = time.perf_counter if device == "cuda" else time.process_time
    for plan in plans:
        for batch in plan.batches:
            longest = len(plan.ids[batch[0]])
            ids = torch.zeros((len(batch), longest), dtype=torch.int64)
            for row, place in enumerate(batch):
                ids[row, : len(plan.ids[place])] = torch.tensor(plan.ids[place])
            n_tokens += sum(len(plan.ids[place]) for place in batch)
            start = clock()
            with torch.no_grad():
                decoder(input_ids=ids.to(device), use_cache=False)
                products = [
                    hidden[n].flatten(0, 1).float() @ encoder
                    for n, encoder in zip(layers, encoders, strict=True)
                ]
            if device == "cuda":
                torch.cuda.synchronize()
            seconds += clock() - start
            if check is not None:
                agree(folder, layers, plan, batch, longest, products, check)
                check = None
            del products
    return seconds, n_tokens


def agree(folder, layers, plan, batch, longest, products, found):
    """Refuse unless the first document's windows are those that plain thresholds give."""
    place = batch[0]
    for n, product, windows in zip(layers, products, found, strict=True):
        with np.load(folder / f"sae{n}" / "params.npz") as arrays:
            bias = torch.from_numpy(arrays["b_enc"]).to(product.device)
            threshold = torch.from_numpy(arrays["threshold"]).to(product.device)
        before = product[:longest] + bias
        fires = (before > threshold) & (before > 0)
        rows = np.flatnonzero(windows.documents == place)
        for row, positions in zip(rows, plan.windows[place], strict=True):
            expected = fires[torch.from_numpy(positions).to(product.device)].any(0)
            features = windows.indices[windows.indptr[row] : windows.indptr[row + 1]]
            differ = np.setxor1d(features, expected.nonzero()[:, 0].cpu().numpy())
            if len(differ) > 1e-3 * len(features) + 1:
                raise SystemExit(f"layer {n}: {len(differ)} features of a window differ")


def published(folder, layers, documents, device):
    """Seconds and tokens of the published method: one document at a time, every hook kept."""
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder / "lm").eval().to(device)
    tokenizer = AutoTokenizer.from_pretrained(folder / "lm")
    kept = {}
    for name, module in model.named_modules():
        module.register_forward_hook(lambda _m, _i, out, name=name: kept.update({name: out}))
    dtype = next(model.parameters()).dtype
    encoders, histograms = [], []
    for layer in layers:
        with np.load(folder / f"sae{layer}" / "params.npz") as arrays:
            some = [torch.from_numpy(arrays[k]) for k in ("W_enc", "b_enc", "threshold")]
        encoders.append([array.to(device, dtype) for array in some])
        n = encoders[-1][0].shape[1]
        histograms.append(torch.zeros((n, n), dtype=torch.int32, device=device))
    lines = (folder / "corpus.jsonl").read_text().splitlines()[:documents]
    start, n_tokens = time.perf_counter(), 0
    for line in lines:
        text = json.loads(line)["text"]
        ids = tokenizer(text, truncation=True, max_length=LENGTH, return_tensors="pt")["input_ids"]
        n_tokens += ids.shape[1]
        with torch.no_grad():
            model(ids.to(device))
            for n, (weight, bias, threshold), histogram in zip(
                layers, encoders, histograms, strict=True
            ):
                out = kept[f"layers.{n}"]
                x = (out[0] if isinstance(out, tuple) else out).reshape(-1, weight.shape[0])[1:]
                before = x @ weight + bias
                active = (before > threshold) & (before > 0)
                for first in range(0, len(active) - WINDOW + 1, WINDOW):
                    fired = active[first : first + WINDOW].any(0).to(torch.int32)
                    histogram += torch.outer(fired, fired)
        kept.clear()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, n_tokens


def main():
    """Make the case, check that both agree, then time them in turn."""
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
    case = options.directory / options.shape
    build(case, options.shape, options.layers, options.documents, options.device)
    what = (case, options.layers, options.documents, options.device)
    spent, found = ours(*what)
    bare(*what, check=found)
    pairs = []
    for _ in range(options.repeat):
        spent, _ = ours(*what)
        seconds, n_tokens = bare(*what)
        pairs.append((sum(spent.values()), seconds, spent))
    whole, _, spent = min(pairs, key=lambda pair: pair[0])
    base = min(pair[1] for pair in pairs)
    ratios = sorted(pair[0] / pair[1] for pair in pairs)
    n_windows = sum(piece.n_windows for piece in found)
    mean = sum(len(piece.indices) for piece in found) / n_windows
    print(f"{options.shape}, layers {options.layers}, {n_tokens:,} tokens, {n_windows} windows,")
    print(f"{mean:,.0f} of {SHAPES[options.shape][2]:,} features a window, on {options.device}")
    print(f"ours {whole:.2f} s ({n_tokens / whole:,.0f} tokens/s), bare {base:.2f} s; ", end="")
    print(f"ours/bare, pair by pair: {', '.join(f'{ratio:.3f}' for ratio in ratios)}")
    for name, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"    {name:<32} {seconds:8.3f} s  {seconds / whole:6.1%}")
    if options.published:
        seconds, passed = published(case, options.layers, options.published, options.device)
        ratio = n_tokens / whole / (passed / seconds)
        print(f"published method: {passed / seconds:,.0f} tokens/s, ours {ratio:.1f} x")


if __name__ == "__main__":
    main()
