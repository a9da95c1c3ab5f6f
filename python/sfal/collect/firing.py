"""The features that fire in windows, from activations and an SAE."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sfal.collect.model.oom import device_memory
from sfal.collect.sae.sae import Sae
from sfal.collect.windows import Positions
from sfal.errors import InvalidInputError


def fired_windows(
    acts: Tensor,
    plans: Sequence[Sequence[Positions]],
    sae: Sae,
    max_elements: int,
    *,
    hook: object = "the hook",
    documents: Sequence[int] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Find the features that fire on at least one token of each window.

    Parameters
    ----------
    acts : Tensor of shape (documents, longest, d_in)
        Activations of a batch.
    plans : sequence of sequences of ndarray, int64
        Windows of each document, as :func:`sfal.collect.windows.plan_windows` returns them.
    sae : Sae
        The SAE.
    max_elements : int
        How many products of tokens and features to hold at once, > 0; those of
        a single token are held in any case.
    hook : object
        Where the activations come from, for messages.
    documents : sequence of int, optional
        Ordinals of the documents in the corpus, for messages.

    Returns
    -------
    indptr : ndarray of shape (windows + 1,), int64
        Boundaries of the windows in `indices`; documents in order, and windows in order within each.
    indices : ndarray, uint32
        Features of each window, in increasing order.

    Raises
    ------
    InvalidInputError
        If an activation in a window is NaN or infinite, or the SAE takes
        inputs of another width.
    MemoryLimitError
        If the features do not fit into the device's memory.
    """
    if max_elements <= 0:
        raise InvalidInputError(f"max_elements is {max_elements}, but must be at least 1")
    if acts.shape[-1] != sae.d_in:
        raise InvalidInputError(
            f"the SAE takes inputs of width {sae.d_in}, but {hook} has width {acts.shape[-1]}"
        )
    windows = [
        positions + row * acts.shape[1] for row, plan in enumerate(plans) for positions in plan
    ]
    if not windows:
        return np.zeros(1, np.int64), np.zeros(0, np.uint32)
    tokens = acts.flatten(0, 1)
    _check_finite(tokens, windows, plans, hook, documents)
    too_much = (
        f"the {sae.n_features} features of {len(windows)} windows do not fit into the memory of "
        f"{acts.device}"
    )
    with device_memory(too_much, "use a smaller $batch_tokens"):
        return _to_csr(_fired(tokens, windows, sae, max_elements))


def _fired(tokens: Tensor, windows: list[Positions], sae: Sae, max_elements: int) -> Tensor:
    """Return which features fire in which window, bool, on the activations' device."""
    fired = torch.zeros((len(windows), sae.n_features), dtype=torch.bool, device=tokens.device)
    workspace = sae.workspace(min(max(max_elements // sae.n_features, 1), sum(map(len, windows))))
    by_size: dict[int, list[int]] = defaultdict(list)
    for number, positions in enumerate(windows):
        by_size[positions.size].append(number)
    for numbers in by_size.values():
        for some, within in _chunks(numbers, windows, max_elements // sae.n_features):
            index = torch.from_numpy(within).to(tokens.device)
            fired[some] |= sae.fires_in(tokens[index], workspace)
    return fired


def _chunks(
    numbers: list[int], windows: list[Positions], max_tokens: int
) -> Iterator[tuple[slice | list[int], NDArray[np.int64]]]:
    """Stack windows of one size: as many as fit, or parts of one if none does.

    Yields the windows' numbers and their positions, of shape (windows, tokens).
    """
    size = windows[numbers[0]].size
    at_once = max(max_tokens // size, 1)
    for start in range(0, len(numbers), at_once):
        some = numbers[start : start + at_once]
        stacked = np.stack([windows[number] for number in some])
        step = min(size, max(max_tokens // len(some), 1))
        # Consecutive numbers select a view of the result, others a copy.
        rows = slice(some[0], some[-1] + 1) if some[-1] - some[0] == len(some) - 1 else some
        for first in range(0, size, step):
            yield rows, stacked[:, first : first + step]


def _check_finite(
    tokens: Tensor,
    windows: list[Positions],
    plans: Sequence[Sequence[Positions]],
    hook: object,
    documents: Sequence[int] | None,
) -> None:
    """Refuse NaN and infinity inside windows."""
    used = np.concatenate(windows)
    # NaN and infinity survive a sum, which is far cheaper than a test of each number.
    if torch.isfinite(tokens.sum(-1, dtype=torch.float32)).cpu().numpy()[used].all():
        return
    finite = torch.isfinite(tokens).all(-1).cpu().numpy()[used]
    if finite.all():
        return
    at = int(used[np.argmin(finite)])
    row, position = divmod(at, tokens.shape[0] // len(plans))
    document = row if documents is None else documents[row]
    raise not_finite(f"{hook}, document {document}, token {position}")


def not_finite(where: str) -> InvalidInputError:
    """Return the error for activations that are NaN or infinite."""
    return InvalidInputError(
        f"NaN or infinite activations at {where}",
        hint="float16 overflows in some models, use $dtype(bfloat16) or $dtype(float32)",
    )


def _to_csr(fired: Tensor) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    indptr = np.zeros(fired.shape[0] + 1, np.int64)
    indptr[1:] = fired.sum(1).cumsum(0).cpu().numpy()
    columns = fired.nonzero()[:, 1].to(torch.int32)
    return indptr, columns.cpu().numpy().view(np.uint32)
