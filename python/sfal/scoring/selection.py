"""Which sources on disk a request means: by model, layer, name, embedder and explainer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sfal.errors import ArtifactError, CombinedError, InvalidInputError, MissingError, SfalError
from sfal.sources import PRESETS
from sfal.store.published.layout import MODEL_IDS, explainer_of
from sfal.store.run_folder import RunFolder
from sfal.store.source_folder import SourceFolder

_LISTED = 8
"""Sources that a message lists."""

_COUNT = {"gemma": "$do_count_gemma", "llama": "$do_count_llama"}
"""Actions that count the sources of a preset."""


@dataclass(frozen=True)
class EmbeddingsFile:
    """One set of embeddings of a source."""

    embedder: str
    """Hub id of the embedder, or ``local/NAME``: its folder."""
    stem: str
    """``{type}_{explainer}`` of the explanations."""
    path: Path
    """The file."""

    @property
    def title(self) -> str:
        """Embedder and explanations, as messages name them."""
        return f"{self.embedder} ({self.stem})"


@dataclass(frozen=True)
class SourceInput:
    """A source on disk that can be scored."""

    name: str
    """Name of the source: its folder below the data folder."""
    model: str
    """Neuronpedia's id of the language model, or the name of its folder."""
    layer: int | None
    """Layer; None if neither the manifest nor the name says."""
    folder: Path
    """Folder of the source."""
    run_folder: Path
    """Folder of the counts: the source's own, or that of a further run."""
    embeddings: tuple[EmbeddingsFile, ...] = ()
    """Sets of embeddings chosen, in alphabetical order."""


@dataclass(frozen=True)
class Selection:
    """What to score; everything on disk by default."""

    model: str | None = None
    """``gemma``, ``llama``, a model's id on the hub or on Neuronpedia, or its folder."""
    layers: tuple[int, ...] = ()
    """Layers wanted; empty: all."""
    sources: tuple[str, ...] = ()
    """Names of sources; empty: all."""
    embeddings: tuple[str, ...] = ()
    """Embedders wanted; empty: all."""
    explainers: tuple[str, ...] = ()
    """Explainers wanted; empty: all."""
    run: str | None = None
    """Name of a further run."""


@dataclass(frozen=True)
class Selected:
    """Result of a selection."""

    sources: tuple[SourceInput, ...]
    """Sources to score, by model, layer and name."""
    refused: tuple[SfalError, ...] = ()
    """What was requested and does not exist, and what to do."""
    skipped: tuple[SfalError, ...] = ()
    """What exists but is not complete, if nobody requested it by name."""


@dataclass(frozen=True)
class _Candidate:
    """A source, and the run of it whose counts are meant."""

    source: SourceFolder
    run: RunFolder

    @property
    def has_counts(self) -> bool:
        return self.run.has_counts


def select_sources(data_dir: Path, selection: Selection) -> Selected:
    """Find the sources that a selection means, and their embeddings.

    Parameters
    ----------
    data_dir : Path
        Root of our data tree, of the published one, or of both.
    selection : Selection
        Which sources and which of their embeddings.

    Returns
    -------
    selected : Selected

    Raises
    ------
    MissingError
        If nothing requested exists.
    CombinedError
        If nothing requested exists, for several reasons.
    InvalidInputError
        If ``gemma`` or ``llama`` stands for several models.
    """
    refused: list[SfalError] = []
    if selection.sources:
        found, refused = _by_name(data_dir, selection)
    else:
        found = _prefer_ours(_by_model(data_dir, selection))
    wanted = selection.layers
    chosen = [c for c in found if not wanted or c.source.layer in wanted]
    for layer in sorted(set(wanted) - {c.source.layer for c in chosen}):
        refused.append(_no_layer(layer, found, selection))
    sources: list[SourceInput] = []
    skipped: list[SfalError] = []
    by_name = bool(selection.sources or wanted)
    for candidate in chosen:
        try:
            sources.append(_with_embeddings(candidate, selection))
        except SfalError as e:
            (refused if by_name else skipped).append(e)
    if not sources:
        raise _combined([*refused, *skipped])
    sources.sort(key=lambda s: (s.model, -1 if s.layer is None else s.layer, s.name))
    return Selected(tuple(sources), tuple(refused), tuple(skipped))


def _combined(errors: Sequence[SfalError]) -> SfalError:
    return errors[0] if len(errors) == 1 else CombinedError(errors)


def _by_name(data_dir: Path, selection: Selection) -> tuple[list[_Candidate], list[SfalError]]:
    found: list[_Candidate] = []
    missing: list[SfalError] = []
    for name in selection.sources:
        try:
            source = SourceFolder.open(data_dir, name)
        except InvalidInputError as e:
            hint = "; ".join(filter(None, (e.hint, _elsewhere(data_dir))))
            raise InvalidInputError(e.message, hint=hint) from e
        if source.path.is_dir():
            found.append(_Candidate(source, source.run(selection.run)))
        else:
            missing.append(
                MissingError(
                    f"no data yet for {name}",
                    hint=f"{_elsewhere(data_dir)} $do_count counts it, "
                    f"$do_download({name}) and $do_embed({name}) embed its explanations",
                )
            )
    if not found:
        raise _combined(missing)
    return found, missing


