"""``sfal cooc import``: store firings that others made (stage 1 without a model)."""

from pathlib import Path
from typing import Any

import click

from sfal.cli.hints import data_dir_words
from sfal.cli.options import Common, command, say_note, setting_options
from sfal.collect.imported.settings import ImportSettings
from sfal.terminal.units import counted


@command("import")
@click.argument(
    "paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path)
)
@click.option(
    "--source",
    "source_name",
    required=True,
    metavar="NAME",
    help="Folder name of the source, such as its Neuronpedia id.",
)
@setting_options(ImportSettings)
def import_(common: Common, paths: tuple[Path, ...], source_name: str, **options: Any) -> None:
    """Store firings that others made, so that they can be scored without a model.

    PATH is a table with one row per firing (columns document, position or
    token, feature and perhaps activation; only activations above 0 fire) in
    .parquet, .csv, .tsv (.gz) or .npz; a .parquet table with one row per
    window or token and a list of features; or delphi's activation cache
    (.safetensors). Several files, or a folder of them, may hold different
    documents, or different features of the same documents.

    All numbers begin at 0. Files sorted by document are read in one pass;
    others are sorted in temporary files first.

    \b
    sfal cooc import firings.parquet --source my-model/3-my-sae --k 256 --features 65536
    sfal cooc import results/latents/layers.5 --source my-model/5-my-sae --k 64 --special-ids 0
    """
    from sfal.collect.imported.driver import import_firings

    settings = ImportSettings(**{k: v for k, v in options.items() if v is not None})
    result = import_firings(paths, source_name, settings, common.data_dir)
    counts = result.manifest.counts
    before = "" if result.n_rows else ", imported before"
    mean = counts.occurrences / counts.windows if counts.windows else 0.0
    click.echo(
        f"{result.name}: {counted(counts.documents, 'document')} ({counts.empty:,} empty, {counts.too_short:,} "
        f"too short), {counted(counts.windows, 'window')}, {mean:.1f} features per window, "
        f"{result.manifest.n_features:,} features{before}; in {result.folder}"
    )
    if result.n_rows:
        for note in result.notes:
            say_note(note, result.name)
        own = "" if result.manifest.source.neuronpedia_id else " --explanations FILE"
        click.echo(f"  next: sfal embeddings all --source {result.name}{own}{data_dir_words()}")
