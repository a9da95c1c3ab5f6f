"""Settings of a run of stage 1."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sfal.collect.corpus.open import is_local
from sfal.errors import InvalidInputError
from sfal.store.run_writer import PART_WINDOWS

BUFFER_DOCUMENTS = 128
"""Documents that are sorted by length and batched together.

What is batched with what decides the last bits of an activation, so a run
always passes the same buffers, counted from its first document.
"""

_ELEMENTS = {"cpu": 1 << 24, "cuda": 1 << 28}
_DTYPES = ("auto", "float32", "bfloat16", "float16", "float64")
_SAE_DTYPES = ("float32", "bfloat16", "float64")


@dataclass(frozen=True)
class Shard:
    """One of several shares of the documents, contiguous and disjoint."""

    index: int
    """Which one, from 1."""
    of: int
    """How many there are."""

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.of:
            raise InvalidInputError(
                f"shard {self.index}/{self.of}: shards of {self.of} are 1/{self.of} "
                f"to {self.of}/{self.of}"
            )

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Shard of a text such as ``2/8``."""
        index, slash, of = text.partition("/")
        if not (slash and index.strip().isdecimal() and of.strip().isdecimal()):
            raise InvalidInputError(f"shard {text!r}: give the i-th of n as i/n, such as 2/8")
        return cls(int(index), int(of))

    def documents(self, n_docs: int) -> tuple[int, int]:
        """Ordinal of the first document of the share, and the one behind its last.

        Where every share has a buffer's worth of documents, shares begin and
        end with a buffer, so that together they give the bits of a single run.
        """
        first, stop = (n_docs * i // self.of for i in (self.index - 1, self.index))
        if n_docs >= self.of * BUFFER_DOCUMENTS:
            first -= first % BUFFER_DOCUMENTS
            if self.index < self.of:
                stop -= stop % BUFFER_DOCUMENTS
        return first, stop

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"


@dataclass(frozen=True)
class CollectSettings:
    """What to count, and how."""

    corpus: str
    """Hub id, or path of a local .txt, .jsonl[.gz|.zst] or .parquet file."""
    n_docs: int = 10_000
    """Documents, from the corpus's first one on, empty ones included."""
    window_size: int = 256
    """Tokens per window."""
    max_length: int = 1024
    """Tokens kept of a document, BOS included."""
    tail: Literal["drop", "keep"] = "drop"
    """What becomes of a shorter window at a document's end; ``keep``: kept from half a window on."""
    text_column: str = "text"
    """Column or key with the text."""
    corpus_config: str | None = None
    """Configuration of a data set of the hub."""
    split: str = "train"
    """Split of a data set of the hub."""
    corpus_revision: str | None = None
    """Commit, branch or tag of a data set of the hub."""
    revision: str | None = None
    """Commit, branch or tag of the language model."""
    trust_remote_code: bool = False
    """Whether Python code in the model's repository may run."""
    shard: Shard | None = None
    """Which share of the documents; None: all."""
    batch_tokens: int = 8192
    """Tokens, padding included, that pass the language model at once."""
    device: str = "auto"
    """``auto``, ``cpu`` or ``cuda``."""
    dtype: str = "auto"
    """Of the language model; ``auto``: bfloat16 on a GPU, float32 on a CPU."""
    sae_dtype: str = "float32"
    """Of the SAEs."""
    top_k: int | None = None
    """Fire only the k greatest features of a token (TopK); None: the SAE's own gate."""
    input_scale: Literal["auto", "none"] | float = "auto"
    """Factor on an SAE's input; ``auto``: as SAELens loads it."""
    decoder_norm_gate: bool = False
    """Weigh a feature by its decoder's norm before the gate, as Llama Scope was trained."""
    part_windows: int = PART_WINDOWS
    """Windows after which a part is written."""
    histogram: Literal["auto", "npz", "none"] = "auto"
    """Whether to write the histogram; ``auto``: where it fits the memory."""
    save_dir: Path | None = None
    """Folder of the histograms; None: each source's own."""
    run: str | None = None
    """Name of a further run of the same source with other settings."""
    examples: int = 0
    """Documents, behind those that are counted, in which to look for examples; 0: none."""
    redo_damaged: bool = False
    """Check all parts first, and count those anew that are missing or damaged."""

    def __post_init__(self) -> None:
        _check(self.n_docs >= 1, "n_docs", self.n_docs, "at least 1")
        _check(self.window_size >= 1, "window size (--k)", self.window_size, "at least 1")
        _check(self.max_length >= 2, "max_length", self.max_length, "at least 2")
        _check(
            self.window_size <= self.max_length,
            "window size (--k)",
            self.window_size,
            f"at most max_length, {self.max_length}: no document would have a window",
        )
        _check(self.tail in ("drop", "keep"), "tail", self.tail, "drop or keep")
        _check(self.batch_tokens >= 1, "batch_tokens", self.batch_tokens, "at least 1")
        _check(self.part_windows >= 1, "part_windows", self.part_windows, "at least 1")
        _check(self.top_k is None or self.top_k >= 1, "top_k", self.top_k, "at least 1")
        _check(self.dtype in _DTYPES, "dtype", self.dtype, " or ".join(_DTYPES))
        _check(self.sae_dtype in _SAE_DTYPES, "sae_dtype", self.sae_dtype, " or ".join(_SAE_DTYPES))
        if not isinstance(self.input_scale, str):
            _check(0 < self.input_scale < float("inf"), "input_scale", self.input_scale, "above 0")
        _check(
            self.histogram in ("auto", "npz", "none"),
            "histogram",
            self.histogram,
            "auto, npz or none",
        )
        _check(self.examples >= 0, "examples", self.examples, "at least 0")
        if self.examples and self.run_name is not None:
            instead = (
                "count into another --data-dir in place of --run"
                if self.shard is None
                else "merge the shards first, then give the command without --shard"
            )
            raise InvalidInputError(
                "--examples goes with the source's own run, behind all of whose documents they "
                f"are looked for: {instead}"
            )
        if self.shard is not None and self.histogram == "npz":
            raise InvalidInputError(
                "a shard has no histogram of its own: merge the shards, then write it"
            )

    @property
    def run_name(self) -> str | None:
        """Folder below the source's, None for the source's own; each shard has one."""
        if self.run is None and self.shard is not None:
            return f"shard-{self.shard.index}-of-{self.shard.of}"
        return self.run

    @property
    def documents(self) -> tuple[int, int]:
        """Ordinal of the first document, and the one behind the last."""
        return (0, self.n_docs) if self.shard is None else self.shard.documents(self.n_docs)

    def deciding(self) -> dict[str, Any]:
        """Settings that decide the result, as a manifest keeps them."""
        local = is_local(self.corpus)
        shard = self.shard
        return {
            "window_size": self.window_size,
            "max_length": self.max_length,
            "tail": self.tail,
            "corpus": {
                "name": Path(self.corpus).name if local else self.corpus,
                "text_column": self.text_column,
                "config": self.corpus_config,
                "split": None if local else self.split,
            },
            "shard": None
            if shard is None
            else {"index": shard.index, "of": shard.of, "n_docs": self.n_docs},
            "dtype": self.resolved_dtype(),
            "sae_dtype": self.sae_dtype,
            "top_k": self.top_k,
            "input_scale": self.input_scale,
            "decoder_norm_gate": self.decoder_norm_gate,
            "batch_tokens": self.batch_tokens,
            "buffer_documents": BUFFER_DOCUMENTS,
        }

    def resolved_device(self) -> str:
        """The device that will be used.

        Raises
        ------
        InvalidInputError
            If a GPU is asked for and there is none.
        """
        if self.device == "cpu":
            return "cpu"
        import torch

        there = torch.cuda.is_available()
        if self.device == "auto":
            return "cuda" if there else "cpu"
        if not there:
            raise InvalidInputError(
                "no CUDA device is available; leave --device away to run on the CPU"
            )
        return self.device

    @property
    def max_elements(self) -> int:
        """Products of tokens and features held at once on the device."""
        return _ELEMENTS["cpu" if self.resolved_device() == "cpu" else "cuda"]

    def resolved_dtype(self) -> str:
        """The language model's dtype."""
        if self.dtype != "auto":
            return self.dtype
        return "float32" if self.resolved_device() == "cpu" else "bfloat16"


def _check(holds: bool, name: str, value: object, wanted: str) -> None:
    if not holds:
        raise InvalidInputError(f"{name} is {value}, but must be {wanted}")
