"""The residual stream of the finished model, document by document."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


@torch.no_grad()
def residuals(
    model: Any, documents: Sequence[list[int]], layers: Sequence[int], batch_rows: int = 32
) -> dict[int, Tensor]:
    """Return the residual stream after some layers, for every token but BOS.

    Documents run right-padded, in batches of similar length.

    Returns
    -------
    dict of int to Tensor of shape (n_tokens, d_model), float16
        By layer; tokens in the order of `documents`.
    """
    caught: dict[int, Tensor] = {}

    def catch(layer: int) -> Any:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            caught[layer] = output[0] if isinstance(output, tuple) else output

        return hook

    handles = [model.model.layers[layer].register_forward_hook(catch(layer)) for layer in layers]
    parts: list[dict[int, Tensor]] = [{} for _ in documents]
    order = sorted(range(len(documents)), key=lambda i: len(documents[i]))
    try:
        for start in range(0, len(order), batch_rows):
            chosen = order[start : start + batch_rows]
            width = max(len(documents[i]) for i in chosen)
            ids = torch.zeros((len(chosen), width), dtype=torch.long)
            for row, i in enumerate(chosen):
                ids[row, : len(documents[i])] = torch.tensor(documents[i])
            model.model(input_ids=ids, use_cache=False)
            for layer in layers:
                for row, i in enumerate(chosen):
                    parts[i][layer] = caught[layer][row, 1 : len(documents[i])].half()
    finally:
        for handle in handles:
            handle.remove()
    return {layer: torch.cat([part[layer] for part in parts]) for layer in layers}
