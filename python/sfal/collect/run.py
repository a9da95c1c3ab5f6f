"""One source of a run: its folder, its SAE, and how far it has come."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfal.collect.settings import CollectSettings
from sfal.collect.shard import BUFFER_DOCUMENTS
from sfal.errors import SettingsMismatchError, SfalError
from sfal.sources.source import Source
from sfal.store.layout import source_dir
from sfal.store.manifest import Counts, Manifest, has_manifest, require_same
from sfal.store.parts import Windows, check_part
from sfal.store.run_writer import RunWriter, extended

if TYPE_CHECKING:
    from sfal.collect.sae.sae import Sae

logger = logging.getLogger(__name__)

_OTHER_RUN = (
    "give the same settings again, name a new run with --run NAME, or remove the folder to begin "
    "anew"
)
_EXCHANGED = (
    "an input has been exchanged since; put the old one back (a commit of the hub is named with "
    "--revision or --corpus-revision), or name a new run with --run NAME"
)


@dataclass
class Job:
    """A source that is being counted. The caller holds its folder's lock."""

    source: Source
    """What is counted."""
    folder: Path
    """The run's folder."""
    settings: CollectSettings
    """How."""
    writer: RunWriter | None = None
    """Parts and manifest; None as long as nothing is there."""
    sae: "Sae | None" = None
    """The SAE, where there is anything left to count."""
    error: SfalError | None = None
    """Why it was given up."""
    counted: int = 0
    """Documents counted by this process."""

    @classmethod
    def open(cls, source: Source, settings: CollectSettings, data_dir: Path) -> "Job":
        """Look at what there is of a source.

        Raises
        ------
        SettingsMismatchError
            If its folder holds a run with other settings.
        ArtifactError
            If what is there is damaged, and not to be redone.
        InvalidInputError
            If more documents are there than asked for.
        """
        folder = source_dir(data_dir, source.name, settings.run_name)
        job = cls(source, folder, settings)
        if not has_manifest(folder):
            return job
        manifest = job._same_run()
        job.writer = job._writer(manifest)
        if settings.redo_damaged:
            job.writer.drop_damaged()
        elif not (manifest.complete and manifest.n_docs == settings.n_docs):
            for part in manifest.parts:
                check_part(folder, part)
        if settings.shard is None:
            job.writer.extend(settings.n_docs, None)
        return job

    @property
    def model_name(self) -> str:
        """Short name of the language model, for progress bars."""
        return _last_part(self.source.model).rpartition("/")[2]

    def documents_left(self) -> int:
        """Documents still to be counted, as far as the manifest tells; nothing is touched.

        Raises
        ------
        SettingsMismatchError, ArtifactError, InvalidInputError
            As :meth:`open`.
        """
        first, stop = self.settings.documents
        if not has_manifest(self.folder):
            return stop - first
        manifest = self._same_run()
        if self.settings.shard is None:
            manifest = extended(self.folder, manifest, self.settings.n_docs, None)
        return sum(end - start for start, end in manifest.gaps)

    def _same_run(self) -> Manifest:
        """Manifest on disk, of the same inputs and settings."""
        manifest = Manifest.load(self.folder)
        before = {**manifest.source, **manifest.settings}
        asked = {**self.identity(), **self.settings.deciding()}
        require_same(self.folder, "settings", before, asked, _OTHER_RUN)
        return manifest

    @property
    def manifest(self) -> Manifest | None:
        """What is on disk; None if nothing."""
        return self.writer.manifest if self.writer else None

    @property
    def pending(self) -> bool:
        """Whether anything is left to count."""
        return self.error is None and (self.writer is None or self.writer.next_document is not None)

    def load(self, sae: "Sae", fingerprints: dict[str, Any], volatile: dict[str, Any]) -> None:
        """Take the SAE, and make sure that the inputs are those of the run on disk.

        Raises
        ------
        SettingsMismatchError
            If an input has been exchanged.
        """
        found = {**fingerprints, "sae": sae.fingerprint}
        if self.writer is not None:
            self.check_inputs(found)
            self.sae = sae
            return
        start, stop = self.settings.documents
        self.sae = sae
        self.writer = self._writer(
            Manifest(
                source=self.identity(),
                n_features=sae.n_features,
                settings=self.settings.deciding(),
                n_docs=self.settings.n_docs,
                start=start,
                stop=None if self.settings.shard is None else stop,
                fingerprints=found,
                sae={"architecture": sae.architecture, **sae.metadata},
                volatile=volatile,
            )
        )

    def check_inputs(self, found: dict[str, Any]) -> None:
        """Make sure that inputs are those of the run on disk.

        Parameters
        ----------
        found : dict
            Fingerprints of some of them, or of all.

        Raises
        ------
        SettingsMismatchError
            If one has been exchanged.
        """
        known = self.manifest.fingerprints if self.manifest else {}
        before = {name: known.get(name) for name in found}
        require_same(self.folder, "inputs", before, found, _EXCHANGED)

    def identity(self) -> dict[str, Any]:
        """What the source is, as the manifest keeps it; of local paths the last part."""
        source, sae = self.source, self.source.sae
        local = sae.kind == "local" and sae.path is not None
        return {
            "name": source.name,
            "model": _last_part(source.model),
            "site": source.site,
            "layer": source.layer,
            "hook_module": source.hook_module,
            "neuronpedia_id": source.neuronpedia_id,
            "prepend_bos": source.prepend_bos,
            "sae": {
                "kind": sae.kind,
                "repo_id": sae.repo_id,
                "path": Path(sae.path).resolve().name if local and sae.path else sae.path,
                "release": sae.release,
                "sae_id": sae.sae_id,
            },
        }

    def wants(self, first: int, stop: int) -> bool:
        """Whether documents are still to be counted."""
        return self.error is None and self.writer is not None and self.writer.wants(first, stop)

    def passed(self, stop: int, documents_sha256: str) -> None:
        """Make sure that the documents up to `stop` are those that were counted before.

        Raises
        ------
        SettingsMismatchError
            If the corpus gives other documents now.
        """
        manifest = self.manifest
        for part in manifest.parts if manifest else ():
            known = part.documents_sha256  # empty where shards were merged
            if part.stop == stop and known not in ("", documents_sha256):
                raise SettingsMismatchError(
                    f"{self.folder}: corpus {self.settings.corpus} has other documents before "
                    f"number {stop} than when they were counted; {_EXCHANGED}"
                )

    def append(self, first: int, windows: Windows, counts: Counts, documents_sha256: str) -> None:
        """Add one whole buffer."""
        if self.writer is None:
            return
        counts = replace(counts, occurrences=len(windows.indices))
        self.writer.append(first, first + counts.documents, windows, counts, documents_sha256)
        self.counted += counts.documents

    def note(self, **facts: Any) -> None:
        """Keep facts that do not decide the result, from the next writing of the manifest on."""
        if self.writer is not None:
            manifest = self.writer.manifest
            volatile = {**manifest.volatile, **facts}
            self.writer.manifest = replace(manifest, volatile=volatile)

    def fail(self, error: SfalError) -> None:
        """Give the source up; what has been written stays."""
        self.error = error
        if self.writer is not None:
            self.writer.discard()

    def _writer(self, manifest: Manifest) -> RunWriter:
        return RunWriter(self.folder, manifest, BUFFER_DOCUMENTS, self.settings.part_windows)


def _last_part(model: str) -> str:
    return Path(model).resolve().name if Path(model).is_dir() else model
