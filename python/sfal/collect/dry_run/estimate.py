"""What a run would download, compute and store, and how long it would take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from sfal.collect.corpus.defaults import corpora_of
from sfal.collect.corpus.document import Document, document_bytes
from sfal.collect.corpus.files import is_local
from sfal.collect.corpus.open import no_documents, open_corpus
from sfal.collect.dry_run.history import History
from sfal.collect.dry_run.trial import Trial, measure
from sfal.collect.executors.placement import devices_in
from sfal.collect.inputs import with_corpus, with_max_length
from sfal.collect.run import Run
from sfal.collect.settings import CollectSettings
from sfal.collect.shard import BUFFER_DOCUMENTS
from sfal.collect.throughput import Speed, on_several
from sfal.errors import DownloadError, InvalidInputError, SfalError
from sfal.io.download_size import OUT_OF_REACH, Download, model_download, sae_download
from sfal.sources.scopes import named_width
from sfal.sources.source import Source
from sfal.store.examples import hint_to_divide
from sfal.store.layout import source_dir
from sfal.store.manifest import Counts
from sfal.store.published.histogram import histogram_bytes
from sfal.terminal.progress import progress
from sfal.terminal.units import about, size_text, time_text


def estimate(
    sources: Sequence[Source], settings: CollectSettings, data_dir: Path
) -> tuple[list[str], list[SfalError]]:
    """Estimate what :func:`sfal.collect.driver.collect` would do.

    The hub is asked for sizes and for the first documents of the corpus; what
    it does not answer stays unknown. What a run would refuse is an error. If
    model and SAEs are on this machine and no earlier run measured their speed,
    they are loaded and tried for some seconds. Nothing is stored.

    Parameters
    ----------
    sources : sequence of Source
        What would be counted.
    settings : CollectSettings
        How they would be counted.
    data_dir : Path
        Root of the data tree.

    Returns
    -------
    lines : list of str
        What would be downloaded, counted and stored, and how long it would take,
        with settings and actions as in hints; see :func:`sfal.errors.worded_hint`.
    errors : list of SfalError
        Why sources would be refused.
    """
    settings = settings.resolved()
    try:
        settings, _ = with_corpus(sources, settings, data_dir)
    except SfalError:  # opening the preferred one will say why
        settings = replace(settings, corpus=corpora_of(sources[0].model)[0])
    settings, note = with_max_length(sources, settings, data_dir, fetches=False)
    runs = [
        Run(source, source_dir(data_dir, source.name, settings.run_name), settings)
        for source in sources
    ]
    found = _Estimate(runs, settings, History(data_dir, runs, settings))
    found.look()
    lines = [*found.lines()] if note is None else [*found.lines(), f"Note: {note}"]
    return lines, [*found.refused.values(), *found.failed]


@dataclass
class _Estimate:
    """What is known about a run before it starts."""

    runs: Sequence[Run]
    settings: CollectSettings
    history: History
    left: dict[str, int] = field(default_factory=dict)
    """Documents still to be counted, by source."""
    refused: dict[str, SfalError] = field(default_factory=dict)
    """Why a source would be refused."""
    failed: list[SfalError] = field(default_factory=list)
    """Why the run would be refused for all sources, or for one of those that were tried."""
    downloads: dict[str, Download] = field(default_factory=dict)
    """The model's, under its name, and those of each source's SAE."""
    sample: list[Document] = field(default_factory=list)
    """First documents of the corpus."""
    no_sample: SfalError | None = None
    """Why there is no sample."""
    ended: int | None = None
    """Number of documents in the corpus, if the sample is all of it."""
    trial: Trial | None = None
    """A few seconds of the run, if it was tried."""
    no_trial: SfalError | None = None
    """Why the trial failed."""

    def look(self) -> None:
        """Find out whatever is possible."""
        for run in self.runs:
            try:
                self.left[run.source.name] = run.documents_left()
            except SfalError as e:
                self.refused[run.source.name] = e
        todo = [run for run in self.runs if self.left.get(run.source.name)]
        if not todo:
            return
        model = todo[0].source.model
        revision = self.settings.revision or todo[0].source.training.revision
        self.downloads[model] = model_download(model, revision)
        for run in todo:
            sae = run.source.sae
            self.downloads[run.source.name] = sae_download(
                sae.repo_id, sae.path or "", sae.revision
            )
        self._read_sample()
        if self.ended is not None:
            self.left = {name: min(left, len(self.sample)) for name, left in self.left.items()}
        all_here = all(download.n_bytes == 0 for download in self.downloads.values())
        if self.settings.ray is not None:
            self.no_trial = InvalidInputError("that of a Ray cluster shows when it counts")
        elif self.sample and all_here and self._measured() is None:
            try:
                with progress(None, "measuring the speed", "pass"):
                    self.trial = measure(todo, self.settings, self.sample)
            except SfalError as e:
                self.no_trial = e
                self._would_fail(e)

    def _would_fail(self, error: SfalError) -> None:
        """Keep an error that the run would meet too; one of the network may be gone by then."""
        if not isinstance(error, DownloadError):
            self.failed.append(error)

    def _read_sample(self) -> None:
        try:
            first = self.settings.documents[0]
            corpus = open_corpus(self.settings)
            self.sample = list(islice(corpus.documents(first), BUFFER_DOCUMENTS))
            if 0 < len(self.sample) < BUFFER_DOCUMENTS:
                self.ended = first + len(self.sample)
            if not self.sample and first == 0:
                raise no_documents(corpus)
        except SfalError as e:
            self.no_sample = e
            self._would_fail(e)

    @property
    def _workers(self) -> int:
        devices = self.settings.devices
        return 1 if devices is None else len(devices_in(devices))

    def _measured(self) -> tuple[Speed, int, str] | None:
        """Return an earlier run's speed, how many times as fast this one is, and its name."""
        for workers, times in dict.fromkeys([(self._workers, 1), (1, self._workers)]):
            if (found := self.history.speed(workers)) is not None:
                return found[0], times, found[1]
        return None

    @property
    def documents(self) -> tuple[int, int]:
        """Ordinals of the first document and of the one after the last that is known to exist."""
        first, stop = self.settings.documents
        return first, stop if self.ended is None else min(stop, self.ended)

    @property
    def counts(self) -> tuple[Counts, str] | None:
        """Token and window counts, and the sample they come from."""
        counts = self.history.counts()
        if counts is not None and counts.documents:
            return counts, f"the {counts.documents:,} documents counted before"
        if self.trial is not None and self.trial.counts.documents:
            counts = self.trial.counts
            return counts, f"the first {counts.documents:,} documents"
        return None

    def lines(self) -> Iterator[str]:
        """Yield all that is known, and what is not."""
        settings, source = self.settings, self.runs[0].source
        first, stop = self.documents
        yield f"model {source.model}, {settings.dtype}, on {self._place()}"
        if source.model in self.downloads:
            yield _row("to download", str(self.downloads[source.model]))
        where = "" if stop == settings.documents[1] else ", where it ends"
        yield f"corpus {settings.corpus}, documents {first:,} to {stop - 1:,}{where}"
        yield self._corpus_bytes()
        yield _row("to compute", self._tokens(stop - first))
        if settings.examples:
            yield self._examples(stop)
        for run in self.runs:
            yield from self._source(run)
        if not self.left:
            return
        yield "in all"
        yield _row("to download", self._all_downloads())
        yield _row("to store", self._all_stored())
        yield self._time()

    def _place(self) -> str:
        if self.settings.ray is not None:
            return f"the devices ({self.settings.device}) of a Ray cluster"
        return on_several(self.settings.device, self._workers)

    def _corpus_bytes(self) -> str:
        most = max(self.left.values(), default=0)
        text, hint = "nothing", ""
        if is_local(self.settings.corpus):
            text = "nothing, it is a local file"
        elif most and self.no_sample:
            text, hint = f"not known: {self.no_sample.message}", self.no_sample.hint
        elif most:
            mean = sum(len(document_bytes(one)) for one in self.sample) / max(len(self.sample), 1)
            text = (
                f"about {size_text(mean * most)} of text, judging by the first "
                f"{len(self.sample):,} documents; compressed in transit, and not kept"
            )
        return _row("to download", text, hint)

    def _examples(self, stop: int) -> str:
        examples = self.settings.examples
        if self.ended is not None:
            examples = min(examples, self.ended - stop)
            if not examples:
                return _row("", "then none for examples", hint_to_divide(self.ended))
        return _row(
            "", f"then {examples:,} documents after them for examples, not in the figures below"
        )

    def _tokens(self, documents: int) -> str:
        most = f"at most {documents * self.settings.kept_tokens:,} tokens"
        if self.counts is None:
            return most
        counts, which = self.counts
        tokens, windows = (
            documents * n / counts.documents for n in (counts.tokens, counts.windows)
        )
        return (
            f"about {about(tokens)} tokens in {about(windows)} windows, judging by {which}; {most}"
        )

    def _source(self, run: Run) -> Iterator[str]:
        source = run.source
        sae = f"{source.sae.repo_id} {source.sae.path}" if source.sae.repo_id else source.sae.path
        yield f"{source.name}: SAE {sae}, layer {source.layer}, {source.site}"
        if source.name in self.refused:
            yield "  refused"
            return
        left = self.left[source.name]
        yield _row("to count", f"{left:,} documents" if left else "nothing, it is complete")
        if left:
            yield _row("to download", str(self.downloads[source.name]))
            yield _row("to store", f"{' and '.join(self._stored(run)[1])}, in {run.folder}")

    def _stored(self, run: Run) -> tuple[int | None, list[str]]:
        """Return the bytes of a source's files, None if unknown, and the same in words."""
        name, left = run.source.name, self.left[run.source.name]
        per_window = self.history.bytes_per_window(run)
        if per_window is None and self.trial is not None:
            per_window = self.trial.bytes_per_window.get(name)
        total: int | None = None
        if per_window is None or self.counts is None:
            words = ["occurrences of unknown size"]
        else:
            counts, _ = self.counts
            total = round(left * counts.windows / counts.documents * per_window)
            words = [f"occurrences of about {size_text(total)}"]
        if self.settings.histogram == "none" or self.settings.shard is not None:
            return total, words
        width, how = self._width(run)
        if width is None:
            return None, [*words, "a histogram of 4 bytes × features²"]
        size = histogram_bytes(width)
        words.append(f"a histogram of {size:,} bytes ({size_text(size)}){how}")
        return None if total is None else total + size, words

    def _width(self, run: Run) -> tuple[int | None, str]:
        width = self.history.n_features(run)
        if width is None and self.trial is not None:
            width = self.trial.n_features.get(run.source.name)
        if width is not None:
            return width, ""
        width = named_width(run.source.sae)
        return width, "" if width is None else f", if it has {width:,} features as its name says"

    def _all_downloads(self) -> str:
        if any(download.out_of_reach for download in self.downloads.values()):
            return f"{OUT_OF_REACH}: the run would fail"
        found = [download.n_bytes for download in self.downloads.values()]
        known = size_text(sum(n for n in found if n is not None))
        return f"{known} of model and SAEs" + (", and what is not known" if None in found else "")

    def _all_stored(self) -> str:
        found = [self._stored(run)[0] for run in self.runs if self.left.get(run.source.name)]
        known = [n for n in found if n is not None]
        if not found:
            return "nothing"
        if len(known) < len(found):
            return "not known" if not known else f"more than {size_text(sum(known))}"
        return f"about {size_text(sum(known))}"

    def _time(self) -> str:
        left = max(self.left.values(), default=0)
        if not left:
            return _row("time", "none")
        if self.failed:
            return _row("time", "not known, as the run would fail")
        speed, times, where = None, 1, ""
        if self.trial is not None and self.trial.speed is not None:
            speed, times, where = self.trial.speed, self._workers, "measured just now"
        elif (found := self._measured()) is not None:
            speed, times, where = found[0], found[1], f"measured by the run of {found[2]}"
        if speed is None:
            why = f" ({self.no_trial.message})" if self.no_trial else ""
            few = min(BUFFER_DOCUMENTS, left)
            hints = (
                self.no_trial.hint if self.no_trial else "",
                f"$do_again with a smaller $n_docs, such as {few}, measures it and is the beginning "
                "of the whole run",
            )
            return _row(
                "time",
                f"not known, as no speed has been measured here yet{why}",
                "; ".join(filter(None, hints)),
            )
        rate = speed.rate * times
        each = "" if times == 1 else f", on one of {times} devices"
        at = f"at {rate:,.0f} tokens/s, {where} ({speed.conditions()}{each})"
        if self.counts is None:
            most = time_text(left * self.settings.kept_tokens / rate)
            return _row("time", f"at most {most} {at}")
        counts, _ = self.counts
        needed = time_text(left * counts.tokens / counts.documents / rate)
        return _row("time", f"about {needed} {at}")


def _row(label: str, text: str, hint: str = "") -> str:
    """Return a line below a heading."""
    advice = f"; {hint}" if hint else ""
    return f"  {label:<12} {text}{advice}"
