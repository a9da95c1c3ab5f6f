"""SAEs that SAELens loads. The only module that imports it: that takes seconds."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sfal.collect.sae.loaders import KEYS, Loaded, check_shapes, facts, relevant, wanted_keys
from sfal.errors import ArtifactError, InvalidInputError, SfalError, UnknownSaeError
from sfal.io.hub import hub_errors

_PER_SEQUENCE = ("temporal",)
"""Architectures in which what fires depends on the tokens before."""


def fetch(release: str, sae_id: str, dtype: str) -> Loaded:
    """Fetch an SAE of a release, its normalisation folded into its weights."""
    where = f"{release} {sae_id}"

    def load(SAE: Any) -> Any:  # noqa: N803
        try:
            with hub_errors(f"SAE {where}"):
                return SAE.from_pretrained(release, sae_id, device="cpu", dtype=dtype)
        except ValueError as e:
            if "not found in" in str(e) and not isinstance(e, SfalError):
                raise UnknownSaeError(
                    f"SAELens knows no SAE {where}; `sfal sources` lists what it knows"
                ) from e
            raise

    return _load(where, load)


def open_folder(path: Path) -> Loaded:
    """Load an SAE from SAELens' own folder, of any version of its layout."""
    return _load(str(path), lambda SAE: SAE.load_from_disk(path, device="cpu"))  # noqa: N803


def _load(where: str, load: Callable[[Any], Any]) -> Loaded:
    with _quiet(), _failures(where):
        from sae_lens import SAE

        sae = load(SAE)
    return from_sae(sae, where)


def from_sae(sae: Any, where: str) -> Loaded:
    """What decides of an SAE object of sae_lens.

    Raises
    ------
    InvalidInputError
        If it looks at more than one token at a time.
    """
    config = sae.cfg.to_dict()
    architecture = config["architecture"]
    if architecture in _PER_SEQUENCE:
        raise InvalidInputError(
            f"SAE {where} is of the architecture {architecture!r}, whose features depend on the "
            "tokens before; SFAL counts SAEs that look at one token"
        )
    told = facts(config.get("metadata"))
    if architecture not in KEYS:
        sae.eval().requires_grad_(False)
        sae.turn_off_forward_pass_hook_z_reshaping()
        return Loaded(where, architecture, {}, {}, {}, facts=told, encoder=sae)
    state = sae.state_dict()
    # The decoder's norms may be asked for; it is let go when the gate stands.
    keys = {*wanted_keys(config, decoder=False), "W_dec"}
    arrays = {key: state[key].detach() for key in keys}
    if "transcoder" in architecture:
        del arrays["W_dec"]
    check_shapes(Path(where), arrays)
    return Loaded(where, architecture, arrays, {}, relevant(config), facts=told)


@contextmanager
def _failures(where: str) -> Iterator[None]:
    try:
        yield
    except SfalError:
        raise
    except OSError as e:
        raise ArtifactError(f"SAE {where} cannot be read: {e}") from e
    except Exception as e:
        # Whatever a foreign file makes SAELens stumble over.
        raise ArtifactError(
            f"SAELens cannot load {where}: {type(e).__name__}: {(str(e).splitlines() or [''])[0]}"
        ) from e


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
