"""What a run would download, compute and store, said beforehand."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from sfal.cooc.corpus import is_local
from sfal.cooc.settings import CollectSettings
from sfal.sources.model import Source
from sfal.store.manifest import Manifest, has_manifest
from sfal.store.paths import source_dir


def estimate(sources: Sequence[Source], settings: CollectSettings, data_dir: Path) -> Iterator[str]:
    """Lines that say what :func:`sfal.cooc.collect.collect` would do; nothing is done.

    Parameters
    ----------
    sources : sequence of Source
        What would be counted.
    settings : CollectSettings
        How.
    data_dir : Path
        Root of the data tree.
    """
    first, stop = settings.documents
    where = "local" if is_local(settings.corpus) else "streamed from the hub"
    yield f"model: {sources[0].model}, {settings.resolved_dtype()}, on {settings.resolved_device()}"
    most = (stop - first) * settings.max_length
    yield (
        f"corpus: {settings.corpus} ({where}), documents {first} to {stop - 1}, "
        f"at most {most:,} tokens"
    )
    for source in sources:
        folder = source_dir(data_dir, source.name, settings.run_name)
        if has_manifest(folder):
            manifest = Manifest.load(folder)
            left = sum(end - start for start, end in manifest.gaps)
            left += max(0, stop - (manifest.n_docs if manifest.stop is None else manifest.stop))
            state = f"{left} documents left" if left else "complete"
        else:
            state = "to be counted"
        sae = source.sae
        yield (
            f"{source.name}: {sae.repo_id or sae.path} {sae.path if sae.repo_id else ''} at layer "
            f"{source.layer} {source.site}, {state}; in {folder}"
        )
