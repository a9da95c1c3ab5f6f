"""An estimate of what :func:`sfal.run` would do."""

from collections.abc import Callable, Iterable
from pathlib import Path

from sfal.collect.dry_run.estimate import estimate as estimate_counting
from sfal.embeddings.dry_run import estimate as estimate_embeddings
from sfal.errors import SfalError
from sfal.explanations.dry_run import estimate as estimate_explanations
from sfal.pipeline.run import by_model, resolve_sources
from sfal.pipeline.settings import RunSettings
from sfal.sources import Source


def estimate(
    sources: str | Source | Iterable[str | Source],
    settings: RunSettings,
    data_dir: Path,
    *,
    on_line: Callable[[str], None] | None = None,
) -> tuple[list[str], list[SfalError]]:
    """Estimate what each stage would download, compute and store.

    Nothing is stored. The hub and Neuronpedia are asked for sizes; a language
    model that is already on disk may be loaded and timed for a few seconds.

    Parameters
    ----------
    sources : str, Source, or iterable of these
        Sources.
    settings : RunSettings
        Settings of each stage.
    data_dir : Path
        Root of the data tree.
    on_line : callable, optional
        Receives each line as soon as it is known.

    Returns
    -------
    lines : list of str
        The estimate, stage by stage.
    errors : list of SfalError
        Why sources would be refused.
    """
    lines: list[str] = []

    def add(new: Iterable[str]) -> None:
        for line in new:
            lines.append(line)
            if on_line is not None:
                on_line(line)

    found, errors = resolve_sources(sources)
    for group in by_model(found).values():
        try:
            counting, refused = estimate_counting(group, settings.collect, data_dir)
        except SfalError as e:
            errors.append(e)
            continue
        add(counting)
        errors += refused
    if found:
        add(estimate_explanations(found, settings.download, data_dir))
        add(estimate_embeddings(settings.embed))
        add([f"scores into {settings.output}" if settings.output else "scores"])
    return lines, errors
