"""Windows of a document, and the features that fire in them."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sfal.collect.model.oom import device_memory
from sfal.collect.sae.sae import Sae
from sfal.collect.windows import Tail, window_bounds
from sfal.errors import InvalidInputError

Positions = NDArray[np.int64]


def plan_windows(
    ids: Sequence[int],
    special_ids: Collection[int],
    window_size: int,
    tail: Tail = "drop",
) -> list[Positions]:
    """Positions of a document's tokens, window by window.

    Positions of special ids are no tokens: windows close up over them.

    Parameters
    ----------
    ids : sequence of int
        Token ids of one document.
    special_ids : collection of int
        BOS, EOS and PAD.
    window_size : int
        Tokens a window. Must be > 0.
    tail : {"drop", "keep"}
        What to do with the tokens after the last whole window: drop them, or
        keep them as a shorter window when they are at least half a window.

    Returns
    -------
    list of ndarray of shape (tokens,), int64
        One a window, rising; all `window_size` long but perhaps the last.
    """
    special = np.fromiter(special_ids, np.int64)
    tokens = np.flatnonzero(np.isin(np.asarray(ids, np.int64), special, invert=True))
    return [tokens[start:stop] for start, stop in window_bounds(tokens.size, window_size, tail)]


def fired_windows(
    acts: Tensor,
    plans: Sequence[Sequence[Positions]],
    sae: Sae,
    max_elements: int,
    *,
    hook: object = "the hook",
    documents: Sequence[int] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Features that fire on at least one token of each window.

    Parameters
    ----------
    acts : Tensor of shape (documents, longest, d_in)
        Activations of a batch.
    plans : sequence of sequences of ndarray, int64
        Windows of each document, as :func:`plan_windows` makes them.
    sae : Sae
        Whose features.
    max_elements : int
        Most products of tokens and features held at once. Must be > 0; a
        single token's are held anyway.
    hook : object
        Where the activations are from, for messages.
    documents : sequence of int, optional
        Ordinals of the documents in the corpus, for messages.

    Returns
    -------
    indptr : ndarray of shape (windows + 1,), int64
        Boundaries into `indices`; documents in order, windows in order in each.
    indices : ndarray, uint32
        Features of each window, rising.

    Raises
    ------
    InvalidInputError
        If an activation in a window is NaN or infinite, or the SAE takes
        inputs of another width.
    """
    if max_elements <= 0:
        raise InvalidInputError(f"max_elements must be > 0, got {max_elements}")
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
    too_much = f"features of {len(windows)} windows do not fit the memory of {acts.device}"
    with device_memory(f"the {sae.n_features} {too_much}; use a smaller --batch-tokens"):
        return _to_csr(_fired(tokens, windows, sae, max_elements))


def _fired(tokens: Tensor, windows: list[Positions], sae: Sae, max_elements: int) -> Tensor:
    """Which features fire in which window, bool, on the activations' device."""
    fired = torch.zeros((len(windows), sae.n_features), dtype=torch.bool, device=tokens.device)
    room = sae.room(min(max(max_elements // sae.n_features, 1), sum(map(len, windows))))
    by_size: dict[int, list[int]] = defaultdict(list)
    for number, positions in enumerate(windows):
        by_size[positions.size].append(number)
    for numbers in by_size.values():
        for some, within in _chunks(numbers, windows, max_elements // sae.n_features):
            index = torch.from_numpy(within).to(tokens.device)
            fired[some] |= sae.fires_in(tokens[index], room)
    return fired


def _chunks(
    numbers: list[int], windows: list[Positions], max_tokens: int
) -> Iterator[tuple[slice | list[int], NDArray[np.int64]]]:
    """Windows of one size, stacked: as many as fit, or parts of one where none does.

    Yields the windows' numbers and their positions, of shape (windows, tokens).
    """
    size = windows[numbers[0]].size
    at_once = max(max_tokens // size, 1)
    for start in range(0, len(numbers), at_once):
        some = numbers[start : start + at_once]
        stacked = np.stack([windows[number] for number in some])
        step = min(size, max(max_tokens // len(some), 1))
        # A run of numbers is a view of the result, any others a copy.
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
    """Refuse NaN and infinity at a position that counts."""
    used = np.concatenate(windows)
    # NaN and infinity outlast a sum, which is far cheaper than a look at each number.
    if torch.isfinite(tokens.sum(-1, dtype=torch.float32)).cpu().numpy()[used].all():
        return
    finite = torch.isfinite(tokens).all(-1).cpu().numpy()[used]
    if finite.all():
        return
    at = int(used[np.argmin(finite)])
    row, position = divmod(at, tokens.shape[0] // len(plans))
    document = row if documents is None else documents[row]
    raise InvalidInputError(
        f"NaN or infinite activations at {hook}, document {document}, token {position}; "
        "float16 overflows in some models, take --dtype bfloat16 or float32"
    )


def _to_csr(fired: Tensor) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    indptr = np.zeros(fired.shape[0] + 1, np.int64)
    indptr[1:] = fired.sum(1).cumsum(0).cpu().numpy()
    columns = fired.nonzero()[:, 1].to(torch.int32)
    return indptr, columns.cpu().numpy().view(np.uint32)
