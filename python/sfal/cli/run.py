"""``sfal run``: all stages for sources named by their Neuronpedia id."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sfal.cli.cooc import collect_settings, counting_options, show_collected, show_source_notes
from sfal.cli.embeddings import Report, download_settings, embed_settings
from sfal.cli.hints import told_text
from sfal.cli.options import Common, command, fail_for, use_threads
from sfal.cli.param_types import MANY
from sfal.cli.score import show_scores
from sfal.errors import InvalidInputError, SfalError

if TYPE_CHECKING:
    from sfal.pipeline.run import StageResult
    from sfal.pipeline.settings import RunSettings
    from sfal.sources import Source


@command("run")
@click.argument("names", nargs=-1, required=True, metavar="SOURCE…")
@counting_options()
@click.option(
    "--embedding-model", "models", type=MANY, default=None, help="As in `sfal embeddings`."
)
@click.option("--explainer", type=MANY, default=None, help="As in `sfal embeddings`.")
@click.option(
    "--counted",
    is_flag=True,
    help="Take the counts on disk, such as those of `sfal pull`, whatever they were made with; "
    "explanations on disk are kept.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("scoring_results.csv"),
    show_default=True,
    help="CSV file for all scores.",
)
def run(common: Common, names: tuple[str, ...], output: Path, **options: Any) -> None:
    """Count, download and embed explanations, and score; what is on disk is not done again.

    A SOURCE is a Neuronpedia id, as `sfal sources` lists them. Sources on the
    same language model share each forward pass.

    \b
    sfal run gemma-2-2b/0-gemmascope-res-16k gemma-2-2b/5-gemmascope-res-16k --n-docs 2000
    """
    from sfal.pipeline.dry_run import estimate
    from sfal.pipeline.run import resolve_sources
    from sfal.pipeline.run import run as run_stages

    if options["shard"] is not None or options.pop("source_name") is not None:
        raise InvalidInputError("--shard and --source go with `sfal cooc`, then `sfal merge`")
    dry_run = options.pop("dry_run")
    settings = _settings(common, options, output)
    sources: Sequence[str | Source] = names
    unknown: list[SfalError] = []
    if not settings.counted:
        sources, unknown = resolve_sources(names)
        show_source_notes(sources)
    elif dry_run:
        raise InvalidInputError("--dry-run tells what counting takes; leave out --counted")
    use_threads(common)
    if dry_run:
        _, refused = estimate(sources, settings, common.data_dir, on_line=_say)
        fail_for([*unknown, *refused])
        return
    report = Report(common)
    for error in unknown:
        report.error(error)

    def show(result: "StageResult") -> None:
        _show(result, settings, common, report)

    scores = run_stages(sources, settings, common.data_dir, on_result=show).scores
    report.end()
    if scores is not None and scores.refused:
        click.get_current_context().exit(1)


def _say(line: str) -> None:
    click.echo(told_text(line))


def _settings(common: Common, options: dict[str, Any], output: Path) -> "RunSettings":
    from sfal.pipeline.settings import RunSettings

    choice = {name: options.pop(name) for name in ("models", "explainer")}
    counted = options.pop("counted")
    placement = {name: options[name] for name in ("devices", "ray", "ray_wait")}
    return RunSettings(
        counted=counted,
        collect=collect_settings(common, options),
        download=download_settings(choice, keep_own=True),
        embed=embed_settings(common, choice | placement),
        output=output,
    )


def _show(result: "StageResult", settings: "RunSettings", common: Common, report: Report) -> None:
    from sfal.collect.driver import CollectResult
    from sfal.embeddings.driver import EmbedResult
    from sfal.explanations.driver import DownloadResult

    if isinstance(result, SfalError):
        report.error(result)
    elif isinstance(result, CollectResult):
        show_collected(result, settings.collect)
        if result.error is not None:
            report.error(result.error, result.source.name)
    elif isinstance(result, DownloadResult):
        report.downloaded(result)
    elif isinstance(result, EmbedResult):
        report.embedded(result)
    else:
        show_scores(result, settings.output)
