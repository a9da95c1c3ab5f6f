"""One HTML file without links: markup, style and script of the package, and the data."""

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from sfal.report.payload import Payload

MODULES = (
    "dom",
    "served",
    "blocks",
    "data",
    "search",
    "terms",
    "verdicts",
    "plots/chart",
    "plots/axes",
    "plots/law",
    "plots/cloud",
    "plots/growth",
    "plots/choices",
    "plots/layers",
    "plots/plots",
    "plots/compare",
    "headline",
    "notes",
    "worklist",
    "browser",
    "feature",
    "selftest",
    "frame",
    "main",
)
"""Modules of the script, each after those that it imports."""

_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)


def render_page(payload: Payload, *, served_key: str | None = None) -> str:
    """Join a page.

    Its policy allows the style and the script of the package by their hashes and nothing
    else: no request, and no script that a label might smuggle in.

    Parameters
    ----------
    payload : Payload
    served_key : str, optional
        For a page that a server sends and that asks it for more: the key under which the
        browser keeps verdicts; default: that of the payload.

    Returns
    -------
    html : str
        The same for the same payload.
    """
    style, script = _read("style.css"), joined_script()
    blocks = [_block("index", payload.index)]
    blocks += [_block(str(i), text) for i, text in enumerate(payload.blocks)]
    parts = {
        "POLICY": content_policy(served=served_key is not None),
        "STYLE": style,
        "KEY": served_key or payload.key,
        "DATA": "\n".join(blocks),
        "SCRIPT": script,
    }
    # One pass, so that no part can hold the mark of another.
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda found: parts[found[1]], _read("page.html"))


@cache
def content_policy(*, served: bool = False) -> str:
    """Return the content security policy of a page; one that is served may ask its own server."""
    script, style = _hash(joined_script()), _hash(_read("style.css"))
    connect = "connect-src 'self'; " if served else ""
    return (
        f"default-src 'none'; script-src '{script}'; style-src '{style}'; {connect}"
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def joined_script() -> str:
    """Return all modules as one: an inline module cannot import another one."""
    texts = (_read(f"{name}.js") for name in MODULES)
    return "".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in texts)


def _read(name: str) -> str:
    return files("sfal.report").joinpath("page", *name.split("/")).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _block(name: str, text: str) -> str:
    return f'<script type="application/octet-stream" id="block-{name}">{text}</script>'
