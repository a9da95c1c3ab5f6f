"""What a run would download, compute and store, said beforehand."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from sfal.collect.corpus.local import is_local
from sfal.collect.dry_run.history import Earlier
from sfal.collect.dry_run.trial import Measured, measure
from sfal.collect.inputs import load_corpus
from sfal.collect.run import Job
from sfal.collect.settings import CollectSettings
from sfal.collect.shard import BUFFER_DOCUMENTS
from sfal.errors import SfalError
from sfal.io.download_size import OUT_OF_REACH, Download, model_download, sae_download
from sfal.sources.scopes import named_width
from sfal.sources.source import Source
from sfal.store.examples import how_to_divide
from sfal.store.layout import source_dir
from sfal.store.manifest import Counts
from sfal.store.published.histogram import histogram_bytes
from sfal.terminal.progress import progress
from sfal.terminal.units import about, size_text, time_text

_NO_RATE = (
    "not known, as no speed has been measured here yet: the same command with a smaller --n-docs, "
    "such as {few}, measures it, and is the beginning of the whole run"
)


def estimate(
    sources: Sequence[Source], settings: CollectSettings, data_dir: Path
) -> tuple[list[str], list[SfalError]]:
    """Say what :func:`sfal.collect.driver.collect` would do.

    The hub is asked for sizes and for the first documents of the corpus. Where
    model and SAEs are on this machine and no earlier run tells how fast they
    are, they are loaded and tried for some seconds. Nothing is stored.

    Parameters
    ----------
    sources : sequence of Source
        What would be counted.
    settings : CollectSettings
        How.
    data_dir : Path
        Root of the data tree.

    Returns
    -------
    lines : list of str
        What would be downloaded, counted and stored, and how long it would take.
    errors : list of SfalError
        Why sources would be refused.
    """
    settings = settings.resolved()
    jobs = [
        Job(source, source_dir(data_dir, source.name, settings.run_name), settings)
        for source in sources
    ]
    plan = _Plan(jobs, settings, Earlier(data_dir, jobs, settings))
    plan.look()
    return list(plan.lines()), list(plan.refused.values())


@dataclass
class _Plan:
    """What is known of a run before it starts."""

    jobs: Sequence[Job]
    settings: CollectSettings
    earlier: Earlier
    left: dict[str, int] = field(default_factory=dict)
    """Documents still to be counted, by source."""
    refused: dict[str, SfalError] = field(default_factory=dict)
    """Why a source would be refused."""
    downloads: dict[str, Download] = field(default_factory=dict)
    """Of the model, under its name, and of each source's SAE."""
    sample: list[str] = field(default_factory=list)
    """First documents."""
    no_sample: str = ""
    """Why there are none."""
    ended: int | None = None
    """Number of documents in the corpus, where the first ones are all of it."""
    measured: Measured | None = None
    not_measured: str = ""
    """Why not, where it was tried."""

    def look(self) -> None:
        """Find out what can be found out."""
        for job in self.jobs:
            try:
                self.left[job.source.name] = job.documents_left()
            except SfalError as e:
                self.refused[job.source.name] = e
        todo = [job for job in self.jobs if self.left.get(job.source.name)]
        if not todo:
            return
        model = todo[0].source.model
        self.downloads[model] = model_download(model, self.settings.revision)
        for job in todo:
            sae = job.source.sae
            self.downloads[job.source.name] = sae_download(
                sae.repo_id, sae.path or "", sae.revision
            )
        self._read_sample()
        if self.ended is not None:
            self.left = {name: min(left, len(self.sample)) for name, left in self.left.items()}
        all_here = all(download.n_bytes == 0 for download in self.downloads.values())
        if self.sample and all_here and self.earlier.speed() is None:
            try:
                with progress(None, "measuring the speed", "pass"):
                    self.measured = measure(todo, self.settings, self.sample)
            except SfalError as e:
                self.not_measured = str(e)
            for job in todo:
                job.error = None

    def _read_sample(self) -> None:
        try:
            first = self.settings.documents[0]
            documents = load_corpus(self.settings).documents(first)
            self.sample = list(islice(documents, BUFFER_DOCUMENTS))
            if 0 < len(self.sample) < BUFFER_DOCUMENTS:
                self.ended = first + len(self.sample)
        except SfalError as e:
            self.no_sample = str(e)

    @property
    def documents(self) -> tuple[int, int]:
        """Ordinal of the first document, and the one behind the last, as far as is known."""
        first, stop = self.settings.documents
        return first, stop if self.ended is None else min(stop, self.ended)

    @property
    def counts(self) -> tuple[Counts, str] | None:
        """What documents hold, and of which that is known."""
        counts = self.earlier.counts()
        if counts is not None and counts.documents:
            return counts, f"the {counts.documents:,} documents counted before"
        if self.measured is not None and self.measured.counts.documents:
            counts = self.measured.counts
            return counts, f"the first {counts.documents:,} documents"
        return None

    def lines(self) -> Iterator[str]:
        """All that is known, and what is not."""
        settings, source = self.settings, self.jobs[0].source
        first, stop = self.documents
        device = settings.device
        yield f"model {source.model}, {settings.dtype}, on {device}"
        if source.model in self.downloads:
            yield f"  to download  {self.downloads[source.model]}"
        where = "" if stop == settings.documents[1] else ", where it ends"
        yield f"corpus {settings.corpus}, documents {first:,} to {stop - 1:,}{where}"
        yield f"  to download  {self._corpus_bytes()}"
        yield f"  to compute   {self._tokens(stop - first)}"
        if settings.examples:
            yield f"               then {self._examples(stop)}"
        for job in self.jobs:
            yield from self._source(job)
        if not self.left:
            return
        yield "in all"
        yield f"  to download  {self._all_downloads()}"
        yield f"  to store     {self._all_stored()}"
        yield f"  time         {self._time()}"

    def _corpus_bytes(self) -> str:
        if is_local(self.settings.corpus):
            return "nothing, it is a local file"
        most = max(self.left.values(), default=0)
        if not most:
            return "nothing"
        if self.no_sample:
            return f"not known: {self.no_sample}"
        mean = sum(len(text.encode()) for text in self.sample) / max(len(self.sample), 1)
        return (
            f"about {size_text(mean * most)} of text, judged by the first "
            f"{len(self.sample):,} documents; compressed on the way, and not kept"
        )

    def _examples(self, stop: int) -> str:
        examples = self.settings.examples
        if self.ended is not None:
            examples = min(examples, self.ended - stop)
            if not examples:
                return f"none for examples: {how_to_divide(self.ended)}"
        return f"{examples:,} documents behind them for examples, not in the figures below"

    def _tokens(self, documents: int) -> str:
        most = f"at most {documents * self.settings.max_length:,} tokens"
        if self.counts is None:
            return most
        counts, which = self.counts
        tokens, windows = (
            documents * n / counts.documents for n in (counts.tokens, counts.windows)
        )
        return (
            f"about {about(tokens)} tokens in {about(windows)} windows, judged by {which}; {most}"
        )

    def _source(self, job: Job) -> Iterator[str]:
        source = job.source
        sae = f"{source.sae.repo_id} {source.sae.path}" if source.sae.repo_id else source.sae.path
        yield f"{source.name}: SAE {sae}, layer {source.layer}, {source.site}"
        if source.name in self.refused:
            yield "  refused"
            return
        left = self.left[source.name]
        yield f"  to count     {f'{left:,} documents' if left else 'nothing, it is complete'}"
        if left:
            yield f"  to download  {self.downloads[source.name]}"
            yield f"  to store     {' and '.join(self._stored(job)[1])}, in {job.folder}"

    def _stored(self, job: Job) -> tuple[int | None, list[str]]:
        """Bytes of a source's files, None where they are not known; and the same in words."""
        name, left = job.source.name, self.left[job.source.name]
        per_window = self.earlier.bytes_per_window(job)
        if per_window is None and self.measured is not None:
            per_window = self.measured.bytes_per_window.get(name)
        total: int | None = None
        if per_window is None or self.counts is None:
            words = ["occurrences of a size that is not known"]
        else:
            counts, _ = self.counts
            total = round(left * counts.windows / counts.documents * per_window)
            words = [f"occurrences of about {size_text(total)}"]
        if self.settings.histogram == "none" or self.settings.shard is not None:
            return total, words
        width, how = self._width(job)
        if width is None:
            return None, [*words, "a histogram of 4 bytes × features²"]
        size = histogram_bytes(width)
        words.append(f"a histogram of {size:,} bytes ({size_text(size)}){how}")
        return None if total is None else total + size, words

    def _width(self, job: Job) -> tuple[int | None, str]:
        width = self.earlier.n_features(job)
        if width is None and self.measured is not None:
            width = self.measured.n_features.get(job.source.name)
        if width is not None:
            return width, ""
        width = named_width(job.source.sae)
        return width, "" if width is None else f", if it has {width:,} features as its name says"

    def _all_downloads(self) -> str:
        if any(download.out_of_reach for download in self.downloads.values()):
            return f"{OUT_OF_REACH}: the run would fail"
        found = [download.n_bytes for download in self.downloads.values()]
        known = size_text(sum(n for n in found if n is not None))
        return f"{known} of model and SAEs" + (", and what is not known" if None in found else "")

    def _all_stored(self) -> str:
        found = [self._stored(job)[0] for job in self.jobs if self.left.get(job.source.name)]
        known = [n for n in found if n is not None]
        if not found:
            return "nothing"
        if len(known) < len(found):
            return "not known" if not known else f"more than {size_text(sum(known))}"
        return f"about {size_text(sum(known))}"

    def _time(self) -> str:
        left = max(self.left.values(), default=0)
        if not left:
            return "none"
        speed, where = None, ""
        if self.measured is not None and self.measured.speed is not None:
            speed, where = self.measured.speed, "measured just now"
        elif (found := self.earlier.speed()) is not None:
            speed, where = found[0], f"measured by the run of {found[1]}"
        if speed is None:
            why = f" ({self.not_measured})" if self.not_measured else ""
            return _NO_RATE.format(few=min(BUFFER_DOCUMENTS, left)) + why
        at = f"at {speed.rate:,.0f} tokens/s, {where} ({speed.conditions()})"
        if self.counts is None:
            return f"at most {time_text(left * self.settings.max_length / speed.rate)} {at}"
        counts, _ = self.counts
        return f"about {time_text(left * counts.tokens / counts.documents / speed.rate)} {at}"
