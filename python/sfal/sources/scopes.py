"""Sources of Gemma Scope and Llama Scope, by layer, width and L0."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, cast

from sfal.errors import DownloadError, InvalidInputError, Note, UnknownSaeError
from sfal.sources.configuration.training import Training
from sfal.sources.presets import PRESETS
from sfal.sources.registry import by_path, neuronpedia_id
from sfal.sources.source import SaeRef, Site, Source

SCOPE_CONTEXT = 1024
"""Tokens per context in the training of Gemma Scope and Llama Scope."""

_DEFAULT_L0 = 100
"""L0 to aim for if Neuronpedia explains no variant (paper, section 4)."""

_GEMMA_PATH = re.compile(r"layer_(\d+)/width_(\w+)/average_l0_(\d+)")
_LLAMA_PATH = re.compile(r"Llama3_1-8B-Base-L(\d+)([RMA])-(\d+x)")
_LLAMA_WIDTH = 4096
"""Width of Llama-3.1-8B's residual stream; the SAEs' widths are multiples of it."""
_LLAMA_SITES: dict[str, Site] = {"res": "res", "mlp": "mlp", "att": "attn_out"}


def resolve_gemma(
    model: str = PRESETS["gemma"].model,
    layers: Sequence[int] | None = None,
    sites: Sequence[str] = ("res",),
    width: str = "16k",
    target_l0: int | None = None,
    *,
    online: bool = True,
) -> list[Source]:
    """Return the sources of Gemma Scope for layers of a Gemma 2 model.

    Parameters
    ----------
    model : str
        Hub id or local folder; the size is taken from its name (``gemma-2-2b``).
    layers : sequence of int, optional
        Layers; default: those of the preset for the size.
    sites : sequence of str
        Of ``res``, ``mlp``, ``att``.
    width : str
        Number of features as Gemma Scope names it, such as ``16k``.
    target_l0 : int, optional
        Choose the variant with the nearest L0. Default: the one that
        Neuronpedia explains, else the one nearest to 100.
    online : bool
        Whether to ask the hub which variants its repository holds. SAELens'
        registry is used instead if not, or if the hub cannot be reached.

    Returns
    -------
    sources : list of Source
        By site, then layer.

    Raises
    ------
    UnknownSaeError
        If there is no SAE for a layer, site or width; the message lists what exists.
    """
    name = model_name(model)
    match = re.fullmatch(r"gemma-2-(\d+b)(-it)?", name)
    if match is None:
        raise UnknownSaeError(
            f"{model!r} is not a Gemma 2 model (gemma-2-2b, gemma-2-9b, gemma-2-9b-it, "
            "gemma-2-27b)",
            hint="for other models name the SAE: $do_count_sae with $release and $sae_id",
        )
    size, tuned = match[1], match[2] or ""
    if layers is None:
        layers = PRESETS["gemma"].layers.get(size + tuned)
        if layers is None:
            raise UnknownSaeError(f"no default layers for {name}", hint="name some with $layers")
    result = []
    for site in sites:
        repo_id = f"google/gemma-scope-{size}-{'it' if tuned else 'pt'}-{site}"
        variants = _gemma_variants(repo_id, online)
        for layer in layers:
            path, notes = _choose_variant(repo_id, variants, layer, width, target_l0)
            result.append(
                Source(
                    name=_gemma_name(repo_id, path, name, layer, site, width),
                    model=model,
                    site=cast(Site, site),
                    layer=layer,
                    sae=SaeRef("gemma_scope", repo_id=repo_id, path=path),
                    neuronpedia_id=neuronpedia_id(repo_id, path),
                    training=Training(model=f"google/{name}", context_size=SCOPE_CONTEXT),
                    notes=notes,
                )
            )
    return result


def resolve_llama(
    model: str = PRESETS["llama"].model,
    layers: Sequence[int] | None = None,
    sites: Sequence[str] = ("res",),
    expansion: Literal["8x", "32x"] = "8x",
) -> list[Source]:
    """Return the sources of Llama Scope for layers of Llama-3.1-8B.

    Parameters
    ----------
    model : str
        Hub id or local folder of the model.
    layers : sequence of int, optional
        Layers; default: the paper's.
    sites : sequence of str
        Of ``res``, ``mlp``, ``att``.
    expansion : str
        ``8x`` (32,768 features) or ``32x`` (131,072).

    Returns
    -------
    sources : list of Source
        By site, then layer.

    Raises
    ------
    InvalidInputError
        If Llama Scope does not have a site.
    UnknownSaeError
        If there is no SAE for a layer.
    """
    result = []
    for site in sites:
        if site not in _LLAMA_SITES:
            raise InvalidInputError(f"site {site!r}: Llama Scope has res, mlp and att")
        letter = site[0].upper()
        repo_id = f"fnlp/Llama3_1-8B-Base-LX{letter}-{expansion}"
        known = by_path(repo_id)
        for layer in PRESETS["llama"].layers["8b"] if layers is None else layers:
            path = f"Llama3_1-8B-Base-L{layer}{letter}-{expansion}"
            if path not in known:
                there = [int(m[1]) for m in map(_LLAMA_PATH.fullmatch, known) if m]
                raise UnknownSaeError(
                    f"{repo_id} has no SAE on layer {layer}; it has {_ranges(there)}"
                )
            entry = known[path][0]
            result.append(
                Source(
                    name=entry.neuronpedia_id
                    or f"llama3.1-8b/{layer}-llamascope-{site}-{expansion}",
                    model=model,
                    site=_LLAMA_SITES[site],
                    layer=layer,
                    sae=SaeRef(
                        "llama_scope",
                        repo_id=repo_id,
                        path=path,
                        release=entry.release,
                        sae_id=entry.sae_id,
                    ),
                    neuronpedia_id=entry.neuronpedia_id,
                    training=Training(model=PRESETS["llama"].model, context_size=SCOPE_CONTEXT),
                )
            )
    return result


def model_name(model: str) -> str:
    """Return the last component of a hub id or of a local folder's path, in lower case."""
    return (
        Path(model).resolve().name.lower() if Path(model).exists() else model.split("/")[-1].lower()
    )


