"""Quantised checkpoints: what they need, and whether it is there."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from sfal.errors import InvalidInputError, MissingDependencyError, SfalError

_NEEDS = {
    "aqlm": {"aqlm": "aqlm[gpu,cpu]"},
    "auto-round": {"auto_round": "auto-round"},
    "awq": {"gptqmodel": "gptqmodel"},
    "bitnet": {},
    "bitsandbytes": {"bitsandbytes": "bitsandbytes"},
    "compressed-tensors": {"compressed_tensors": "compressed-tensors"},
    "eetq": {"kernels": "kernels"},
    "fbgemm_fp8": {"fbgemm_gpu": "fbgemm-gpu"},
    "fouroversix": {"fouroversix": "fouroversix"},
    "fp8": {},
    "fp_quant": {"fp_quant": "fp_quant"},
    "gptq": {"gptqmodel": "gptqmodel", "optimum": "optimum"},
    "higgs": {"flute": "flute-kernel"},
    "hqq": {"hqq": "hqq"},
    "mxfp4": {"kernels": "kernels"},
    "quanto": {"optimum.quanto": "optimum-quanto"},
    "quark": {"quark": "amd-quark"},
    "sinq": {"sinq": "sinq"},
    "spqr": {"spqr_quant": "spqr_quant[gpu]"},
    "torchao": {"torchao": "torchao"},
    "vptq": {"vptq": "vptq"},
}
"""Modules that transformers needs for each method, and the packages that have them."""
_FOR_ALL = {"accelerate": "accelerate"}


def quantisation(config: Any) -> str | None:
    """Return how a checkpoint is quantised, as its configuration says; None if it is not."""
    found = getattr(config, "quantization_config", None)
    if found is None:
        return None
    if not isinstance(found, Mapping):
        found = vars(found)
    method = found.get("quant_method")
    if method is None and (found.get("load_in_4bit") or found.get("load_in_8bit")):
        return "bitsandbytes"  # as the first checkpoints spell it
    return str(getattr(method, "value", method) or "an unnamed method")


def check_quantised(model: str, method: str) -> None:
    """Refuse a quantised checkpoint if a package that it needs is not installed.

    Raises
    ------
    InvalidInputError
        If transformers does not know the method: it would take the numbers for weights.
    MissingDependencyError
        Naming the model, the packages, and how to install them.
    """
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

    if not any(known.partition("_4bit")[0] == method for known in AUTO_QUANTIZATION_CONFIG_MAPPING):
        raise InvalidInputError(
            f"{model} is quantised by {method}, which the installed transformers does not know",
            hint="name a checkpoint that is not quantised with $model",
        )
    needs = {**_NEEDS.get(method, {}), **_FOR_ALL}
    missing = [package for module, package in needs.items() if not _is_installed(module)]
    if missing:
        raise MissingDependencyError(
            f"{model} is quantised by {method}, which needs {' and '.join(missing)}",
            hint=f"pip install {' '.join(map(_quoted, missing))}, or name a checkpoint that is not "
            "quantised with $model",
        )


@contextmanager
def loading_quantised(model: str, method: str | None) -> Iterator[None]:
    """Name the model, and how it is quantised, in whatever error loading it raises.

    Does nothing if `method` is None.

    Raises
    ------
    MissingDependencyError
        If a package is missing, or too old.
    InvalidInputError
        If the method cannot run here, for example without a GPU.
    """
    try:
        yield
    except (SfalError, OSError, MemoryError):
        raise
    except ImportError as e:
        if method is None:
            raise
        raise MissingDependencyError(
            f"{model} is quantised by {method}: {_one_line(e)}",
            hint="or name a checkpoint that is not quantised with $model",
        ) from e
    except Exception as e:  # the packages raise whatever they like
        import torch

        if method is None or isinstance(e, torch.OutOfMemoryError):
            raise
        raise InvalidInputError(
            f"{model} is quantised by {method} and cannot be loaded here: {_one_line(e)}",
            hint="name a checkpoint that is not quantised with $model, or see $device",
        ) from e


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent package
        return False


def _quoted(package: str) -> str:
    return f"'{package}'" if "[" in package else package


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]}…"
