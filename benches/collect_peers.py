"""What `collect.py` measures stage 1 against: the bare passes, the bound, the published method."""

import json
import time

import numpy as np
import torch

from collect_case import LENGTH, WINDOW, sources


def clock_of(device):
    """Seconds of wall time once a GPU has done its work, or of a CPU's time."""

    def on_gpu():
        torch.cuda.synchronize()
        return time.perf_counter()

    return on_gpu if device == "cuda" else time.process_time


def bare(folder, layers, documents, device, check=None):
    """Seconds of the same batches through the model and the encoders; tokens passed."""
    from sfal.collect.batching import buffers, plan_buffer
    from sfal.collect.corpus.open import open_corpus
    from sfal.collect.model.hook_points import HookPoint
    from sfal.collect.model.load import load_language_model
    from sfal.collect.settings import CollectSettings, ModelConfig
    from sfal.collect.shard import BUFFER_DOCUMENTS

    settings = CollectSettings(
        corpus=str(folder / "corpus.jsonl"), window_size=WINDOW, max_length=LENGTH, device=device
    )
    places = [HookPoint.of(source) for source in sources(folder, layers)]
    model = load_language_model(str(folder / "lm"), places, ModelConfig(device=device))
    encoders = []
    for layer in layers:
        with np.load(folder / f"sae{layer}" / "params.npz") as arrays:
            encoders.append(torch.from_numpy(arrays["W_enc"]).to(device))
    texts = open_corpus(settings).documents(0)
    plans = [
        plan_buffer(buffer.texts, model, settings, settings.batch_tokens, None)
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
    seconds, n_tokens, clock = 0.0, 0, clock_of(device)
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


def published(folder, layers, documents, device, found):
    """Seconds and tokens of the published method: one document at a time, every hook kept.

    It runs without the head, which the published scripts run too, so it is a little faster.
    """
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
    clock = clock_of(device)
    start, n_tokens = clock(), 0
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
    seconds = clock() - start
    for n, histogram, windows in zip(layers, histograms, found, strict=True):
        theirs = int(histogram.diagonal().sum())
        ours = int(windows.indptr[np.searchsorted(windows.documents, documents)])
        # In bfloat16 an SAE lets some 2 % of the features near their thresholds fire otherwise.
        if abs(ours - theirs) > (0.05 if dtype == torch.bfloat16 else 1e-3) * theirs:
            raise SystemExit(f"layer {n}: {ours} occurrences, by the published method {theirs}")
    return seconds, n_tokens


def bound(folder, layers, device, n_tokens, n_documents):
    """Seconds that the matrix products alone take at the rates measured here, with the parts.

    The language model is cut after the last layer; of attention the half that a causal model
    needs is counted. Everything that is no product is left out.
    """
    from sfal.collect.model.hook_points import HookPoint
    from sfal.collect.model.load import load_language_model
    from sfal.collect.settings import ModelConfig

    places = [HookPoint.of(source) for source in sources(folder, layers)]
    model = load_language_model(str(folder / "lm"), places, ModelConfig(device=device))
    config = model._decoder.config
    weights = sum(
        module.weight.numel()
        for name, module in model._decoder.named_modules()
        if isinstance(module, torch.nn.Linear)
    )
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    context = n_tokens / n_documents / 2
    attention = 4 * config.num_attention_heads * head * context * (max(layers) + 1)
    with np.load(folder / f"sae{layers[0]}" / "params.npz") as arrays:
        encoder = 2 * arrays["W_enc"].size * len(layers)
    flops = {
        "language model": ((2 * weights + attention) * n_tokens, model._decoder.dtype),
        "SAEs": (encoder * n_tokens, torch.float32),
    }
    return {
        name: (work, dtype, work / product_rate(dtype, device))
        for name, (work, dtype) in flops.items()
    }


def product_rate(dtype, device):
    """Operations a second of a large square product; the best of some."""
    n, clock = (8192 if device == "cuda" else 2048), clock_of(device)
    left, right = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    out, best = torch.empty_like(left), float("inf")
    for _ in range(6):
        start = clock()
        torch.mm(left, right, out=out)
        best = min(best, clock() - start)
    return 2 * n**3 / best
