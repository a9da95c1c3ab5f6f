"""SAEs loaded by SAELens, which is imported only when one is needed: that takes seconds."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sfal.collect.sae.weights import KEYS, SaeWeights, check_shapes, facts, relevant, wanted_keys
from sfal.errors import ArtifactError, InvalidInputError, Note, SfalError, UnknownSaeError
from sfal.io.hub import hub_errors

_PER_SEQUENCE = ("temporal",)
"""Architectures whose features depend on earlier tokens."""


def load_from_release(release: str, sae_id: str, dtype: str) -> SaeWeights:
    """Fetch an SAE of a release, with its normalisation folded into its weights."""
    where = f"{release} {sae_id}"

    def load(SAE: Any) -> Any:  # noqa: N803
        try:
            with hub_errors(f"SAE {where}"):
                return SAE.from_pretrained(release, sae_id, device="cpu", dtype=dtype)
        except ValueError as e:
            if "not found in" in str(e) and not isinstance(e, SfalError):
                raise UnknownSaeError(
                    f"SAELens knows no SAE {where}", hint="$do_sources lists what it knows"
                ) from e
            raise

    return _load(where, load)


def load_from_folder(path: Path, config: dict[str, Any]) -> SaeWeights:
    """Load an SAE from SAELens' own folder, of any version of its layout.

    Parameters
    ----------
    path : Path
        The folder.
    config : dict
        Its settings, which count before those in its ``cfg.json``.
    """

    def load(SAE: Any) -> Any:  # noqa: N803
        from sae_lens.loading.pretrained_sae_loaders import sae_lens_disk_loader

        def read(path: Path, device: str, cfg_overrides: dict[str, Any] | None) -> Any:
            # The file's own device and precision are those of its training.
            here = {"device": device, "dtype": "float32"}
            return sae_lens_disk_loader(path, device, {**config, **(cfg_overrides or {}), **here})

        return SAE.load_from_disk(path, device="cpu", converter=read)

    return _load(str(path), load)


def _load(where: str, load: Callable[[Any], Any]) -> SaeWeights:
    with _quiet(), _failures(where):
        from sae_lens import SAE

        sae = load(SAE)
    return _weights_of(sae, where)


def _weights_of(sae: Any, where: str) -> SaeWeights:
    """Extract from a SAELens SAE what decides which features fire.

    Raises
    ------
    InvalidInputError
        If it looks at more than one token at a time.
    """
    config = sae.cfg.to_dict()
    architecture = config["architecture"]
    if architecture in _PER_SEQUENCE:
        raise InvalidInputError(
            f"SAE {where} has the architecture {architecture!r}, whose features depend on "
            "earlier tokens; SFAL counts SAEs that look at one token at a time"
        )
    training = facts(config.get("metadata"))
    notes = normalisation_notes(where, config)
    if architecture not in KEYS:
        sae.eval().requires_grad_(False)
        sae.turn_off_forward_pass_hook_z_reshaping()
        return SaeWeights(where, architecture, {}, {}, {}, facts=training, encoder=sae, notes=notes)
    state = sae.state_dict()
    # The decoder's norms may be needed; the decoder is freed once the gate is built.
    keys = {*wanted_keys(config, decoder=False), "W_dec"}
    arrays = {key: state[key].detach() for key in keys}
    if "transcoder" in architecture:
        del arrays["W_dec"]
    check_shapes(Path(where), arrays)
    return SaeWeights(
        where, architecture, arrays, {}, relevant(config), facts=training, notes=notes
    )


def normalisation_notes(where: str, config: dict[str, Any]) -> tuple[Note, ...]:
    """Return a note if inputs were normalised in training in a way that the files do not hold.

    SAELens folds these normalisations into the weights when training ends; an
    SAE that still names one was saved before, and its numbers are elsewhere.

    Parameters
    ----------
    where : str
        The SAE.
    config : dict
        SAELens' settings of it.
    """
    normalisation = config.get("normalize_activations")
    if normalisation == "expected_average_only_in":
        return (
            Note(
                f"SAE {where} was trained on inputs scaled to an average norm of sqrt(d_in), but "
                "its files do not say by which factor, so they are counted as they are",
                "if you know the factor, give it with $input_scale",
            ),
        )
    if normalisation == "covariance_whitening":
        return (
            Note(
                f"SAE {where} was trained on whitened inputs, but the whitening is not folded into "
                "its weights, so inputs are counted as they are",
                "fold it in with SAELens (fold_activation_whitening) and save the SAE again",
            ),
        )
    return ()


@contextmanager
def _failures(where: str) -> Iterator[None]:
    """Name the SAE in whatever error SAELens raises."""
    try:
        yield
    except SfalError:
        raise
    except OSError as e:
        raise ArtifactError(f"SAE {where} cannot be read: {e}") from e
    except KeyError as e:
        raise ArtifactError(f"SAELens cannot load {where}: its settings lack {e}") from e
    except Exception as e:
        # A malformed file can make SAELens raise anything.
        raise ArtifactError(
            f"SAELens cannot load {where}: {type(e).__name__}{_reason(e)}",
            hint="if SAELens itself can, count what it fires with $do_count_encoded",
        ) from e


def _reason(error: Exception) -> str:
    """Return an error's first two lines as one: PyTorch names the missing arrays in the second."""
    said = " ".join(" ".join(str(error).splitlines()[:2]).split())[:300].rstrip(" .")
    return f": {said}" if said else ""


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
