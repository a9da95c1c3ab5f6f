"""One source that is being counted: its folder and its progress."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sfal.collect.corpus.files import is_local
from sfal.collect.corpus.open import FirstDocuments
from sfal.collect.settings import CollectSettings
from sfal.collect.shard import BUFFER_DOCUMENTS
from sfal.errors import Note, SettingsMismatchError, SfalError
from sfal.sources.source import Source
from sfal.store.differences import require_same
from sfal.store.layout import source_dir
from sfal.store.manifest import Counts, Manifest, has_manifest
from sfal.store.parts import Windows, check_part
from sfal.store.records import SaeRecord, SourceRecord
from sfal.store.run_writer import RunWriter, extended

_OTHER_SETTINGS = (
    "repeat the settings of that run, name a new run with $run(NAME), or remove the folder to start "
    "over"
)
_REPLACED = (
    "an input has been replaced since; restore it ($revision or $corpus_revision names a commit "
    "of the hub), or name a new run with $run(NAME)"
)


@dataclass
class Run:
    """A source that is being counted. The caller holds its folder's lock."""

    source: Source
    """What is counted."""
    folder: Path
    """The run's folder."""
    settings: CollectSettings
    """How it is counted."""
    writer: RunWriter | None = None
    """Parts and manifest; None until there are any."""
    error: SfalError | None = None
    """Why the run failed."""
    counted: int = 0
    """Documents counted by this process."""
    notes: list[Note] = field(default_factory=list)
    """What the user should know about the inputs; see :meth:`add_note`."""

    @classmethod
    def open(cls, source: Source, settings: CollectSettings, data_dir: Path) -> "Run":
        """Find out how much of a source's run is done.

        Raises
        ------
        SettingsMismatchError
            If its folder holds a run with other settings.
        ArtifactError
            If that run is damaged and is not to be redone.
        InvalidInputError
            If it holds more documents than requested.
        """
        folder = source_dir(data_dir, source.name, settings.run_name)
        run = cls(source, folder, settings)
        if not has_manifest(folder):
            return run
        manifest = run._matching_manifest()
        run.writer = run._writer(manifest)
        if settings.redo_damaged:
            run.writer.drop_damaged()
        elif not (manifest.complete and manifest.n_docs == settings.n_docs):
            for part in manifest.parts:
                check_part(folder, part)
        if settings.shard is None:
            run.writer.extend(settings.n_docs, None)
        return run

    @property
    def model_name(self) -> str:
        """Short name of the language model, for progress bars."""
        return portable_name(self.source.model).rpartition("/")[2]

    def documents_left(self) -> int:
        """Return how many documents are left to count; nothing on disk changes.

        Raises
        ------
        SettingsMismatchError, ArtifactError, InvalidInputError
            As in :meth:`open`.
        """
        first, stop = self.settings.documents
        if not has_manifest(self.folder):
            return stop - first
        manifest = self._matching_manifest()
        if self.settings.shard is None:
            manifest = extended(self.folder, manifest, self.settings.n_docs, None)
        return sum(end - start for start, end in manifest.gaps)

    def _matching_manifest(self) -> Manifest:
        """Load the manifest on disk, which must have the same inputs and settings."""
        manifest = Manifest.load(self.folder)
        before = {**manifest.source.as_json(), **manifest.settings}
        requested = {**self.identity().as_json(), **recorded(self.settings)}
        require_same(self.folder, "settings", before, requested, _OTHER_SETTINGS)
        return manifest

    @property
    def manifest(self) -> Manifest | None:
        """What is on disk; None if nothing."""
        return self.writer.manifest if self.writer else None

    @property
    def pending(self) -> bool:
        """Whether anything is left to count."""
        return self.error is None and (self.writer is None or self.writer.next_document is not None)

    def start(
        self,
        n_features: int,
        sae: dict[str, Any],
        fingerprints: dict[str, Any],
        volatile: dict[str, Any],
    ) -> None:
        """Begin with inputs that have been loaded, or check that they are those of the run on disk.

        Parameters
        ----------
        n_features : int
            Width of the SAE.
        sae : dict
            What its loader found.
        fingerprints : dict
            Those of all inputs.
        volatile : dict
            Facts for a new manifest that do not decide the result.

        Raises
        ------
        SettingsMismatchError
            If an input has been replaced.
        """
        if self.writer is not None:
            self.check_inputs(fingerprints)
            return
        start, stop = self.settings.documents
        self.writer = self._writer(
            Manifest(
                source=self.identity(),
                n_features=n_features,
                settings=recorded(self.settings),
                n_docs=self.settings.n_docs,
                start=start,
                stop=None if self.settings.shard is None else stop,
                fingerprints=fingerprints,
                sae=sae,
                volatile=volatile,
            ).with_notes(map(str, (*self.source.notes, *self.notes)))
        )

    def counted_documents(self) -> dict[int, str]:
        """Return the hash of all documents before each part's end, by that end.

        Empty for parts of merged runs, which have no such hash.
        """
        parts = self.manifest.parts if self.manifest else ()
        return {part.stop: part.documents_sha256 for part in parts}

    def first_documents(self) -> FirstDocuments:
        """Return the hashes of the first documents that were counted; none in older manifests."""
        known = self.manifest.volatile.get(FirstDocuments.KEY, ()) if self.manifest else ()
        return FirstDocuments(known if isinstance(known, list) else ())

    def take_changed_corpus(self, fingerprint: dict[str, Any], agreeing: int) -> None:
        """Continue with a corpus that has changed after the documents of the first parts.

        The parts after those are dropped, to be counted again. On disk they stay
        until something is written.

        Parameters
        ----------
        fingerprint : dict
            That of the corpus as it is now.
        agreeing : int
            Number of parts whose documents are still the same.
        """
        writer, manifest = self.writer, self.manifest
        if writer is None or manifest is None:
            return
        changed = replace(
            manifest,
            fingerprints={**manifest.fingerprints, "corpus": fingerprint},
            corpus_ended_at=None,
        )
        if agreeing < len(manifest.parts):
            # The histogram is that of none of the windows now. It stays recorded, so that its
            # file is removed when another one is written, whose name may differ.
            old = manifest.histogram
            changed = replace(
                changed.with_parts(manifest.parts[:agreeing]),
                histogram=None if old is None else replace(old, n_windows=0),
            )
        writer.manifest = changed
        writer.extend(changed.n_docs, changed.stop)
        if writer.next_document is None:
            writer.save(writer.manifest)

    def check_inputs(self, found: dict[str, Any]) -> None:
        """Check that inputs are those of the run on disk.

        Parameters
        ----------
        found : dict
            Fingerprints of some of them, or of all.

        Raises
        ------
        SettingsMismatchError
            If one has been replaced.
        """
        known = self.manifest.fingerprints if self.manifest else {}
        before = {name: known.get(name) for name in found}
        require_same(self.folder, "inputs", before, found, _REPLACED)

    def identity(self) -> SourceRecord:
        """Return what the manifest records of the source; of local paths the last component."""
        source, sae = self.source, self.source.sae
        local = sae.kind == "local" and sae.path is not None
        return SourceRecord(
            name=source.name,
            model=portable_name(source.model),
            site=source.site,
            layer=source.layer,
            hook_module=source.hook_module,
            neuronpedia_id=source.neuronpedia_id,
            prepend_bos=source.prepend_bos,
            sae=SaeRecord(
                kind=sae.kind,
                repo_id=sae.repo_id,
                path=Path(sae.path).resolve().name if local and sae.path else sae.path,
                release=sae.release,
                sae_id=sae.sae_id,
            ),
        )

    def wants(self, first: int, stop: int) -> bool:
        """Return whether any of these documents are still to be counted."""
        return self.error is None and self.writer is not None and self.writer.wants(first, stop)

    def check_documents(self, stop: int, documents_sha256: str) -> None:
        """Check that the documents up to `stop` are those that were counted before.

        Raises
        ------
        SettingsMismatchError
            If the corpus has other documents now.
        """
        manifest = self.manifest
        for part in manifest.parts if manifest else ():
            known = part.documents_sha256  # empty if shards were merged
            if part.stop == stop and known not in ("", documents_sha256):
                raise SettingsMismatchError(
                    f"{self.folder}: corpus {self.settings.corpus} has other documents before "
                    f"number {stop} than when they were counted",
                    hint=_REPLACED,
                )

    def append(
        self, first: int, windows: Windows, counts: Counts, documents_sha256: str, device: str
    ) -> None:
        """Add one whole buffer, and the model of the device that counted it."""
        if self.writer is None:
            return
        counts = replace(counts, occurrences=len(windows.indices))
        stop = first + counts.documents
        self.writer.append(first, stop, windows, counts, documents_sha256, device)
        self.counted += counts.documents

    def note(self, **facts: Any) -> None:
        """Add facts that do not decide the result to the manifest when it is next written."""
        if self.writer is not None:
            manifest = self.writer.manifest
            volatile = {**manifest.volatile, **facts}
            self.writer.manifest = replace(manifest, volatile=volatile)

    def add_note(self, note: Note) -> None:
        """Tell the user something that did not fail: in the result, and in the manifest.

        A note that was added before is not repeated. It may be added at any
        time, and reaches the disk when the manifest is next written.
        """
        if note not in self.notes:
            self.notes.append(note)
        if self.writer is not None:
            self.writer.manifest = self.writer.manifest.with_notes([str(note)])

    def fail(self, error: SfalError) -> None:
        """Give up the source; what has been written stays."""
        self.error = error
        if self.writer is not None:
            self.writer.discard()

    def _writer(self, manifest: Manifest) -> RunWriter:
        return RunWriter(self.folder, manifest, BUFFER_DOCUMENTS, self.settings.part_windows)


