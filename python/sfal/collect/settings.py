"""Settings of a run of stage 1.

There are five groups: which documents to count (:class:`CorpusConfig`), how to
cut them into windows (:class:`WindowConfig`), how to run the language model
(:class:`ModelConfig`), when a feature fires (:class:`SaeConfig`), and whether
several devices count (:class:`sfal.collect.executors.placement.Placement`).
:class:`CollectSettings` combines all five with what to write. A function takes
only the group it needs. The metadata of each field describe how it is offered
and checked (see :func:`sfal.collect.options.option`); the command line derives
its options from them.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self

from sfal.collect.executors.placement import Placement
from sfal.collect.options import Checked, option
from sfal.collect.shard import Shard
from sfal.errors import InvalidInputError
from sfal.io.devices import resolve_device


def parse_input_scale(text: str) -> Literal["auto", "none"] | float:
    """Read the factor on an SAE's input from text.

    Raises
    ------
    InvalidInputError
        If it is neither ``auto`` nor ``none`` nor a number.
    """
    if text == "auto":
        return "auto"
    if text == "none":
        return "none"
    try:
        return float(text)
    except ValueError:
        raise InvalidInputError(f"{text!r} is neither auto nor none nor a number") from None


def parse_separator(text: str) -> str:
    r"""Read a separator of documents from text, in which ``\n`` and ``\t`` stand for one character."""
    return text.replace(r"\n", "\n").replace(r"\t", "\t")


@dataclass(frozen=True, kw_only=True)
class CorpusConfig(Checked):
    """Which documents are counted."""

    corpus: str = field(
        default="auto",
        kw_only=False,
        metadata=option(
            "Hub id, or path of a local text, JSON, CSV, Parquet or Arrow file or of a folder of "
            "them; auto: the one of the language model's family."
        ),
    )
    n_docs: int = field(
        default=10_000,
        metadata=option("Documents from the start of the corpus, empty ones included.", minimum=1),
    )
    text_column: str = field(
        default="text",
        metadata=option(
            "Column of the corpus, or key of its JSON lines, that holds the text or the "
            "conversations."
        ),
    )
    tokens_column: str | None = field(
        default=None,
        metadata=option("Column or key that holds token ids, to be taken as they are."),
    )
    chat_template: Literal["auto", "none"] = field(
        default="auto",
        metadata=option(
            "Pass conversations through the tokenizer's chat template, or join their contents by "
            "line breaks.",
            choices=("auto", "none"),
        ),
    )
    document_separator: str | None = field(
        default=None,
        metadata=option(
            "Text between the documents of a .txt corpus, with \\n for a line break; empty: blank "
            "lines; default: every line is a document, unless some consist of a known separator.",
            metavar="TEXT",
            parse=parse_separator,
        ),
    )
    corpus_config: str | None = field(
        default=None, metadata=option("Configuration of a data set of the hub.")
    )
    data_files: str | None = field(
        default=None,
        metadata=option(
            "Patterns of the files of a data set of the hub to read, separated by commas.",
            metavar="GLOB",
        ),
    )
    split: str = field(default="train", metadata=option("Split of a data set of the hub."))
    corpus_revision: str | None = field(
        default=None, metadata=option("Commit, branch or tag of a data set of the hub.")
    )
    shard: Shard | None = field(
        default=None,
        metadata=option(
            "Count only the I-th of N disjoint shares of the documents.",
            metavar="I/N",
            parse=Shard.parse,
        ),
    )

    @property
    def documents(self) -> tuple[int, int]:
        """Ordinals of the first document and of the one after the last."""
        return (0, self.n_docs) if self.shard is None else self.shard.documents(self.n_docs)


MAX_LENGTH = 1024
"""Tokens kept of each document unless the settings say so or the model takes fewer."""


@dataclass(frozen=True, kw_only=True)
class WindowConfig(Checked):
    """How documents are cut into windows."""

    window_size: int = field(
        default=256, metadata=option("Window size in tokens.", flag="--k", minimum=1)
    )
    max_length: int | None = field(
        default=None,
        metadata=option(
            "Tokens kept of each document, BOS included; default: 1,024, or what the language "
            "model takes if that is less.",
            minimum=2,
        ),
    )
    tail: Literal["drop", "keep"] = field(
        default="drop",
        metadata=option(
            "Drop the tokens after a document's last whole window, or keep them as a shorter "
            "window if they are at least half a window.",
            choices=("drop", "keep"),
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window_size > self.kept_tokens:
            raise InvalidInputError(
                f"window_size is {self.window_size}, but must be at most max_length, "
                f"{self.kept_tokens}: no document would have a window",
                hint="use a smaller $window_size or a larger $max_length",
            )

    @property
    def kept_tokens(self) -> int:
        """Tokens kept of each document, BOS included, of a model that takes as many."""
        return MAX_LENGTH if self.max_length is None else self.max_length


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Checked):
    """How the language model is loaded and run."""

    revision: str | None = field(
        default=None, metadata=option("Commit, branch or tag of the language model on the hub.")
    )
    trust_remote_code: bool = field(
        default=False,
        metadata=option("Allow Python code from the language model's repository to run."),
    )
    batch_tokens: int = field(
        default=8192,
        metadata=option(
            "Tokens, padding included, that pass the language model at once.", minimum=1
        ),
    )
    device: str = field(
        default="auto",
        metadata=option("Device that models run on; auto: a CUDA GPU if there is one."),
    )
    dtype: str = field(
        default="auto",
        metadata=option(
            "Precision of the language model; auto: bfloat16 on a CUDA GPU, float32 elsewhere.",
            choices=("auto", "float32", "bfloat16", "float16", "float64"),
        ),
    )

    def resolved(self) -> Self:
        """Return the same settings with the device and dtype that will be used.

        A run does this once, at its start.

        Raises
        ------
        InvalidInputError
            If there is no such device, or it cannot compute in this dtype.
        """
        device = self._device()
        dtype = self.dtype
        if dtype == "auto":
            dtype = "bfloat16" if device.startswith(("cuda", "xpu")) else "float32"
        if device.startswith("mps") and "float64" in (dtype, getattr(self, "sae_dtype", None)):
            raise InvalidInputError(
                f"device {device!r} cannot compute in float64", hint="use $device(cpu)"
            )
        return replace(self, device=device, dtype=dtype)

    def _device(self) -> str:
        return resolve_device(self.device)


@dataclass(frozen=True, kw_only=True)
class SaeConfig(Checked):
    """When a feature fires."""

    sae_dtype: str = field(
        default="float32",
        metadata=option("Precision of the SAEs.", choices=("float32", "bfloat16", "float64")),
    )
    top_k: int | None = field(
        default=None,
        metadata=option(
            "Let only the K largest features of a token fire, in place of the SAE's own gate.",
            minimum=1,
        ),
    )
    input_scale: Literal["auto", "none"] | float = field(
        default="auto",
        metadata=option(
            "Factor on an SAE's input; auto: as SAELens loads it.",
            metavar="auto|none|NUMBER",
            parse=parse_input_scale,
        ),
    )
    decoder_norm_gate: bool = field(
        default=False,
        metadata=option(
            "Weight features by the norm of their decoder row before the gate: the rule that Llama "
            "Scope's SAEs were trained with, and that SAELens leaves out."
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        scale = self.input_scale
        is_factor = isinstance(scale, int | float) and 0 < scale < float("inf")
        if scale not in ("auto", "none") and not is_factor:
            raise InvalidInputError(
                f"input_scale is {scale!r}, but must be auto, none or a number above 0"
            )


@dataclass(frozen=True, kw_only=True)
class CollectSettings(SaeConfig, ModelConfig, WindowConfig, CorpusConfig, Placement):
    """All settings of a run of stage 1: what to count, how, and what to write.

    It is each of the five groups, so that it can be passed wherever one of them
    is taken, and takes the fields of all of them as keywords.
    """

    part_windows: int = field(
        default=8192, metadata=option("Windows after which a part is written.", minimum=1)
    )
    histogram: Literal["auto", "npz", "none"] = field(
        default="auto",
        metadata=option(
            "Write the co-occurrence counts as the published scripts do; auto: if they fit "
            "into memory.",
            choices=("auto", "npz", "none"),
        ),
    )
    save_dir: Path | None = field(
        default=None, metadata=option("Folder of the histograms; default: each source's own.")
    )
    run: str | None = field(
        default=None,
        metadata=option(
            "Name of a further run of the same source with other settings.", metavar="NAME"
        ),
    )
    examples: int = field(
        default=0,
        metadata=option(
            "Gather max-activating examples of every feature from the M documents after those "
            "that are counted.",
            minimum=0,
            metavar="M",
        ),
    )
    redo_damaged: bool = field(
        default=False,
        metadata=option(
            "Check all parts first, and redo those that are missing or damaged.", flag="--resume"
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.examples and self.run_name is not None:
            what, instead = "a shard", "merge the shards first ($do_merge), then leave out $shard"
            if self.shard is None:
                what, instead = "a further run", "count into another $data_dir in place of $run"
            raise InvalidInputError(
                f"{what} has no examples: they are gathered after all documents of a source's main "
                "run",
                hint=instead,
            )
        if self.shard is not None and self.histogram == "npz":
            raise InvalidInputError(
                "a shard has no histogram of its own",
                hint="merge the shards ($do_merge), then write it",
            )

    def _device(self) -> str:
        return self.placed(self.device)

    @property
    def run_name(self) -> str | None:
        """Folder below the source's, None for the source's own; each shard has one."""
        if self.run is None and self.shard is not None:
            return f"shard-{self.shard.index}-of-{self.shard.of}"
        return self.run
