"""The widget itself; importing it needs anywidget."""

from importlib.resources import files

import anywidget
import traitlets


class ReportWidget(anywidget.AnyWidget):
    """A page in a notebook."""

    _esm = (files("sfal.report") / "notebook" / "widget.js").read_text(encoding="utf-8")
    html = traitlets.Unicode().tag(sync=True)
    """The page."""
    opened = traitlets.Unicode().tag(sync=True)
    """What is open: ``#/SOURCE/FEATURE``; empty: the page from its top."""
    height = traitlets.Int(800).tag(sync=True)
    """Height in pixels."""
