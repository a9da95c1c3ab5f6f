"""Pages of the site that are kept elsewhere: Markdown at the top level, and notebooks."""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]

PAGES = {
    "ARCHITECTURE.md": "developers/architecture.md",
    "CHANGELOG.md": "reference/changelog.md",
    "CONTRIBUTING.md": "developers/contributing.md",
    "benches/README.md": "developers/benches.md",
}
"""Where the site shows a file of the repository."""

FIGURES = {"benches/width.svg": "developers/width.svg"}

_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and figures that are kept outside ``docs/``, and turn notebooks into pages."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_relinked(text, source, page)))
    for source, figure in FIGURES.items():
        files.append(File.generated(config, figure, content=(ROOT / source).read_bytes()))
    for file in [f for f in files if f.src_uri.endswith(".ipynb")]:
        files.remove(file)
        files.append(File.generated(config, file.src_uri + ".md", content=_notebook(file)))
    return files


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let the navigation name a notebook as it lies on disk."""
    config.nav = _renamed(config.nav)
    return config


def _renamed(item: Any) -> Any:
    if isinstance(item, list):
        return [_renamed(each) for each in item]
    if isinstance(item, dict):
        return {key: _renamed(value) for key, value in item.items()}
    return item + ".md" if item.endswith(".ipynb") else item


def _relinked(text: str, source: str, page: str) -> str:
    """Point links at pages of the site; what the site does not show keeps its text alone."""

    def target(link: re.Match[str]) -> str:
        image, words, path, anchor = link[1], link[2], link[3], link[4] or ""
        held = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        shown = {**PAGES, **FIGURES}.get(held) or held.removeprefix("docs/")
        if held not in PAGES and held not in FIGURES and not held.startswith("docs/"):
            return words
        return f"{image}[{words}]({posixpath.relpath(shown, posixpath.dirname(page))}{anchor})"

    return _LINK.sub(target, text)


def _notebook(file: File) -> str:
    from nbconvert import MarkdownExporter

    text, _ = MarkdownExporter().from_filename(file.abs_src_path)
    return str(text)
