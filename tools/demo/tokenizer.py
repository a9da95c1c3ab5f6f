"""A BPE tokenizer like Gemma's: BOS first, `▁` for a space, bytes for unknown characters."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>")
"""With Gemma's ids: 0, 1, 2, 3."""
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
WORDS = r"▁?\p{L}[\p{L}\p{M}]*|▁?\p{N}{1,4}|▁?[^\p{L}\p{N}▁]|▁"
"""A word, a number of up to four digits or a sign, each with the space before it."""


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> "PreTrainedTokenizerFast":
    """Learn merges from text.

    Parameters
    ----------
    texts : iterable of str
        Training text; the more frequent a string, the sooner it becomes a token.
    vocab_size : int
        Total number of tokens, including 4 special ones and 256 bytes.

    Returns
    -------
    PreTrainedTokenizerFast
        Adds BOS automatically; encodes unseen characters as bytes.
    """
    from tokenizers import Tokenizer, decoders, models, trainers
    from transformers import PreTrainedTokenizerFast

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = _pre_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(SPECIAL) - len(BYTES),
        limit_alphabet=160,
        min_frequency=3,
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    learned: dict[str, Any] = json.loads(learner.to_str())["model"]
    by_id = sorted(learned["vocab"], key=learned["vocab"].__getitem__)
    vocabulary = {token: i for i, token in enumerate((*SPECIAL, *BYTES, *by_id))}
    merges = [tuple(pair) for pair in learned["merges"]]
    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocabulary, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True
        )
    )
    tokenizer.pre_tokenizer = _pre_tokenizer()
    tokenizer.post_processor = _bos_first(vocabulary["<bos>"])
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        padding_side="right",
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
    )


def _pre_tokenizer() -> Any:
    from tokenizers import Regex, pre_tokenizers

    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(prepend_scheme="always", split=False),
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
        ]
    )


def _bos_first(bos_id: int) -> Any:
    from tokenizers import processors

    return processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos> $B", special_tokens=[("<bos>", bos_id)]
    )


def encode(tokenizer: "PreTrainedTokenizerFast", texts: list[str]) -> list[list[int]]:
    """Return the token ids of each text, BOS first."""
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=True)["input_ids"]
    return ids


def whole_words(tokenizer: "PreTrainedTokenizerFast", ids: list[int]) -> list[bool]:
    """Return whether each token of a document is a whole word, not a piece, sign or number."""
    tokens = [str(token) for token in tokenizer.convert_ids_to_tokens(ids)]
    following = [*tokens[1:], ""]
    return [
        token.startswith("▁") and token[1:].isalpha() and not (after[:1].isalpha())
        for token, after in zip(tokens, following, strict=True)
    ]