def _gemma_variants(repo_id: str, online: bool) -> list[str]:
    """Return the folders of a Gemma Scope repository that hold the SAE of a layer."""
    known = by_path(repo_id)
    if online:
        from sfal.io.hub import list_files

        try:
            paths = [
                path.removesuffix("/params.npz")
                for path in list_files(repo_id)
                if path.endswith("/params.npz")
            ]
            return [path for path in paths if _GEMMA_PATH.fullmatch(path)]
        except DownloadError:
            if not known:
                raise
            # The registry names the same folders; with the SAE cached, no network is needed.
    if not known:
        raise UnknownSaeError(
            f"SAELens knows no repository {repo_id}; Gemma Scope has res, mlp and att for 2b and "
            "9b, and res for 9b-it and 27b"
        )
    return [path for path in known if _GEMMA_PATH.fullmatch(path)]


def _choose_variant(
    repo_id: str, variants: Iterable[str], layer: int, width: str, target_l0: int | None
) -> tuple[str, tuple[Note, ...]]:
    """Return the folder of the variant to use, and what the user should know about it."""
    facts = {
        path: (int(m[1]), m[2], int(m[3])) for path in variants if (m := _GEMMA_PATH.match(path))
    }
    l0_of = {p: l0 for p, (at, wide, l0) in facts.items() if (at, wide) == (layer, width)}
    if not l0_of:
        raise _no_variant(repo_id, facts, layer, width)
    explained = _canonical(repo_id, layer, width)
    if target_l0 is None and explained in l0_of:
        return explained, ()
    aim = _DEFAULT_L0 if target_l0 is None else target_l0
    path = min(l0_of, key=lambda p: (abs(l0_of[p] - aim), l0_of[p]))
    if explained is None:
        return path, (
            Note(f"Neuronpedia explains no SAE of layer {layer}, width {width} in {repo_id}"),
        )
    if path != explained:
        own = neuronpedia_id(repo_id, path)
        there = f"; it knows this one as {own}" if own else ""
        return path, (
            Note(
                f"layer {layer}: took {path}, but the SAE that Neuronpedia explains is "
                f"{explained}: its features are numbered differently, so its explanations do not "
                f"fit{there}"
            ),
        )
    return path, ()


def _canonical(repo_id: str, layer: int, width: str) -> str | None:
    """Return the folder of the variant that has a plain id on Neuronpedia."""
    for path, entries in by_path(repo_id).items():
        match = _GEMMA_PATH.fullmatch(path)
        if match and int(match[1]) == layer and match[2] == width:
            plain = [e for e in entries if e.neuronpedia_id and "__" not in e.neuronpedia_id]
            if plain:
                return path
    return None


def _gemma_name(repo_id: str, path: str, model: str, layer: int, site: str, width: str) -> str:
    known = neuronpedia_id(repo_id, path)
    if known:
        return known
    l0 = path.rpartition("_")[2]
    return f"{model}/{layer}-gemmascope-{site}-{width}__l0-{l0}"


def _no_variant(
    repo_id: str, facts: Mapping[str, tuple[int, str, int]], layer: int, width: str
) -> UnknownSaeError:
    layers = {at for at, _, _ in facts.values()}
    if layer not in layers:
        return UnknownSaeError(
            f"{repo_id} has no SAE on layer {layer}; it has layers {_ranges(layers)}"
        )
    widths = sorted({wide for at, wide, _ in facts.values() if at == layer})
    return UnknownSaeError(
        f"{repo_id} has no SAE of width {width} on layer {layer}",
        hint=f"$width can be {', '.join(widths)} there",
    )


def _ranges(numbers: Iterable[int]) -> str:
    """Format integers briefly, with consecutive ones joined: ``0-25, 30``."""
    ordered = sorted(set(numbers))
    runs: list[list[int]] = []
    for number in ordered:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in runs) or "none"


def named_width(ref: SaeRef) -> int | None:
    """Return the number of features in the name of a Gemma Scope or Llama Scope SAE.

    Examples
    --------
    >>> named_width(SaeRef("gemma_scope", path="layer_0/width_65k/average_l0_21"))
    65536
    """
    gemma = _GEMMA_PATH.fullmatch(ref.path or "")
    if ref.kind == "gemma_scope" and gemma and re.fullmatch(r"\d+[km]", gemma[2]):
        thousands = int(gemma[2][:-1]) * (1000 if gemma[2].endswith("m") else 1)
        # 16k means 2**14 and 1m means 2**20: the nearest power of two.
        return 1 << round(math.log2(thousands * 1000))
    llama = _LLAMA_PATH.fullmatch(ref.path or "")
    if ref.kind == "llama_scope" and llama:
        return _LLAMA_WIDTH * int(llama[3][:-1])
    return None
