"""Sparse autoencoders: their files, and when their features fire."""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from sfal.collect.model.oom import device_memory
from sfal.collect.sae.gates import EncodeGate, Gate, GatedGate, ThresholdGate, TopKGate
from sfal.collect.sae.loaders import Loaded, from_local, from_release, gemma_scope, llama_scope
from sfal.errors import ArtifactError, InvalidInputError
from sfal.sources.source import SaeRef

InputScale = Literal["auto", "none"] | float
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}


@dataclass(frozen=True)
class Sae:
    """An SAE reduced to the question which features fire. Made by :func:`load_sae`."""

    d_in: int
    """Width of the activations it reads."""
    n_features: int
    """Number of features."""
    architecture: str
    """As SAELens names it: ``standard``, ``jumprelu``, ``topk``, …"""
    metadata: dict[str, Any]
    """What a manifest keeps: gate, dtype, input scale, thresholds."""
    fingerprint: dict[str, str]
    """Hash of each local file, or the hub's repository, path and commit."""
    gate: Gate = field(repr=False)
    """Decides which features fire."""
    dtype: torch.dtype
    """Precision of the products."""
    device: torch.device
    """Where the weights are."""
    normalize: str = "none"
    """SAELens' ``normalize_activations``, as far as it acts at run time."""
    b_dec: Tensor | None = field(default=None, repr=False)
    """Decoder bias, where it is taken from the input; [d_in]."""

    def fires(self, x: Tensor) -> Tensor:
        """Which features fire on each token.

        Parameters
        ----------
        x : Tensor of shape (tokens, d_in)
            Activations, any floating dtype.

        Returns
        -------
        Tensor of shape (tokens, n_features), bool
        """
        return self.gate.fires(self._prepare(x))

    def fires_in(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """Which features fire on at least one token of each window.

        Parameters
        ----------
        x : Tensor of shape (windows, tokens, d_in)
            Activations, any floating dtype.
        out : Tensor, optional
            As :meth:`room` gives it, to be used again and again.

        Returns
        -------
        Tensor of shape (windows, n_features), bool
        """
        return self.gate.fires_in(self._prepare(x), out)

    def strengths(self, x: Tensor) -> Tensor:
        """How strongly each feature fires on each token: SAELens' ``SAE.encode``.

        Parameters
        ----------
        x : Tensor of shape (tokens, d_in)
            Activations, any floating dtype.

        Returns
        -------
        Tensor of shape (tokens, n_features), in the SAE's dtype
            Above 0 where a feature fires.
        """
        return self.gate.strengths(self._prepare(x))

    def room(self, n_tokens: int) -> Tensor | None:
        """Memory for the products of `n_tokens` tokens, where the gate can use it."""
        if isinstance(self.gate, EncodeGate):
            return None
        return torch.empty((n_tokens, self.n_features), dtype=self.dtype, device=self.device)

    def _prepare(self, x: Tensor) -> Tensor:
        """Input as the gate wants it: SAELens' ``process_sae_in`` without the reshaping."""
        x = x.to(self.dtype)
        if self.normalize == "constant_norm_rescale":
            x = x * (self.d_in**0.5 / x.norm(dim=-1, keepdim=True))
        elif self.normalize == "layer_norm":
            x = x - x.mean(dim=-1, keepdim=True)
            x = x / (x.std(dim=-1, keepdim=True) + 1e-5)
        return x if self.b_dec is None else x - self.b_dec


def load_sae(
    ref: SaeRef,
    *,
    device: str | torch.device = "cpu",
    dtype: str = "float32",
    top_k: int | None = None,
    input_scale: InputScale = "auto",
    decoder_norm_gate: bool = False,
) -> Sae:
    """Load an SAE, of its arrays only those that decide what fires.

    Parameters
    ----------
    ref : SaeRef
        Where it is, and in which layout.
    device : str or torch.device
        Where its weights shall be.
    dtype : str
        ``float32``, ``bfloat16`` (the published rule) or ``float64``; weights,
        thresholds and inputs are cast to it.
    top_k : int, optional
        Let the `top_k` largest positive of a token fire, instead of the SAE's own rule.
    input_scale : {"auto", "none"} or float
        Factor on the input. ``auto``: what the SAE asks for (Llama Scope), else 1.
    decoder_norm_gate : bool
        Multiply by the decoder norms before the threshold, as Llama Scope's
        own training code does and SAELens does not.

    Returns
    -------
    Sae

    Raises
    ------
    ArtifactError
        If a file is damaged, lacks an array or has one of the wrong shape.
    DownloadError
        If it cannot be fetched.
    UnknownSaeError
        If SAELens does not know the release or id.
    InvalidInputError
        If an option does not fit the SAE's kind.
    """
    if dtype not in _DTYPES:
        raise InvalidInputError(f"SAE dtype {dtype!r}: known are {', '.join(_DTYPES)}")
    if isinstance(input_scale, str):
        if input_scale not in ("auto", "none"):
            raise InvalidInputError(f"input scale {input_scale!r}: auto, none or a number")
    elif not 0 < input_scale < float("inf"):
        raise InvalidInputError(f"input scale must be > 0 and finite, got {input_scale}")
    if top_k is not None and top_k <= 0:
        raise InvalidInputError(f"top_k must be > 0, got {top_k}")
    if ref.kind == "gemma_scope":
        loaded = gemma_scope(ref, decoder=decoder_norm_gate)
    elif ref.kind == "llama_scope":
        loaded = llama_scope(ref, decoder=decoder_norm_gate)
    elif ref.kind == "local":
        loaded = from_local(ref, decoder=decoder_norm_gate)
    else:
        loaded = from_release(ref, dtype)
    options = _Options(torch.device(device), _DTYPES[dtype], top_k, input_scale, decoder_norm_gate)
    with device_memory(f"the SAE {loaded.where} does not fit the memory of {device}"):
        if loaded.encoder is not None:
            return _from_encoder(loaded, options)
        return _build(loaded, options)


@dataclass(frozen=True)
class _Options:
    device: torch.device
    dtype: torch.dtype
    top_k: int | None
    input_scale: InputScale
    decoder_norm_gate: bool

    def cast(self, array: Tensor) -> Tensor:
        return array.to(self.device, self.dtype)


def _build(loaded: Loaded, options: _Options) -> Sae:
    """The SAE with a gate of ours."""
    arrays, config = loaded.arrays, loaded.config
    scale = _scale(loaded, options.input_scale)
    d_in, n_features = arrays["W_enc"].shape
    weight = options.cast(arrays["W_enc"])
    if scale != 1:
        weight.mul_(scale)
    rest = {
        name: options.cast(array)
        for name, array in arrays.items()
        if name not in ("W_enc", "W_dec")
    }
    if loaded.threshold_scale is not None:
        factor = loaded.threshold_scale if options.input_scale == "auto" else scale
        rest["threshold"] = options.cast(arrays["threshold"] * factor)
    norms = _decoder_norms(loaded, options)
    top_k = options.top_k if options.top_k is not None else config.get("k")
    gate: Gate
    if loaded.architecture == "gated":
        if options.top_k is not None or norms is not None:
            raise InvalidInputError(
                f"{loaded.where} is a gated SAE; --top-k and the decoder norms do not go with it"
            )
        gate = GatedGate(weight, rest["b_gate"], rest["b_mag"], rest["r_mag"])
    elif options.top_k is not None or loaded.architecture in ("topk", "abstopk"):
        by_magnitude = loaded.architecture == "abstopk" and options.top_k is None
        if not isinstance(top_k, int):
            raise ArtifactError(f"{loaded.where} does not say its k")
        gate = TopKGate(weight, rest["b_enc"], top_k, norms, by_magnitude=by_magnitude)
    else:
        top_k = None
        gate = ThresholdGate(weight, rest["b_enc"], rest.get("threshold"), norms)
    return Sae(
        d_in=d_in,
        n_features=n_features,
        architecture=loaded.architecture,
        metadata={
            **_common(loaded, options),
            "gate": _gate_name(gate, loaded.architecture),
            "top_k": top_k,
            "input_scale": scale,
            "decoder_norm_gate": options.decoder_norm_gate,
            **_threshold_facts(gate),
        },
        fingerprint=loaded.fingerprint,
        gate=gate,
        dtype=options.dtype,
        device=options.device,
        normalize=config.get("normalize_activations", "none"),
        b_dec=rest.get("b_dec") if config.get("apply_b_dec_to_input") else None,
    )


def _from_encoder(loaded: Loaded, options: _Options) -> Sae:
    """The SAE with SAELens' own encoder, which does everything from input to features."""
    if options.top_k is not None or options.decoder_norm_gate or options.input_scale != "auto":
        raise InvalidInputError(
            f"{loaded.where} is of the architecture {loaded.architecture!r}, which is encoded by "
            "SAELens as it stands: --top-k, --input-scale and the decoder norms do not go with it"
        )
    sae = loaded.encoder.to(device=options.device, dtype=options.dtype)
    return Sae(
        d_in=sae.cfg.d_in,
        n_features=sae.cfg.d_sae,
        architecture=loaded.architecture,
        metadata={**_common(loaded, options), "gate": "encode"},
        fingerprint=loaded.fingerprint,
        gate=EncodeGate(sae),
        dtype=options.dtype,
        device=options.device,
    )


def _scale(loaded: Loaded, asked: InputScale) -> float:
    if asked == "auto":
        return loaded.input_scale
    return 1.0 if asked == "none" else float(asked)


def _decoder_norms(loaded: Loaded, options: _Options) -> Tensor | None:
    """Norm of each feature's decoder row, where it takes part in the gate."""
    if not options.decoder_norm_gate and not loaded.config.get("rescale_acts_by_decoder_norm"):
        return None
    if "W_dec" not in loaded.arrays:
        raise InvalidInputError(f"{loaded.where}: the decoder of a transcoder is no gate's norm")
    return options.cast(loaded.arrays["W_dec"].to(options.dtype).norm(dim=-1))


def _gate_name(gate: Gate, architecture: str) -> str:
    if isinstance(gate, ThresholdGate):
        return "jumprelu" if "jumprelu" in architecture else "relu"
    if isinstance(gate, TopKGate):
        return "abstopk" if gate.by_magnitude else "topk"
    return architecture


def _threshold_facts(gate: Gate) -> dict[str, float]:
    if not isinstance(gate, ThresholdGate) or not isinstance(gate.threshold, Tensor):
        return {}
    finite = gate.threshold[gate.threshold.isfinite()]  # infinity: a feature shut off
    if not finite.numel():
        return {}
    low, high = finite.aminmax()
    return {"threshold_min": float(low), "threshold_max": float(high)}


def _common(loaded: Loaded, options: _Options) -> dict[str, Any]:
    return {
        "architecture": loaded.architecture,
        "dtype": str(options.dtype).removeprefix("torch."),
        **loaded.config,
        **loaded.facts,
    }