def recorded(settings: CollectSettings) -> dict[str, Any]:
    """Return the settings that decide the result, as a manifest records them.

    Parameters
    ----------
    settings : CollectSettings
        With the device and dtype resolved.
    """
    local = is_local(settings.corpus)
    shard = settings.shard
    # Those that came later are recorded if they are set, so that older runs can continue.
    later = {
        "tokens_column": settings.tokens_column,
        "chat_template": None if settings.chat_template == "auto" else settings.chat_template,
        "document_separator": settings.document_separator,
        "data_files": settings.data_files,
    }
    return {
        "window_size": settings.window_size,
        "max_length": settings.kept_tokens,
        "tail": settings.tail,
        "corpus": {
            "name": Path(settings.corpus).name if local else settings.corpus,
            "text_column": settings.text_column,
            "config": settings.corpus_config,
            "split": None if local else settings.split,
            **{name: value for name, value in later.items() if value is not None},
        },
        "shard": None
        if shard is None
        else {"index": shard.index, "of": shard.of, "n_docs": settings.n_docs},
        "dtype": settings.dtype,
        "sae_dtype": settings.sae_dtype,
        "top_k": settings.top_k,
        "input_scale": settings.input_scale,
        "decoder_norm_gate": settings.decoder_norm_gate,
        "batch_tokens": settings.batch_tokens,
        "buffer_documents": BUFFER_DOCUMENTS,
    }


def portable_name(model: str) -> str:
    """Return a hub id, or the last component of a local path."""
    return Path(model).resolve().name if Path(model).is_dir() else model
