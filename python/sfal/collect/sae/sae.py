"""Sparse autoencoders, reduced to the question which of their features fire."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sfal.collect.model.oom import device_memory
from sfal.collect.sae.gates import EncodeGate, Gate, GatedGate, ThresholdGate, TopKGate
from sfal.collect.sae.group_max import GroupMaxGate
from sfal.collect.sae.loaders import (
    from_local,
    from_release,
    from_repository,
    gemma_scope,
    llama_scope,
)
from sfal.collect.sae.weights import SaeWeights
from sfal.collect.settings import SaeConfig
from sfal.errors import ArtifactError, InvalidInputError, Note
from sfal.sources.source import SaeRef

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}
_DEFAULTS = SaeConfig()


@dataclass(frozen=True)
class Sae:
    """An SAE reduced to the question which features fire; see :func:`load_sae`."""

    d_in: int
    """Width of its input."""
    n_features: int
    """Number of features."""
    architecture: str
    """As SAELens names it: ``standard``, ``jumprelu``, ``topk``, …"""
    metadata: dict[str, Any]
    """What a manifest records: gate, dtype, input scale, thresholds."""
    fingerprint: dict[str, str]
    """Hash of each local file, or the hub's repository, path and commit."""
    gate: Gate = field(repr=False)
    """Decides which features fire."""
    dtype: torch.dtype
    """Precision of the products."""
    device: torch.device
    """Where the weights are."""
    normalize: str = "none"
    """The part of SAELens' ``normalize_activations`` that acts at run time."""
    b_dec: Tensor | None = field(default=None, repr=False)
    """Decoder bias [d_in] over the input's scale, if it is subtracted from the input."""
    notes: tuple[Note, ...] = ()
    """What the user should know about its settings."""

    def fires(self, x: Tensor) -> Tensor:
        """Return which features fire on each token.

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
        """Return which features fire on at least one token of each window.

        Parameters
        ----------
        x : Tensor of shape (windows, tokens, d_in)
            Activations, any floating dtype.
        out : Tensor, optional
            Memory from :meth:`workspace`, to be reused.

        Returns
        -------
        Tensor of shape (windows, n_features), bool
        """
        return self.gate.fires_in(self._prepare(x), out)

    def encode(self, x: Tensor) -> Tensor:
        """Return each feature's activation on each token, as SAELens' ``SAE.encode`` does.

        Parameters
        ----------
        x : Tensor of shape (tokens, d_in)
            Activations, any floating dtype.

        Returns
        -------
        Tensor of shape (tokens, n_features), in the SAE's dtype
            Above 0 where a feature fires.
        """
        return self.gate.encode(self._prepare(x))

    def workspace(self, n_tokens: int) -> Tensor | None:
        """Allocate memory for the products of `n_tokens` tokens; None if the gate needs none."""
        if isinstance(self.gate, EncodeGate):
            return None
        return torch.empty((n_tokens, self.n_features), dtype=self.dtype, device=self.device)

    def _prepare(self, x: Tensor) -> Tensor:
        """Return the input as the gate takes it: SAELens' ``process_sae_in`` without reshaping."""
        x = x.to(self.dtype)
        if self.normalize == "constant_norm_rescale":
            x = x * (self.d_in**0.5 / x.norm(dim=-1, keepdim=True))
        elif self.normalize == "layer_norm":
            x = x - x.mean(dim=-1, keepdim=True)
            x = x / (x.std(dim=-1, keepdim=True) + 1e-5)
        return x if self.b_dec is None else x - self.b_dec


def load_sae(
    ref: SaeRef, config: SaeConfig = _DEFAULTS, *, device: str | torch.device = "cpu"
) -> Sae:
    """Load only those arrays of an SAE that decide what fires.

    Parameters
    ----------
    ref : SaeRef
        Where it is, and in which layout.
    config : SaeConfig
        Precision and gate. Weights, thresholds and inputs are cast to
        `sae_dtype`; the published rule is ``bfloat16``.
    device : str or torch.device
        Where to put its weights.

    Returns
    -------
    Sae

    Raises
    ------
    ArtifactError
        If a file is missing (MissingError) or damaged (CorruptError), or it
        lacks an array or has one of the wrong shape.
    DownloadError
        If it cannot be fetched.
    UnknownSaeError
        If SAELens does not know the release or id.
    InvalidInputError
        If a setting does not apply to the SAE's kind.
    MemoryLimitError
        If it does not fit into the device's memory.
    """
    if ref.kind == "gemma_scope":
        loaded = gemma_scope(ref, decoder=config.decoder_norm_gate)
    elif ref.kind == "llama_scope":
        loaded = llama_scope(ref, decoder=config.decoder_norm_gate)
    elif ref.kind == "repository":
        loaded = from_repository(ref, decoder=config.decoder_norm_gate)
    elif ref.kind == "local":
        loaded = from_local(ref, decoder=config.decoder_norm_gate)
    else:
        loaded = from_release(ref, config.sae_dtype)
    target = _Target(torch.device(device), _DTYPES[config.sae_dtype])
    with device_memory(f"the SAE {loaded.where} does not fit into the memory of {device}"):
        if loaded.encoder is not None:
            return _from_encoder(loaded, config, target)
        return _from_arrays(loaded, config, target)


@dataclass(frozen=True)
class _Target:
    """Where the weights go, and in which precision."""

    device: torch.device
    dtype: torch.dtype

    def cast(self, array: Tensor) -> Tensor:
        return array.to(self.device, self.dtype)


