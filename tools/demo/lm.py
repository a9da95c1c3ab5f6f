"""The language model: Gemma 2's architecture with two million parameters."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LmSettings:
    """Size of the model and length of its training."""

    vocab_size: int = 8192
    d_model: int = 128
    n_layers: int = 4
    n_heads: int = 4
    n_key_value_heads: int = 2
    d_mlp: int = 512
    context: int = 256
    """Tokens per row in training; the model itself takes up to 1024."""
    batch_rows: int = 12
    article_epochs: int = 5
    gloss_epochs: int = 1
    matrix_lr: float = 4e-3
    """Learning rate of Muon, for the matrices inside the layers."""
    other_lr: float = 4e-3
    """Learning rate of AdamW, for embeddings and norms."""
    weight_decay: float = 0.05
    warmup: float = 0.02
    """Share of the steps over which the rate rises; then it falls to zero along a cosine."""
    fast: bool = True
    """Compile the step and multiply in bfloat16: twice as fast on CPUs that support it."""
    seed: int = 20260


def build_model(settings: LmSettings, pad_id: int, bos_id: int, eos_id: int) -> Any:
    """Return an untrained `Gemma2ForCausalLM`.

    It differs from Gemma 2 only in size and in having no cap on the final
    logits, which a model of this size never reaches.
    """
    from transformers import Gemma2Config, Gemma2ForCausalLM

    d_head = settings.d_model // settings.n_heads
    config = Gemma2Config(
        vocab_size=settings.vocab_size,
        hidden_size=settings.d_model,
        num_hidden_layers=settings.n_layers,
        intermediate_size=settings.d_mlp,
        num_attention_heads=settings.n_heads,
        num_key_value_heads=settings.n_key_value_heads,
        head_dim=d_head,
        query_pre_attn_scalar=d_head,
        max_position_embeddings=1024,
        sliding_window=128,
        final_logit_softcapping=None,
        pad_token_id=pad_id,
        bos_token_id=bos_id,
        eos_token_id=eos_id,
        attn_implementation="eager",
    )
    torch.manual_seed(settings.seed)
    return Gemma2ForCausalLM(config)


def rows(
    articles: list[list[int]], glosses: list[list[int]], settings: LmSettings
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return training rows of shape (n_rows, context): joined documents, each beginning with BOS.

    Articles and glosses are mixed evenly over the whole training, in a new
    order in every epoch.
    """
    rng = np.random.default_rng(settings.seed)
    rounds = settings.article_epochs
    parts: list[list[int]] = []
    shuffled = _epochs(len(glosses), settings.gloss_epochs, rng)
    for i in range(rounds):
        share = shuffled[len(shuffled) * i // rounds : len(shuffled) * (i + 1) // rounds]
        documents = articles + [glosses[j] for j in share]
        parts += [documents[j] for j in rng.permutation(len(documents))]
    stream = np.fromiter((token for part in parts for token in part), dtype=np.int64)
    n = len(stream) // settings.context
    return stream[: n * settings.context].reshape(n, settings.context)


def _epochs(n: int, epochs: int, rng: np.random.Generator) -> list[int]:
    return [int(i) for _ in range(epochs) for i in rng.permutation(n)]


def train_lm(
    model: Any,
    training: np.ndarray[Any, np.dtype[np.int64]],
    held_out: list[list[int]],
    settings: LmSettings,
    checkpoint: Callable[[int, int], None],
) -> float:
    """Train in place, and return the final held-out loss in nats per token.

    Parameters
    ----------
    model : Gemma2ForCausalLM
    training : ndarray of shape (n_rows, context), int64
    held_out : list of list of int
        Documents for the running estimate and the returned loss; never trained on.
    checkpoint : callable
        Called every 500 steps with the step and the number of steps.
    """
    optimizers = _optimizers(model, settings)
    n_steps = len(training) // settings.batch_rows
    peak = [[group["lr"] for group in o.param_groups] for o in optimizers]
    model.train()
    step_loss = _compiled(model, settings)
    started, recent = time.monotonic(), 0.0
    for step, batch in enumerate(_batches(training, settings.batch_rows)):
        scale = _schedule(step / n_steps, settings.warmup)
        for optimizer, rates in zip(optimizers, peak, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * scale
        loss = step_loss(batch)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        recent = loss.item() if step == 0 else 0.98 * recent + 0.02 * loss.item()
        if (step + 1) % 100 == 0 or step + 1 == n_steps:
            rate = (step + 1) * batch.numel() / (time.monotonic() - started)
            logger.info("step %d/%d loss %.3f, %.0f tokens/s", step + 1, n_steps, recent, rate)
        if (step + 1) % 500 == 0:
            logger.info("held out: %.3f", held_out_loss(model, held_out[:150]))
            checkpoint(step + 1, n_steps)
    return held_out_loss(model, held_out)


def _batches(training: np.ndarray[Any, np.dtype[np.int64]], size: int) -> Iterator[Tensor]:
    for start in range(0, len(training) - size + 1, size):
        yield torch.from_numpy(training[start : start + size])


def _schedule(progress: float, warmup: float) -> float:
    if progress < warmup:
        return max(progress, 1e-3) / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def _optimizers(model: Any, settings: LmSettings) -> list[torch.optim.Optimizer]:
    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
    inside = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in inside]
    return [
        torch.optim.Muon(
            matrices,
            lr=settings.matrix_lr,
            weight_decay=settings.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(rest, lr=settings.other_lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def _compiled(model: Any, settings: LmSettings) -> Callable[[Tensor], Tensor]:
    def loss(batch: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.fast):
            hidden = model.model(input_ids=batch, use_cache=False).last_hidden_state
            logits = model.lm_head(hidden[:, :-1])
        targets = batch[:, 1:].reshape(-1)
        return nn.functional.cross_entropy(logits.float().reshape(len(targets), -1), targets)

    return torch.compile(loss) if settings.fast else loss


@torch.no_grad()
def held_out_loss(model: Any, documents: list[list[int]]) -> float:
    """Return the mean next-token loss in nats, each document alone, in float32."""
    total, n = 0.0, 0
    for document in documents:
        ids = torch.tensor([document])
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
        logits = model.lm_head(hidden[0, :-1])
        total += nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum").item()
        n += len(document) - 1
    return total / n


def save_lm(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write model and tokenizer as a transformers folder, with weights in float16."""
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.half().save_pretrained(folder)
    model.float().load_state_dict(state)
    (folder / "generation_config.json").unlink(missing_ok=True)
    tokenizer.save_pretrained(folder)


def read_lm(folder: Path) -> tuple[Any, Any]:
    """Read the model, in float32, and the tokenizer from a folder that `save_lm` wrote."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True
    )
    return model.eval(), AutoTokenizer.from_pretrained(folder, local_files_only=True)


def n_training_tokens(
    articles: list[list[int]], glosses: list[list[int]], settings: LmSettings
) -> int:
    """Return the number of tokens in a whole training, repetitions included."""
    return settings.article_epochs * sum(map(len, articles)) + settings.gloss_epochs * sum(
        map(len, glosses)
    )