def _elsewhere(data_dir: Path) -> str:
    """List the sources in a data folder, for a name that is not among them."""
    names = [source.name for source in SourceFolder.all(data_dir)]
    more = ", …" if len(names) > _LISTED else ""
    listed = f"there are {', '.join(names[:_LISTED])}{more}" if names else "there is no source"
    return f"{listed} in {data_dir}; is it in another data folder ($data_dir)?"


def _by_model(data_dir: Path, selection: Selection) -> list[_Candidate]:
    candidates = [
        _Candidate(source, source.run(selection.run)) for source in SourceFolder.all(data_dir)
    ]
    if selection.model is None:
        if not candidates:
            raise MissingError(f"no data yet in {data_dir}", hint="$do_count makes some")
        return candidates
    found = [c for c in candidates if _is_of(c.source, selection.model)]
    if not found:
        models = ", ".join(sorted({c.source.model for c in candidates}))
        others = f"; there is data for {models}" if models else ""
        raise MissingError(
            f"no data yet for {selection.model} in {data_dir}{others}", hint="$do_count makes it"
        )
    counted = {c.source.model for c in found if c.has_counts}
    models_found = sorted(counted or {c.source.model for c in found})
    if len(models_found) > 1:
        raise InvalidInputError(
            f"model {selection.model} fits {' and '.join(models_found)} in {data_dir}",
            hint="give one of these as $model",
        )
    return [c for c in found if c.source.model == models_found[0]]


def _is_of(source: SourceFolder, model: str) -> bool:
    """Return whether a source is of a model, named in any of the ways users name it."""
    if model in source.model_names:
        return True
    if model in PRESETS:
        return source.model.lower().startswith(model)
    last = model.rstrip("/").split("/")[-1]
    return source.model in (MODEL_IDS.get(last), last, last.lower())


def _prefer_ours(found: Sequence[_Candidate]) -> list[_Candidate]:
    """Leave out published sources that our own tree has counts of, and the reverse."""
    counted: dict[str, set[tuple[str, str]]] = {"ours": set(), "published": set()}
    for c in found:
        if c.has_counts:
            counted[c.source.layout].add(_identity(c.source))
    replaced = {"published": counted["ours"], "ours": counted["published"] - counted["ours"]}
    return [c for c in found if _identity(c.source) not in replaced[c.source.layout]]


def _identity(source: SourceFolder) -> tuple[str, str]:
    """Return what a published source and our own have in common."""
    return source.model, source.path.name


def _no_layer(layer: int, found: Sequence[_Candidate], selection: Selection) -> MissingError:
    there = sorted({c.source.layer for c in found if c.source.layer is not None})
    what = selection.model or ", ".join(selection.sources) or "any model"
    return MissingError(
        f"no data yet for layer {layer} of {what}, there are layers "
        f"{' '.join(map(str, there)) or '(none)'}",
        hint=_hint_to_count(layer, found, selection),
    )


def _hint_to_count(layer: int, found: Sequence[_Candidate], selection: Selection) -> str:
    if selection.model in _COUNT:
        return f"{_COUNT[selection.model]} with $layers({layer}) makes it"
    for family in _COUNT:
        if found and all(_is_of(candidate.source, family) for candidate in found):
            return f"{_COUNT[family]} with $model(ID) and $layers({layer}) makes it"
    return "$do_count_sae, given the SAE of that layer, makes it"


def _with_embeddings(candidate: _Candidate, selection: Selection) -> SourceInput:
    source = candidate.source
    if not candidate.has_counts:
        raise _no_counts(source, selection.run)
    found = source.embeddings
    if not found:
        raise MissingError(
            f"no embeddings yet for {source.name}",
            hint=f"$do_download({source.name}), then $do_embed({source.name}) makes them",
        )
    chosen = [
        EmbeddingsFile(embedder, stem, path)
        for (embedder, stem), path in found.items()
        if _wanted(embedder, selection.embeddings)
        and (not selection.explainers or explainer_of(stem) in selection.explainers)
    ]
    unknown = [
        name
        for name in selection.embeddings
        if not any(_wanted(embedder, (name,)) for embedder, _stem in found)
    ]
    if unknown or not chosen:
        there = ", ".join(f"{embedder} ({stem})" for embedder, stem in found)
        requested = ", ".join(unknown or [*selection.embeddings, *selection.explainers])
        raise ArtifactError(f"{source.name} has no embeddings {requested}; there are {there}")
    return SourceInput(
        name=source.name,
        model=source.model,
        layer=source.layer,
        folder=source.path,
        run_folder=candidate.run.path,
        embeddings=tuple(chosen),
    )


def _wanted(embedder: str, names: Sequence[str]) -> bool:
    return not names or embedder in names or embedder.split("/")[-1] in names


def _no_counts(source: SourceFolder, run: str | None) -> MissingError:
    runs = source.runs
    if run is None and not runs:
        return MissingError(f"no counts yet for {source.name}", hint="$do_count makes them")
    what = source.name if run is None else f"run {run} of {source.name}"
    names = ", ".join(r.path.name for r in runs) or "none"
    return MissingError(
        f"no counts yet for {what}", hint=f"choose one of its further runs with $run: {names}"
    )