def _from_arrays(loaded: SaeWeights, config: SaeConfig, target: _Target) -> Sae:
    """Build the SAE with one of our gates."""
    arrays = loaded.arrays
    scale = _scale(loaded, config)
    d_in, n_features = arrays["W_enc"].shape
    weight = target.cast(arrays["W_enc"])
    rest = {
        name: target.cast(array) for name, array in arrays.items() if name not in ("W_enc", "W_dec")
    }
    if scale != 1:
        # (s x - b_dec) @ W = (x - b_dec / s) @ (s W), as SAELens folds it.
        weight.mul_(scale)
        if "b_dec" in rest:
            rest["b_dec"] = target.cast(arrays["b_dec"] / scale)
    if loaded.threshold_scale is not None:
        factor = loaded.threshold_scale if config.input_scale == "auto" else scale
        rest["threshold"] = target.cast(arrays["threshold"] * factor)
    norms = _decoder_norms(loaded, config, target)
    top_k = config.top_k if config.top_k is not None else loaded.config.get("k")
    if loaded.lacks_gate and config.top_k is None:
        raise ArtifactError(
            loaded.lacks_gate, hint="$top_k(K) lets the K largest features of each token fire"
        )
    gate: Gate
    if loaded.architecture == "gated":
        if config.top_k is not None or norms is not None:
            raise InvalidInputError(
                f"{loaded.where} is a gated SAE, whose gate is not replaced",
                hint="leave out $top_k and $decoder_norm_gate",
            )
        gate = GatedGate(weight, rest["b_gate"], rest["b_mag"], rest["r_mag"])
    elif config.top_k is None and loaded.architecture == "groupmax":
        gate = GroupMaxGate(weight, rest["b_enc"], loaded.config["k"])
    elif config.top_k is not None or loaded.architecture in ("topk", "abstopk"):
        by_magnitude = loaded.architecture == "abstopk" and config.top_k is None
        if isinstance(top_k, float) and top_k.is_integer():
            top_k = int(top_k)
        if not isinstance(top_k, int):
            raise ArtifactError(f"{loaded.where}: its settings do not contain k")
        gate = TopKGate(weight, rest["b_enc"], top_k, norms, by_magnitude=by_magnitude)
    else:
        top_k = None
        gate = ThresholdGate(weight, rest["b_enc"], rest.get("threshold"), norms)
    return Sae(
        d_in=d_in,
        n_features=n_features,
        architecture=loaded.architecture,
        metadata={
            **_common(loaded, target),
            "gate": _gate_name(gate, loaded.architecture),
            "top_k": top_k,
            "input_scale": scale,
            "decoder_norm_gate": config.decoder_norm_gate,
            **_threshold_facts(gate),
        },
        fingerprint=loaded.fingerprint,
        gate=gate,
        dtype=target.dtype,
        device=target.device,
        normalize=loaded.config.get("normalize_activations", "none"),
        b_dec=rest.get("b_dec") if loaded.config.get("apply_b_dec_to_input") else None,
        notes=(*loaded.file_notes, *(() if config.input_scale != "auto" else loaded.notes)),
    )


def _from_encoder(loaded: SaeWeights, config: SaeConfig, target: _Target) -> Sae:
    """Build the SAE with SAELens' own encoder, which does everything from input to features."""
    if config.top_k is not None or config.decoder_norm_gate or config.input_scale != "auto":
        raise InvalidInputError(
            f"{loaded.where} has the architecture {loaded.architecture!r}, which SAELens itself "
            "encodes, unchanged",
            hint="leave out $top_k, $input_scale and $decoder_norm_gate",
        )
    sae = loaded.encoder.to(device=target.device, dtype=target.dtype)
    return Sae(
        d_in=sae.cfg.d_in,
        n_features=sae.cfg.d_sae,
        architecture=loaded.architecture,
        metadata={**_common(loaded, target), "gate": "encode"},
        fingerprint=loaded.fingerprint,
        gate=EncodeGate(sae),
        dtype=target.dtype,
        device=target.device,
        notes=loaded.notes,
    )


def _scale(loaded: SaeWeights, config: SaeConfig) -> float:
    if config.input_scale == "auto":
        return loaded.input_scale
    return 1.0 if config.input_scale == "none" else float(config.input_scale)


def _decoder_norms(loaded: SaeWeights, config: SaeConfig, target: _Target) -> Tensor | None:
    """Return the norm of each feature's decoder row; None if the gate does not use it."""
    if not config.decoder_norm_gate and not loaded.config.get("rescale_acts_by_decoder_norm"):
        return None
    if "W_dec" not in loaded.arrays:
        raise InvalidInputError(
            f"{loaded.where} is a transcoder, whose decoder writes to another place than its "
            "encoder reads, so its norms do not scale the gate",
            hint="leave out $decoder_norm_gate",
        )
    return target.cast(loaded.arrays["W_dec"].to(target.dtype).norm(dim=-1))


def _gate_name(gate: Gate, architecture: str) -> str:
    if isinstance(gate, ThresholdGate):
        return "jumprelu" if "jumprelu" in architecture else "relu"
    if isinstance(gate, GroupMaxGate):
        return "groupmax"
    if isinstance(gate, TopKGate):
        return "abstopk" if gate.by_magnitude else "topk"
    return architecture


def _threshold_facts(gate: Gate) -> dict[str, float]:
    if not isinstance(gate, ThresholdGate) or not isinstance(gate.threshold, Tensor):
        return {}
    finite = gate.threshold[gate.threshold.isfinite()]  # infinity turns a feature off
    if not finite.numel():
        return {}
    low, high = finite.aminmax()
    return {"threshold_min": float(low), "threshold_max": float(high)}


def _common(loaded: SaeWeights, target: _Target) -> dict[str, Any]:
    return {
        "architecture": loaded.architecture,
        "dtype": str(target.dtype).removeprefix("torch."),
        **loaded.config,
        **loaded.facts,
    }
