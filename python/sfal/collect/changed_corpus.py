"""Local corpora that have changed since they were counted: repaired, or grown."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from sfal.collect.corpus.local import LocalCorpus
from sfal.collect.corpus.open import Corpus, FirstDocuments, RunningHash
from sfal.collect.run import Run
from sfal.errors import CorruptError, Note


def continue_with_changed(runs: Sequence[Run], corpus: Corpus) -> None:
    """Let runs continue whose local corpus has changed, if counted documents are still the same.

    The documents are compared part by part. Parts from the first one with
    other documents on are counted again, and a note says so: all parts, if the
    first one has other documents and yet at least half of the corpus's first
    documents are still there. A run stays as it is, to be refused because of
    its fingerprint, if they are not, or if the corpus now ends before the last
    document counted.

    Parameters
    ----------
    runs : sequence of Run
        Those with another corpus are looked at; all begin with the same
        document.
    corpus : Corpus
        The corpus as it is now.
    """
    if not isinstance(corpus, LocalCorpus):
        return
    changed = [run for run in runs if run.error is None and _has_another(run, corpus.fingerprint)]
    stops = {stop for run in changed for stop in run.counted_documents()}
    if not stops:
        return
    start = next(run.manifest.start for run in changed if run.manifest is not None)
    hashes, first = _hashes(corpus, start, stops)
    for run in changed:
        counted = run.counted_documents()
        if not set(counted) <= hashes.keys():
            continue  # it has been cut short
        agreeing = 0
        for stop, known in counted.items():
            if known != hashes[stop]:
                break
            agreeing += 1
        if not agreeing and not run.first_documents().resemble(first):
            continue  # another corpus
        run.take_changed_corpus(corpus.fingerprint, agreeing)
        if agreeing < len(counted):
            stop = list(counted)[agreeing - 1] if agreeing else start
            run.add_note(
                Note(
                    f"corpus {corpus.name} has changed since it was counted; its documents from "
                    f"number {stop} on are counted again"
                )
            )


def _has_another(run: Run, fingerprint: dict[str, Any]) -> bool:
    return run.manifest is not None and run.manifest.fingerprints.get("corpus") != fingerprint


def _hashes(corpus: Corpus, start: int, stops: set[int]) -> tuple[dict[int, str], FirstDocuments]:
    """Return the hash of all documents before each of some ordinals, if there are as many.

    Also return the first documents.
    """
    running, first = RunningHash(), FirstDocuments()
    found = {}
    try:
        last = max(stops)
        for ordinal, document in enumerate(
            islice(corpus.documents(start), last - start), start + 1
        ):
            running.add(document)
            first.add(document)
            if ordinal in stops:
                found[ordinal] = running.value
    except CorruptError:
        pass  # damaged further on: what comes before it may agree
    return found, first
